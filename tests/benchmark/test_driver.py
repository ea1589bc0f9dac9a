"""The driver against programs that misbehave as boards do."""

import json
import sys

import pytest

from tfkd.benchmark import driver
from tfkd.benchmark.driver import RunnerPlace
from tfkd.benchmark.options import HostOptions
from tfkd.benchmark.programs import ChildError
from tfkd.benchmark.subject import of_files
from tfkd.errors import RequestError


def answering(code, files):
    place = RunnerPlace(
        "host", "the board", [sys.executable, "-c", code], {name: str(path) for name, path in files.items()}, None
    )
    return driver.run(place, of_files(files), HostOptions(runs=1, patience=20))


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('{"measured": 7}', "never says"),
        ('{"surprise": 1}', "surprise"),
        ("{", "never says"),
        ("Welcome to the board!", "without results"),
        ("", "without results"),
    ],
)
def test_invalid_output_of_the_runner_is_one_clear_line(files, line, expected):
    with pytest.raises(RequestError, match=expected) as caught:
        answering(f"print({line!r})", files)
    assert "the board" in str(caught.value) and "\n" not in str(caught.value)


def test_results_of_a_file_that_was_not_sent_are_refused(files):
    measured = {
        "artifact": "other", "threads": 1, "warmup": 0, "processes": 1, "samples_ms": [1.0], "cpu_ms": [],
        "yardstick_ms": [], "init_ms": 1, "first_inference_ms": 1, "peak_memory_mb": None, "partitions": 1,
        "answers": [],
    }  # fmt: skip
    event = {"device": {"os": "L", "abi": "a"}, "runtime": {"name": "LiteRT", "version": "2"}, "measured": [measured]}
    with pytest.raises(RequestError, match="'other'"):
        answering(f"print({json.dumps(event)!r})", files)


def test_a_dead_program_is_reported_with_its_code_and_last_line(files):
    with pytest.raises(ChildError) as caught:
        answering("import sys; print('so be it', file=sys.stderr); sys.exit(9)", files)
    assert caught.value.code == 9 and caught.value.last_line == "so be it"


@pytest.mark.parametrize(("abi", "rung"), [("x86_64", "x86"), ("AMD64", "x86"), ("aarch64", "device")])
def test_evidence_levels(abi, rung):
    assert driver.evidence_level(abi) == rung


def test_the_runner_is_measured_where_no_module_can_take_its_place(files, tmp_path, monkeypatch):
    """A file called json.py in the current folder is not what the runner imports."""
    from tfkd.benchmark import host

    (tmp_path / "json.py").write_text("raise SystemExit(5)")
    monkeypatch.chdir(tmp_path)
    assert host.bench("", of_files({"light": files["light"]}), HostOptions(runs=1, warmup=0, threads=(1,)))
