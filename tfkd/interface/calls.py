"""Shared parts of the public functions: errors of one line, and work in a separate process."""

import contextlib
import os
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tfkd.errors import InternalError, TfkdError, of_exit, of_the_machine
from tfkd.processes import FORKSERVER
from tfkd.progress import Progress
from tfkd.quiet import tensorflow_silenced
from tfkd.sandbox import ResourceLimits, Sandbox

PathLike = str | os.PathLike[str]

_DAYS = 10  # seconds without a message, which a run sends every few seconds


@contextlib.contextmanager
def public_call() -> Iterator[None]:
    """Wraps a public function: errors of libraries when the machine fails become errors of one line.

    So does exit() in code of a recipe. TensorFlow writes nothing when it is first imported inside the block.
    """
    try:
        with tensorflow_silenced():
            yield
    except SystemExit as error:
        raise of_exit(error) from None
    except TfkdError:
        raise
    except Exception as error:
        if described := of_the_machine(error):
            raise described from error
        raise


def apart(subject: Path, function: Callable[..., Any], *arguments: Any, progress: Progress) -> Any:
    """Returns the result of a function that runs in a separate process.

    TensorFlow is made deterministic there and limited to the machine's cores, and its memory is freed at the end. The
    caller's own TensorFlow does not change.

    Args:
        subject: subject of the work, for messages.
        function: function of a module, called with the arguments and `progress`.
        arguments: arguments of the function.
        progress: shows the progress of the function.

    Raises:
        TfkdError: raised by the function; an InternalError for any other exception.
    """
    limits = ResourceLimits(phase_seconds=_DAYS * 86_400, by_the_clock=1.0)
    with Sandbox(TfkdError, limits, FORKSERVER) as sandbox:
        return sandbox.call(subject, _described, function, arguments, progress=progress)


def _described(function: Callable[..., Any], arguments: tuple[Any, ...], progress: Progress) -> Any:
    try:
        with public_call():
            return function(*arguments, progress)
    except TfkdError:
        raise
    except Exception as error:
        raise InternalError(traceback.format_exc()) from error
