import subprocess
import sys
import xml.etree.ElementTree as ET

import numpy as np
import pytest
import typer.testing

from tests.benchmark.conftest import counted, result
from tfkd.benchmark import command, host
from tfkd.benchmark.arm64 import target as arm64
from tfkd.benchmark.bundle import Request, bench, measure, until_clear
from tfkd.benchmark.driver import Options
from tfkd.benchmark.gates import Limits
from tfkd.benchmark.subject import of_files
from tfkd.bundle import measurements, results
from tfkd.errors import MachineError, RequestError

QUICK = Options(runs=4, warmup=1, processes=2, threads=(1,))


def never(*_args, **_more):
    raise AssertionError("it was measured")


def recorded(folder):
    return [result for record in measurements.read(folder) for result in record.content.results]


def is_sealed(folder):
    return subprocess.run(["sha256sum", "-c", "--quiet", "SHA256SUMS"], cwd=folder, check=False).returncode == 0


def test_results_are_recorded_in_a_dated_file_and_the_seal_holds(shipped):
    before = {path.name: path.read_bytes() for path in shipped.iterdir() if path.is_file()}
    measured, verdicts = bench(Request(shipped, "host", QUICK, Limits(max_median_ms=1e6)))
    assert all(gate.passed for gate in verdicts) and len(measured.results) == 2 and len(verdicts) == 4
    (record,) = measurements.read(shipped)
    assert shipped / "measurements" / record.name == measured.record
    assert record.content.results == measured.results and record.content.tfkd_version
    assert record.name.startswith(record.content.created[:10].replace("-", ""))
    hashes = {each.artifact.path: each.artifact.sha256 for each in measured.results}
    assert hashes == {f"android/{name}.tflite": of_files_hash(shipped, name) for name in ("heavy", "light")}
    assert measured.results[0].device.build and measured.results[0].device.before.load is not None
    assert is_sealed(shipped)
    assert {path.name: path.read_bytes() for path in shipped.iterdir() if path.is_file()} == before


def of_files_hash(folder, name):
    (artifact,) = of_files({name: folder / "android" / f"{name}.tflite"}).artifacts.values()
    return artifact.sha256


def test_a_missed_limit_is_no_pass_and_the_results_are_kept(shipped):
    _, verdicts = bench(Request(shipped, "host", QUICK, Limits(max_median_ms=0.0), only="*light*"))
    assert not all(gate.passed for gate in verdicts) and len(recorded(shipped)) == 1


def test_results_that_cannot_be_judged_are_recorded(shipped, tmp_path, monkeypatch):
    """Noise is known only when it has been measured: the results are kept before."""
    monkeypatch.setattr(host, "bench", lambda *_: [noisy(shipped)])
    results.write(tmp_path / "b.json", [noisy(shipped)])
    limits = Limits(baseline=tmp_path / "b.json", max_regression=0.05)
    measured = measure(Request(shipped, "host", QUICK, limits, only="*light*"))
    (kept,) = recorded(shipped)
    assert kept.runs == 15, "measured four times more"
    with pytest.raises(MachineError, match="too noisy"):
        measured.judged()


def noisy(folder):
    samples = [1.0, 9.0, 5.0]
    artifact = results.File(path="android/light.tflite", sha256=of_files_hash(folder, "light"))
    return result(samples, artifact=artifact, processes=1)


def test_nothing_is_recorded_where_that_is_not_wanted(shipped):
    measured = measure(Request(shipped, "host", QUICK, only="*light*", record=False))
    assert measured.record is None and not (shipped / "measurements").exists()


def test_a_bundle_that_cannot_be_written_is_refused_before_measuring(shipped, monkeypatch):
    monkeypatch.setattr(host, "bench", never)
    (shipped / "measurements").write_text("a file")
    with pytest.raises(RequestError, match=r"cannot be recorded .* --no-record"):
        measure(Request(shipped, "host", QUICK))


def test_an_unknown_target_is_named(shipped):
    with pytest.raises(RequestError, match=r"no target 'hots'.*Did you mean 'host'"):
        bench(Request(shipped, "hots", QUICK))


@pytest.mark.parametrize(
    ("target", "more", "said"),
    [
        ("host", {"python": "python3.12"}, "--python is for ssh; the target host does not read it"),
        ("host", {"cores": (1,)}, "--cores is for android; the target host does not"),
        ("arm64", {"threads": (2,)}, "--threads is for host and ssh and android; the target arm64"),
        ("ios:r.json", {"runs": 7}, "--runs means nothing to results that are read"),
    ],
)
def test_options_that_a_target_does_not_read_are_refused(shipped, target, more, said):
    if target.startswith("ios"):
        from tfkd.benchmark import ios

        with pytest.raises(RequestError, match=said):
            ios.bench("r.json", of_files({}), Options(**more))
        return
    with pytest.raises(RequestError, match=said):
        measure(Request(shipped, target, Options(**more)))


