"""Turns signals that end a program into exceptions, so that it cleans up first."""

import contextlib
import os
import signal
from collections.abc import Iterator
from types import FrameType


class Terminated(BaseException):
    """The program was terminated by SIGTERM, or its terminal was closed (SIGHUP)."""


@contextlib.contextmanager
def cleaned_up() -> Iterator[None]:
    """Turns Ctrl-C, SIGTERM and the end of the terminal (SIGHUP) into exceptions inside a with-block.

    The first signal raises KeyboardInterrupt or Terminated in the main thread; later ones are ignored until the block
    ends, so that they do not interrupt the clean-up.
    """
    known = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in known}

    def leave(number: int, _frame: FrameType | None) -> None:
        for each in known:
            signal.signal(each, signal.SIG_IGN)
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        with contextlib.suppress(OSError):
            os.write(2, b"tfkd: terminated; cleaning up\n")  # sys.stderr may be in the middle of a line
        raise Terminated

    for number, handler in before.items():
        if handler is not signal.SIG_IGN:  # as under nohup
            signal.signal(number, leave)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
