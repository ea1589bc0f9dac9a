"""Keeps what converters and runtimes write past Python's streams off the user's terminal."""

import contextlib
import io
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator


def quieten() -> None:
    """Tells TensorFlow, before it is loaded, to log errors alone, unless the user wants more."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


@contextlib.contextmanager
def libraries_silenced() -> Iterator[None]:
    """Loads TensorFlow and Keras without what they write when they are first imported; cheap once they are loaded."""
    if "tensorflow" in sys.modules:
        yield
        return
    quieten()
    with native_logs_silenced():
        yield


@contextlib.contextmanager
def native_logs_silenced() -> Iterator[None]:
    """Discards what is written to stderr inside the block, its file descriptor included: C++ logs go there directly.

    Exceptions still carry the converters' messages. The descriptor belongs to the whole process, so a block is kept to
    one call of a converter or a runtime.
    """
    with (
        tempfile.TemporaryFile() as discarded,
        contextlib.redirect_stderr(io.StringIO()),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        terminal = os.dup(2)
        try:
            os.dup2(discarded.fileno(), 2)
            yield
        finally:
            os.dup2(terminal, 2)
            os.close(terminal)
