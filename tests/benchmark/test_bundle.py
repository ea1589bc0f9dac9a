import subprocess

import numpy as np
import pytest

from tests.benchmark.conftest import counted, result
from tfkd.benchmark import host
from tfkd.benchmark.arm64 import target as arm64
from tfkd.benchmark.bundle import BenchRequest, bench, measure, until_clear
from tfkd.benchmark.gates import Limits
from tfkd.benchmark.subject import of_files
from tfkd.bundle import measurements, results
from tfkd.errors import MachineError, RequestError

QUICK = {"runs": 4, "warmup": 1, "processes": 2, "threads": (1,)}


def never(*_args, **_more):
    raise AssertionError("it was measured")


def recorded(folder):
    return [result for record in measurements.read(folder) for result in record.content.results]


def is_sealed(folder):
    return subprocess.run(["sha256sum", "-c", "--quiet", "SHA256SUMS"], cwd=folder, check=False).returncode == 0


def test_results_are_recorded_in_a_dated_file_and_the_seal_holds(shipped):
    before = {path.name: path.read_bytes() for path in shipped.iterdir() if path.is_file()}
    measured, verdicts = bench(BenchRequest(shipped, "host", QUICK, Limits(max_median_ms=1e6)))
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


def test_an_exceeded_limit_fails_and_the_results_are_kept(shipped):
    _, verdicts = bench(BenchRequest(shipped, "host", QUICK, Limits(max_median_ms=0.0), only="*light*"))
    assert not all(gate.passed for gate in verdicts) and len(recorded(shipped)) == 1


def test_results_that_cannot_be_judged_are_recorded(shipped, tmp_path, monkeypatch):
    """Noise is known only when it has been measured: the results are kept before."""
    monkeypatch.setattr(host, "bench", lambda *_: [noisy(shipped)])
    results.write(tmp_path / "b.json", [noisy(shipped)])
    limits = Limits(baseline=tmp_path / "b.json", max_regression=0.05)
    measured = measure(BenchRequest(shipped, "host", QUICK, limits, only="*light*"))
    (kept,) = recorded(shipped)
    assert kept.runs == 15, "measured four times more"
    with pytest.raises(MachineError, match="too noisy"):
        measured.judged()


def noisy(folder):
    samples = [1.0, 9.0, 5.0]
    artifact = results.File(path="android/light.tflite", sha256=of_files_hash(folder, "light"))
    return result(samples, artifact=artifact, processes=1)


def test_no_record_keeps_no_results(shipped):
    measured = measure(BenchRequest(shipped, "host", QUICK, only="*light*", record=False))
    assert measured.record is None and not (shipped / "measurements").exists()


def test_a_bundle_that_cannot_be_written_is_refused_before_measuring(shipped, monkeypatch):
    monkeypatch.setattr(host, "bench", never)
    (shipped / "measurements").write_text("a file")
    with pytest.raises(RequestError, match=r"cannot be recorded .* --no-record"):
        measure(BenchRequest(shipped, "host", QUICK))


def test_an_unknown_target_is_named(shipped):
    with pytest.raises(RequestError, match=r"no target 'hots'.*Did you mean 'host'"):
        bench(BenchRequest(shipped, "hots", QUICK))


@pytest.mark.parametrize(
    ("target", "more", "message"),
    [
        ("host", {"python": "python3.12"}, "--python is for ssh; the target host does not read it"),
        ("host", {"cores": (1,)}, "--cores is for android; the target host does not"),
        ("arm64", {"threads": (2,)}, "--threads is for host, ssh and android; the target arm64"),
        ("host", {"rnus": 5}, "no option 'rnus'.* Did you mean 'runs'"),
        ("android", {"delegate": ("tpu",)}, "no delegate 'tpu'. Known: cpu, gpu, npu"),
    ],
)
def test_options_that_a_target_does_not_read_are_refused(shipped, target, more, message):
    with pytest.raises(RequestError, match=message):
        measure(BenchRequest(shipped, target, more))


@pytest.mark.parametrize(
    ("target", "limits", "message"),
    [
        ("host", {"max_instructions": 5}, "--max-instructions is for arm64; the target host does not measure that"),
        ("arm64", {"max_median_ms": 5}, "--max-median-ms is for host, .*; the target arm64 does not measure"),
    ],
)
def test_limits_on_what_a_target_does_not_measure_are_refused(shipped, monkeypatch, target, limits, message):
    monkeypatch.setattr(host, "bench", never)
    monkeypatch.setattr(arm64, "bench", never)
    with pytest.raises(RequestError, match=message):
        measure(BenchRequest(shipped, target, limits=Limits(**limits)))


def test_a_baseline_of_other_files_or_of_another_device_is_refused_before_measuring(shipped, tmp_path, monkeypatch):
    artifact = results.File(path="android/light.tflite", sha256="0" * 64)
    here = results.Device(**results.Device(os="x", abi="y").model_dump() | {"soc": "Another 1"})
    for baseline, message in (
        ([result()], r"no result of android/light\.tflite by host"),
        ([counted(5, artifact=artifact)], r"no result of android/light\.tflite by host"),
        ([result(artifact=artifact, samples_ms=[], latency_ms={"median": 1, "min": 1})], "has no samples"),
        ([result(artifact=artifact, device=here)], r"no result of android/light\.tflite on .* by host"),
    ):
        results.write(tmp_path / "b.json", baseline)
        limits = Limits(baseline=tmp_path / "b.json", max_regression=0.05)
        monkeypatch.setattr("tfkd.benchmark.driver._result", never)
        with pytest.raises(RequestError, match=message):
            measure(BenchRequest(shipped, "host", QUICK, limits, only="*light*"))
    assert recorded(shipped) == []