@pytest.mark.parametrize(
    ("target", "limits", "said"),
    [
        ("host", {"max_instructions": 5}, "--max-instructions is for arm64; the target host does not measure that"),
        ("arm64", {"max_median_ms": 5}, "--max-median-ms is for host and .*; the target arm64 does not measure"),
        ("arm64", {"max_memory_mb": 5}, "--max-memory-mb is for host"),
    ],
)
def test_limits_on_what_a_target_does_not_measure_are_refused(shipped, monkeypatch, target, limits, said):
    monkeypatch.setattr(host, "bench", never)
    monkeypatch.setattr(arm64, "bench", never)
    with pytest.raises(RequestError, match=said):
        measure(Request(shipped, target, limits=Limits(**limits)))


def test_a_baseline_of_other_files_or_of_another_device_is_refused_before_measuring(shipped, tmp_path, monkeypatch):
    artifact = results.File(path="android/light.tflite", sha256="0" * 64)
    here = results.Device(**results.Device(os="x", abi="y").model_dump() | {"soc": "Another 1"})
    for baseline, said in (
        ([result()], r"no result of android/light\.tflite by host"),
        ([counted(5, artifact=artifact)], r"no result of android/light\.tflite by host"),
        ([result(artifact=artifact, samples_ms=[], latency_ms={"median": 1, "min": 1})], "has no samples"),
        ([result(artifact=artifact, device=here)], r"no result of android/light\.tflite on .* by host"),
    ):
        results.write(tmp_path / "b.json", baseline)
        limits = Limits(baseline=tmp_path / "b.json", max_regression=0.05)
        monkeypatch.setattr("tfkd.benchmark.driver._result", never)
        with pytest.raises(RequestError, match=said):
            measure(Request(shipped, "host", QUICK, limits, only="*light*"))
    assert recorded(shipped) == []


def test_a_baseline_with_other_numbers_of_threads_is_refused_before_measuring(shipped, tmp_path, monkeypatch):
    measured = measure(Request(shipped, "host", QUICK, only="*light*", record=False))
    results.write(tmp_path / "b.json", measured.results)
    monkeypatch.setattr("tfkd.benchmark.driver._result", never)
    limits = Limits(baseline=tmp_path / "b.json", max_regression=0.05)
    with pytest.raises(RequestError, match=r"on .* with 2 threads by host"):
        measure(Request(shipped, "host", Options(runs=4, warmup=1, processes=2, threads=(2,)), limits, only="*light*"))


def test_a_single_file_is_measured_and_compared_with_golden_answers(files, tmp_path):
    from tfkd.verification import tflite

    images = np.random.default_rng(3).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    right = tflite.predict(files["light"], [images])
    for answers, passed in ((right, True), (right[:, ::-1], False)):
        np.savez(tmp_path / "golden.npz", images=images, answers=answers)
        measured, verdicts = bench(Request(files["light"], "host", QUICK, golden=tmp_path / "golden.npz"))
        assert [gate.passed for gate in verdicts] == [passed]
        assert measured.record is None and measured.results[0].artifact.path == "light.tflite"
    measured, verdicts = bench(Request(files["light"], "host", QUICK))
    assert measured.results and verdicts == []


def test_a_file_of_a_bundle_is_measured_as_one_of_the_bundle(shipped):
    measured, verdicts = bench(Request(shipped / "android" / "light.tflite", "host", QUICK))
    assert [each.artifact.path for each in measured.results] == ["android/light.tflite"]
    assert len(verdicts) == 1 and len(recorded(shipped)) == 1


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"images": np.zeros((2, 4, 4, 3), np.uint8)}, "answers"),
        ({"images": np.zeros((2, 4, 4, 3), np.float32), "answers": np.zeros((2, 3))}, "not uint8"),
        ({"images": np.zeros((2, 4, 4, 3), np.uint8), "answers": np.zeros((1, 3))}, "2 images and 1 answers"),
        ({"images": np.zeros((1, 4, 4, 3), np.uint8), "answers": np.full((1, 3), np.nan)}, "finite"),
        ({"images": np.array([{}]), "answers": np.zeros((1, 3))}, "allow_pickle"),
    ],
)
def test_golden_answers_of_another_form_are_refused(files, tmp_path, arrays, said):
    np.savez(tmp_path / "g.npz", **arrays)
    with pytest.raises(RequestError, match=said):
        measure(Request(files["light"], "host", QUICK, golden=tmp_path / "g.npz"))


