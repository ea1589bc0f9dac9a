"""Programs that are silent, die or ask for more than they should."""

import time

import pytest

from tests.benchmark.conftest import ended
from tfkd.benchmark import programs
from tfkd.errors import MachineError, RequestError


def test_silence_has_a_limit_and_nothing_is_left_running(tmp_path):
    pid = tmp_path / "pid"
    code = f"sleep 60 & echo $! > {pid}; echo one; wait"
    began = time.monotonic()
    with pytest.raises(MachineError, match=r"gave no sign of life for 0\.5 seconds"):
        list(programs.spoken(["sh", "-c", code], "", 0.5))
    assert time.monotonic() - began < 20
    assert ended(int(pid.read_text()))


def test_nothing_is_left_running_when_the_caller_stops(tmp_path):
    pid = tmp_path / "pid"
    lines = programs.spoken(["sh", "-c", f"sleep 60 & echo $! > {pid}; echo one; wait"], "", 60)
    assert next(lines) == "one\n"
    lines.close()
    assert ended(int(pid.read_text()))


def test_a_program_that_only_repeats_one_line_is_ended():
    working = "for n in 1 2 3 4 5 6; do echo tfkd-alive $n; sleep 0.3; done; echo done"
    assert list(programs.living(["sh", "-c", working], 1.0)) == ["done\n"]
    hanging = "for n in $(seq 100); do echo tfkd-alive 1; sleep 0.1; done"
    with pytest.raises(MachineError, match="no sign of life for 1 seconds"):
        list(programs.living(["sh", "-c", hanging], 1.0))


def test_a_missing_program_is_named():
    with pytest.raises(RequestError, match="Cannot start no-such-program"):
        list(programs.spoken(["no-such-program"], "", 1))


def test_arguments_are_read_by_no_shell(tmp_path):
    (line,) = programs.spoken(["echo", f"$(touch {tmp_path}/x); `id`"], "", 20)
    assert line == f"$(touch {tmp_path}/x); `id`\n" and not (tmp_path / "x").exists()


def test_stdin_reaches_the_program():
    assert list(programs.spoken(["cat"], "job\n", 20)) == ["job\n"]
