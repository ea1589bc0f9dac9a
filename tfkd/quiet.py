"""Keeps what converters and runtimes write past Python's streams off the user's terminal."""

import contextlib
import io
import os
import tempfile
import warnings
from collections.abc import Iterator


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