def test_what_can_be_measured_in_a_bundle_alone_is_refused(tmp_path, shipped):
    (tmp_path / "a.mlmodel").write_bytes(b"x")
    for request, said in (
        (Request(tmp_path / "a.mlmodel", "ios"), "cannot be measured alone"),
        (Request(shipped, "host", golden=tmp_path / "g.npz"), "--golden is for a file in no bundle"),
        (Request(shipped / "android" / "light.tflite", "host", only="*x*"), "--only chooses"),
        (Request(tmp_path / "none", "host"), "is no bundle"),
    ):
        with pytest.raises(RequestError, match=said):
            measure(request)


def test_what_is_lost_in_noise_is_measured_again_until_it_is_clear(tmp_path):
    baseline = [result([1.0, 1.0, 1.0], processes=3)]
    asked = []

    def measure():
        asked.append(1)
        return [result([1.0, 1.0, 1.0], processes=3)]

    (found,) = until_clear(measure, Limits(baseline=tmp_path, max_regression=0.05), baseline)
    assert len(asked) == 2 and found.runs == 6 and found.processes == 6  # three against three tell nothing
    assert found.latency_ms.p99 is not None
    asked.clear()
    until_clear(measure, Limits(), [])
    assert len(asked) == 1


@pytest.fixture
def run():
    app = typer.Typer()
    app.command()(command.bench)

    def call(*arguments):
        quick = ["--runs", "4", "--warmup", "1", "--processes", "2", "--threads", "1"]
        return typer.testing.CliRunner().invoke(app, [*map(str, arguments), *quick])

    return call


def test_the_command_writes_json_and_junit_and_shows_a_table(run, shipped, tmp_path):
    done = run(shipped, "--only", "*light*", "--json", tmp_path / "r.json", "--junit", tmp_path / "j.xml")
    assert done.exit_code == 0, done.output
    assert "light.tflite" in done.output and "1 of 1 gates passed" in done.output
    (read,) = results.read(tmp_path / "r.json")
    assert read.runs == 4 and read.golden.passed
    (suite,) = ET.parse(tmp_path / "j.xml").getroot()
    assert suite.get("failures") == "0" and float(suite.get("time")) > 0
    values = {each.get("name"): float(each.get("value")) for each in suite.find("testcase/properties")}
    assert values["median_ms"] == pytest.approx(read.latency_ms.median)
    assert (shipped / "measurements" / "index.html").is_file() and "measurements/index.html" in flat(done.output)


def test_the_command_fails_where_a_limit_is_missed(run, shipped, tmp_path):
    done = run(shipped, "--only", "*light*", "--max-median-ms", "0", "--junit", tmp_path / "j.xml")
    assert done.exit_code == 1 and "failed" in done.output
    assert 'failures="1"' in (tmp_path / "j.xml").read_text()


def test_a_benchmark_that_could_not_run_is_an_error_in_junit_too(run, tmp_path):
    done = run(tmp_path / "none", "--junit", tmp_path / "j.xml")
    assert isinstance(done.exception, RequestError)
    assert 'errors="1"' in (tmp_path / "j.xml").read_text()


def flat(text):
    return "".join(text.split("\n"))


@pytest.mark.parametrize("option", ["--json", "--junit"])
def test_a_file_that_cannot_be_written_is_told_before_measuring(run, shipped, tmp_path, monkeypatch, option):
    monkeypatch.setattr(host, "bench", never)
    (tmp_path / "file").write_text("")
    for path in (tmp_path, tmp_path / "file" / "r.json"):
        done = run(shipped, option, path)
        assert isinstance(done.exception, RequestError) and "cannot be written" in str(done.exception)


def test_a_baseline_without_these_files_is_an_error(run, shipped, tmp_path):
    baseline = tmp_path / "b.json"
    results.write(baseline, [result()])
    done = run(shipped, "--baseline", baseline, "--max-regression", "5%")
    assert isinstance(done.exception, RequestError) and "The baseline has no result" in str(done.exception)


def test_the_command_is_imported_without_what_it_needs_later():
    code = (
        "import sys, tfkd.benchmark.command\n"
        "sys.exit(any(name in sys.modules for name in ('numpy', 'pydantic', 'rich')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
