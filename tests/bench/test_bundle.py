import subprocess
import sys

import pytest
import typer.testing

from tests.bench.conftest import result
from tfkd.bench import command, results
from tfkd.bench.bundle import bench, until_clear
from tfkd.bench.driver import Options
from tfkd.bench.gates import Limits
from tfkd.bench.subject import manifest_of
from tfkd.errors import RequestError

QUICK = Options(runs=4, warmup=1, processes=2, threads=(1,))


def test_results_are_judged_and_kept_in_the_manifest(shipped):
    outcome = bench(shipped, "host", QUICK, Limits(max_median_ms=1e6))
    assert outcome.passed and len(outcome.results) == 2 and len(outcome.gates) == 4
    assert [entry.artifact for entry in manifest_of(shipped).bench] == ["android/heavy.tflite", "android/light.tflite"]
    assert subprocess.run(["sha256sum", "-c", "--quiet", "SHA256SUMS"], cwd=shipped, check=False).returncode == 0


def test_a_missed_limit_is_no_pass_and_the_results_are_kept(shipped):
    outcome = bench(shipped, "host", QUICK, Limits(max_median_ms=0.0), only="*light*")
    assert not outcome.passed and len(manifest_of(shipped).bench) == 1


def test_an_unknown_target_is_named(shipped):
    with pytest.raises(RequestError, match=r"no target 'hots'.*Did you mean 'host'"):
        bench(shipped, "hots", QUICK, Limits())


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
    assert 'failures="0"' in (tmp_path / "j.xml").read_text()


def test_the_command_fails_where_a_limit_is_missed(run, shipped, tmp_path):
    done = run(shipped, "--only", "*light*", "--max-median-ms", "0", "--junit", tmp_path / "j.xml")
    assert done.exit_code == 1 and "failed" in done.output
    assert 'failures="1"' in (tmp_path / "j.xml").read_text()


def test_a_benchmark_that_could_not_run_is_an_error_in_junit_too(run, tmp_path):
    done = run(tmp_path / "none", "--junit", tmp_path / "j.xml")
    assert isinstance(done.exception, RequestError)
    assert 'errors="1"' in (tmp_path / "j.xml").read_text()


def test_a_baseline_without_these_files_is_an_error(run, shipped, tmp_path):
    baseline = tmp_path / "b.json"
    results.write(baseline, [result()])
    done = run(shipped, "--baseline", baseline, "--max-regression", "5%")
    assert isinstance(done.exception, RequestError) and "The baseline has no result" in str(done.exception)


def test_the_command_is_imported_without_what_it_needs_later():
    code = (
        "import sys, tfkd.bench.command; sys.exit(any(name in sys.modules for name in ('numpy', 'pydantic', 'rich')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