def test_a_baseline_with_other_numbers_of_threads_is_refused_before_measuring(shipped, tmp_path, monkeypatch):
    measured = measure(BenchRequest(shipped, "host", QUICK, only="*light*", record=False))
    results.write(tmp_path / "b.json", measured.results)
    monkeypatch.setattr("tfkd.benchmark.driver._result", never)
    limits = Limits(baseline=tmp_path / "b.json", max_regression=0.05)
    with pytest.raises(RequestError, match=r"on .* with 2 threads by host"):
        measure(BenchRequest(shipped, "host", {**QUICK, "threads": (2,)}, limits, only="*light*"))


def test_a_single_file_is_measured_and_compared_with_golden_predictions(files, tmp_path):
    from tfkd.verification import tflite

    images = np.random.default_rng(3).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    right = tflite.predict(files["light"], [images])
    for answers, passed in ((right, True), (right[:, ::-1], False)):
        np.savez(tmp_path / "golden.npz", images=images, answers=answers)
        measured, verdicts = bench(BenchRequest(files["light"], "host", QUICK, golden=tmp_path / "golden.npz"))
        assert [gate.passed for gate in verdicts] == [passed]
        assert measured.record is None and measured.results[0].artifact.path == "light.tflite"
    measured, verdicts = bench(BenchRequest(files["light"], "host", QUICK))
    assert measured.results and verdicts == []


def test_a_file_of_a_bundle_is_measured_as_one_of_the_bundle(shipped):
    measured, verdicts = bench(BenchRequest(shipped / "android" / "light.tflite", "host", QUICK))
    assert [each.artifact.path for each in measured.results] == ["android/light.tflite"]
    assert len(verdicts) == 1 and len(recorded(shipped)) == 1


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"images": np.zeros((2, 4, 4, 3), np.uint8)}, "answers"),
        ({"images": np.zeros((2, 4, 4, 3), np.float32), "answers": np.zeros((2, 3))}, "not uint8"),
        ({"ids": np.zeros((2, 4), np.int64), "answers": np.zeros((2, 3))}, r"not int32 \[n, length\]"),
        ({"ids": np.zeros((1, 4), np.int32), "answers": np.zeros((2, 3))}, "has 1 ids and 2 answers"),
        ({"images": np.zeros((2, 4, 4, 3), np.uint8), "answers": np.zeros((1, 3))}, "has 2 images and 1 answers"),
        ({"images": np.zeros((1, 4, 4, 3), np.uint8), "answers": np.full((1, 3), np.nan)}, "finite"),
        ({"images": np.array([{}]), "answers": np.zeros((1, 3))}, "an array holds Python objects"),
        (
            {"images": np.zeros((1, 4, 4, 3), np.uint8), "answers": np.zeros((1, 3))},
            r"\[4, 4, 3\], and .* takes uint8 \[1, 32",
        ),
    ],
)
def test_golden_archives_of_another_form_are_refused(files, tmp_path, arrays, message):
    np.savez(tmp_path / "g.npz", **arrays)
    with pytest.raises(RequestError, match=message):
        measure(BenchRequest(files["light"], "host", QUICK, golden=tmp_path / "g.npz"))


def test_a_golden_file_that_is_no_archive_is_refused(files, tmp_path):
    (tmp_path / "g.npz").write_text("labels\n")
    with pytest.raises(RequestError, match=r"g\.npz is no \.npz file\. Save one"):
        measure(BenchRequest(files["light"], "host", QUICK, golden=tmp_path / "g.npz"))
    with pytest.raises(RequestError, match=r"tmp/?[^ ]* cannot be read: Is a directory\.$"):
        measure(BenchRequest(files["light"], "host", QUICK, golden=tmp_path))


def test_files_that_need_a_bundle_are_refused(tmp_path, shipped):
    (tmp_path / "a.mlmodel").write_bytes(b"x")
    for request, message in (
        (BenchRequest(tmp_path / "a.mlmodel", "ios"), "cannot be measured alone"),
        (BenchRequest(shipped, "host", golden=tmp_path / "g.npz"), "--golden is for a file in no bundle"),
        (BenchRequest(shipped / "android" / "light.tflite", "host", only="*x*"), "--only chooses"),
        (BenchRequest(tmp_path / "none", "host"), "is no bundle"),
    ):
        with pytest.raises(RequestError, match=message):
            measure(request)


def test_an_unclear_change_is_measured_again_until_it_is_clear(tmp_path):
    baseline = [result([1.0, 1.0, 1.0], processes=3)]
    calls = []

    def measure():
        calls.append(1)
        return [result([1.0, 1.0, 1.0], processes=3)]

    (found,) = until_clear(measure, Limits(baseline=tmp_path, max_regression=0.05), baseline)
    assert len(calls) == 2 and found.runs == 6 and found.processes == 6  # three against three tell nothing
    assert found.latency_ms.p99 is not None
    calls.clear()
    until_clear(measure, Limits(), [])
    assert len(calls) == 1


def test_stored_results_are_not_measured_again(shipped, tmp_path, monkeypatch):
    """They stay what they are, however often they are read, and however unclear their change is."""
    again = []

    def read(_address, _subject, _options, _progress, listener):
        listener.on_stored()
        again.append(1)
        return [noisy(shipped)]

    monkeypatch.setattr(host, "bench", read)
    results.write(tmp_path / "b.json", [noisy(shipped)])
    limits = Limits(baseline=tmp_path / "b.json", max_regression=0.05)
    measured = measure(BenchRequest(shipped, "host", QUICK, limits, only="*light*"))
    assert len(again) == 1 and measured.results[0].runs == 3
