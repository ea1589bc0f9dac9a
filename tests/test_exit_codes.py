"""Every end of a command has its documented exit code, and at most one line."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from tfkd.cli import execute
from tfkd.errors import MachineError, RequestError, TfkdError
from tfkd.exit_codes import guarded

HEADER = """
from tfkd.recipe import *
recipe = Recipe(
    name="r", data=Data(source="folder:none"), teachers=[Teacher(model="efficientnet_lite0", weights="none")]
)
"""


def ended(error: BaseException) -> int:
    def fail() -> None:
        raise error

    return guarded(fail)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (RequestError("wrong"), 2),
        (TfkdError("broken"), 3),
        (MachineError("full"), 4),
        (MemoryError(), 4),
        (OSError(28, "No space left on device"), 4),
        (SystemExit(7), 2),
        (SystemExit("text\n\x1b[31m"), 2),
        (typer.Exit(1), 1),
        (KeyboardInterrupt(), 130),
        (typer.Abort(), 130),
    ],
)
def test_an_error_has_its_code_and_at_most_one_line(
    error: BaseException, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ended(error) == code
    printed = capsys.readouterr().err
    assert printed.count("\n") == (0 if code == 1 else 1) and "\x1b" not in printed and "Traceback" not in printed


@pytest.mark.parametrize("error", [ZeroDivisionError(), RecursionError("\x1b[31m"), GeneratorExit(), BaseException()])
def test_other_errors_are_internal_ones_with_a_legible_traceback(
    error: BaseException, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ended(error) == 3
    printed = capsys.readouterr().err
    assert "Traceback" in printed and "\x1b" not in printed
    assert printed.endswith("tfkd: internal error; please report it with the lines above\n")


def test_no_error_is_0_and_a_code_is_kept() -> None:
    assert guarded(lambda: None) == 0
    assert guarded(lambda: 1) == 1


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 143)], ids=lambda each: str(each)
)
def test_signals_end_a_command_once_it_has_cleaned_up(number: int, code: int) -> None:
    cleaned = []

    def work() -> None:
        try:
            os.kill(os.getpid(), number)
            pytest.fail("the signal was ignored")
        except Exception:
            pytest.fail("a library takes the signal for an error")
        finally:
            os.kill(os.getpid(), signal.SIGTERM)  # a second one does not break off the cleaning up
            cleaned.append(True)

    before = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    assert guarded(work) == code and cleaned
    assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)] == before


@pytest.mark.parametrize(
    ("first", "code", "message"),
    [
        ("raise KeyboardInterrupt", 130, "interrupted"),
        ("raise MemoryError", 4, "memory"),
        ("raise SystemExit(0)", 2, "SystemExit: 0"),
        ("import sys; sys.stdout.close(); print('hello')", 2, "folder:none"),
        ("import os; os.close(1)", 2, "folder:none"),
        ("import sys; sys.stderr.close()", 2, "folder:none"),
        ("import sys; sys.stdout = sys.stderr = None", 2, "folder:none"),
        ("import threading, time; threading.Thread(target=time.sleep, args=(600,)).start()", 2, "folder:none"),
    ],
)
def test_a_recipe_cannot_choose_the_exit_code(tmp_path: Path, first: str, code: int, message: str) -> None:
    (tmp_path / "r.py").write_text(first + HEADER)
    command = [sys.executable, "-m", "tfkd.cli", "plan", "r.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stderr.count("\n")) == (code, 1)
    assert message.removeprefix("folder:") in done.stderr


def test_arguments_that_are_no_text(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (
        ["verify", "\udcff"],
        ["list", "\udcff"],
        ["\udcff"],
        ["run", "\udcff\x1b.py"],
        ["report", "\udcff"],
    ):
        assert execute(arguments) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("tfkd: ") and "\\udcff" in line and line.isprintable()
