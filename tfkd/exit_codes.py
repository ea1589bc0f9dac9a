"""Exit codes: 0 done, 1 a gate failed, 2 wrong request, 3 internal error, 4 the machine or a device did not let it."""

import os
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path

import typer
import typer.exceptions

from tfkd.errors import InternalError, MachineError, TfkdError, legible, of_the_machine

_INTERNAL = "tfkd: internal error; please report it with the lines above"


def guarded(call: Callable[[], object]) -> int:
    """Runs a command and turns its errors into one line and an exit code."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # the caller closed it
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115
    try:
        result = call()
        sys.stdout.flush()
        return result if isinstance(result, int) else 0
    except InternalError as error:
        print(f"{error}\n{_INTERNAL}", file=sys.stderr)
        return error.exit_code
    except TfkdError as error:
        print(f"tfkd: {legible(str(error))}", file=sys.stderr)
        return error.exit_code
    except typer.exceptions.TyperException as error:
        print(f"tfkd: {error.format_message()} Try 'tfkd --help'.", file=sys.stderr)
        return 2
    except typer.Exit as error:
        return error.exit_code
    except (KeyboardInterrupt, typer.Abort):
        print("tfkd: interrupted; the same command goes on from the last checkpoint", file=sys.stderr)
        return 130
    except Exception as error:
        if told := _of_the_machine(error):
            print(f"tfkd: {legible(str(told))}", file=sys.stderr)
            return told.exit_code
        traceback.print_exc()
        print(_INTERNAL, file=sys.stderr)
        return 3


def _of_the_machine(error: Exception) -> MachineError | None:
    try:
        print(flush=True)
    except OSError as stuck:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains once more at its end
        return MachineError(f"Cannot write to the standard output: {stuck.strerror}. Send it to another file or disk.")
    try:
        tempfile.gettempdir()
    except FileNotFoundError:
        return MachineError("No folder for temporary files can be written. Set $TMPDIR to one that can.")
    return of_the_machine(error)
