"""Exit codes of the command line, whatever a recipe, a model or a runtime does.

0 done, 1 a gate failed, 2 the request was wrong, 3 an internal error, 4 the machine or a device failed,
130 interrupted, 143 terminated.
"""

import sys
import tempfile
import traceback
from collections.abc import Callable

import typer
import typer.exceptions

from tfkd.errors import InternalError, MachineError, TfkdError, of_exit, of_the_machine
from tfkd.interruption import Terminated, cleaned_up
from tfkd.terminal import restore, say, say_lines

INTERRUPTED, TERMINATED = 130, 143  # 128 plus the number of the signal, as in a shell
_INTERNAL = "tfkd: internal error; please report it with the lines above"


def guarded(call: Callable[[], object]) -> int:
    """Runs a command; turns its exception into one line and an exit code."""
    try:
        with cleaned_up():
            code = _code(call)
            return _flushed(code)
    except Terminated:
        return TERMINATED
    except KeyboardInterrupt:
        say("tfkd: interrupted; the same command continues from the last checkpoint", error=True)
        return INTERRUPTED


def _code(call: Callable[[], object]) -> int:
    try:
        try:
            result = call()
        finally:
            restore()
        if result == INTERRUPTED:  # typer raises it for Ctrl-C
            raise KeyboardInterrupt
        return result if isinstance(result, int) else 0
    except InternalError as error:
        say_lines(f"{error}\n{_INTERNAL}", error=True)
        return error.exit_code
    except TfkdError as error:
        return _exit_code_of(error)
    except typer.exceptions.TyperException as error:
        context = getattr(error, "ctx", None)
        command = context.command_path if context else "tfkd"
        say(f"tfkd: {error.format_message().rstrip('.?')}. Try '{command} --help'.", error=True)
        return 2
    except typer.Exit as error:
        return error.exit_code
    except typer.Abort:
        raise KeyboardInterrupt from None
    except (KeyboardInterrupt, Terminated):
        raise
    except SystemExit as error:
        return _exit_code_of(of_exit(error))
    except BaseException as error:
        if reported := _of_the_machine(error):
            return _exit_code_of(reported)
        say_lines(f"{traceback.format_exc()}{_INTERNAL}", error=True)
        return 3


def _exit_code_of(error: TfkdError) -> int:
    say(f"tfkd: {error}", error=True)
    return error.exit_code


def _flushed(code: int) -> int:
    """Returns the exit code, or that of a standard output that cannot be written."""
    try:
        sys.stdout.flush()
    except MachineError as error:
        return _exit_code_of(error)
    return code


def _of_the_machine(error: BaseException) -> MachineError | None:
    try:
        tempfile.gettempdir()
    except FileNotFoundError:
        return MachineError("No folder for temporary files can be written. Set $TMPDIR to a writable folder.")
    return of_the_machine(error)
