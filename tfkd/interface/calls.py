"""Shared parts of the public functions: errors of one line, and work in a separate process."""

import contextlib
import os
import re
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tfkd import arguments
from tfkd.bundle.loading import Bundle
from tfkd.errors import InternalError, RequestError, TfkdError, cause, of_exit, of_the_machine
from tfkd.processes import FORKSERVER
from tfkd.progress import Progress
from tfkd.quiet import tensorflow_silenced
from tfkd.sandbox import ResourceLimits, Sandbox

_DATA = "a source such as 'folder:PATH', or a pair: (images or texts, labels)"
_DAYS = 10  # seconds without a message, which a run sends every few seconds

# Flags of the command line in messages, by the argument that each is in Python.
_PHRASES = {
    "`tfkd export --allow-code`": "`tfkd.export(..., allow_code=True)`",
    "`--image-size 224`, or image_size=224 in a recipe": "image_size=224",
    "`--vocabulary vocab.txt`": "vocabulary='vocab.txt'",
    "`--tokens 64`": "tokens=64",
    "--no-record": "record=False",
    "with --json FILE": "with record=True",
    "--import": "`imports`",
}
_FLAG = re.compile(
    r"(?<![\w-])--("
    "runs|out|name|labels|data|unseen|normalization|vocabulary|tokens|tflite|coreml|onnx|allow-code|image-size|until|"
    "fresh|smoke|rescue|hours|cluster|target|only|"
    "golden|record|baseline|max-[a-z0-9-]+|warmup|patience|processes|threads|ssh-config|python|benchmark-model|profile|"
    "delegate|cores|cooling|keep|file|alarm-rate|since|until|samples|teacher|"
    r"lock|locked|relock|lock-file)(?![\w-])"
)


@contextlib.contextmanager
def public_call() -> Iterator[None]:
    """Wraps a public function: errors of libraries when the machine fails become errors of one line.

    So do errors of the file system, and exit() in code of a recipe. Messages name arguments in place of flags.
    TensorFlow writes nothing when it is first imported inside the block.
    """
    try:
        with tensorflow_silenced():
            yield
    except SystemExit as error:
        raise of_exit(error) from None
    except InternalError:
        raise
    except TfkdError as error:
        if (message := with_arguments(str(error))) != str(error):
            error.args = (message,)
        raise
    except Exception as error:
        if described := of_the_machine(error):
            raise type(described)(with_arguments(str(described))) from error
        if isinstance(error, OSError):
            raise RequestError(f"{cause(error)}.") from error
        raise


def with_arguments(message: str) -> str:
    """Returns a message with the names of Python's arguments in place of flags of the command line."""
    for phrase, replacement in _PHRASES.items():
        message = message.replace(phrase, replacement)
    return _FLAG.sub(lambda found: f"`{found[1].replace('-', '_')}`", message)


def folder_of(name: str, bundle: Any, wanted: str = "a Bundle, or the path of its folder") -> Path:
    """Returns the folder of a bundle, or a path.

    Raises:
        RequestError: it is neither a Bundle nor a path; `name` is the argument that holds it.
    """
    return bundle.folder if isinstance(bundle, Bundle) else arguments.path(name, bundle, wanted)


def source_of(data: Any, name: str = "data") -> str | tuple[Any, Any]:
    """Returns an argument `name`: a source by its name, or arrays of images and labels.

    Raises:
        RequestError: it is neither.
    """
    if isinstance(data, tuple) and len(data) == 2:
        return data
    if not isinstance(data, str | os.PathLike):
        raise arguments.wrong(name, data, _DATA)
    source = str(arguments.path(name, data, _DATA))
    return data if isinstance(data, str) and ":" in data else f"folder:{source}"


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
