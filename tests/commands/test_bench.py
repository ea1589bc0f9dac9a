"""`tfkd bench`: its flags, its output and its refusals."""

import dataclasses
import subprocess
import sys
import xml.etree.ElementTree as ET

import pytest
import typer
import typer.testing

from tests.benchmark.conftest import result
from tfkd.benchmark import TARGETS, host
from tfkd.benchmark.options import flag
from tfkd.bundle import results
from tfkd.commands import bench
from tfkd.errors import RequestError


def never(*_args, **_more):
    raise AssertionError("it was measured")


@pytest.fixture
def run():
    app = typer.Typer()
    app.command()(bench.bench)

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


def test_the_command_fails_when_a_limit_is_missed(run, shipped, tmp_path):
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
def test_a_file_that_cannot_be_written_is_refused_before_measuring(run, shipped, tmp_path, monkeypatch, option):
    monkeypatch.setattr(host, "bench", never)
    (tmp_path / "file").write_text("")
    for path in (tmp_path, tmp_path / "file" / "r.json"):
        done = run(shipped, option, path)
        assert isinstance(done.exception, RequestError) and "cannot be written" in str(done.exception)
    done = run(shipped, option, shipped / "manifest.json")
    assert isinstance(done.exception, RequestError) and "which is sealed" in str(done.exception)
    done = run(shipped, "--json", tmp_path / "one", "--junit", tmp_path / "one")
    assert isinstance(done.exception, RequestError) and "one would replace" in str(done.exception)


def test_a_baseline_without_these_files_is_an_error(run, shipped, tmp_path):
    baseline = tmp_path / "b.json"
    results.write(baseline, [result()])
    done = run(shipped, "--baseline", baseline, "--max-regression", "5%")
    assert isinstance(done.exception, RequestError) and "The baseline has no result" in str(done.exception)


def test_the_command_is_imported_without_heavy_libraries():
    code = (
        "import sys, tfkd.commands.bench\nsys.exit(any(name in sys.modules for name in ('numpy', 'pydantic', 'rich')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_every_option_of_every_target_is_a_flag_with_its_default(run):
    shown = " ".join(run("--help").output.split())
    for target in TARGETS.values():
        for each in dataclasses.fields(target.options):
            assert f"{flag(each.name)} " in shown
            if isinstance(each.default, str | int | float) and not isinstance(each.default, bool):
                assert f"[default: {each.default}" in shown


def test_flags_reach_the_target_by_name(run, shipped, monkeypatch):
    heard = []
    monkeypatch.setattr(host, "bench", lambda _address, _subject, options, *_: heard.append(options) or [result()])
    assert run(shipped, "--no-record", "--patience", "7").exit_code == 0
    (options,) = heard
    assert (options.runs, options.warmup, options.processes, options.threads, options.patience) == (4, 1, 2, (1,), 7)


def test_a_flag_that_the_target_does_not_read_is_refused(run, shipped, monkeypatch):
    monkeypatch.setattr(host, "bench", never)
    done = run(shipped, "--keep")
    assert isinstance(done.exception, RequestError)
    assert str(done.exception) == "--keep is for android; the target host does not read it. Leave it out."
