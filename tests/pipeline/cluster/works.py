"""Work for the nodes of a cluster in tests; each is called as a training is."""

import os
import signal
import time
from pathlib import Path

from tfkd.errors import RequestError
from tfkd.progress import Advance, Say
from tfkd.training.children import Work


def work(function: object, folder: Path, *arguments: object) -> Work:
    """Returns work in a folder of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    assert callable(function)
    return Work(function, (folder, *arguments), f"The work in {folder.name}", folder, seed=1)


def squared(folder: Path, number: int, advance: Advance, say: Say) -> int:
    """Does ten steps and says so."""
    for _ in range(10):
        advance(1)
    say(f"squared {number}")
    return number**2


def refused(folder: Path, advance: Advance, say: Say) -> None:
    """Fails as a wrong request does."""
    raise RequestError("no such class")


def broken(folder: Path, advance: Advance, say: Say) -> None:
    """Fails with an error of a library."""
    raise ValueError("shapes differ")


def dying(folder: Path, times: int, advance: Advance, say: Say) -> str:
    """Is killed the first `times` times, after three steps."""
    mark = folder / f"mark-{len(list(folder.glob('mark-*')))}"
    advance(3)
    time.sleep(1.0)  # until the steps are reported
    if len(list(folder.glob("mark-*"))) < times:
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    advance(7)
    return "done"


def waiting(folder: Path, advance: Advance, say: Say) -> str:
    """Runs until the file `go` is in the folder; leaves its process number behind."""
    (folder / f"pid-{os.getpid()}").touch()
    advance(1)
    for _ in range(6000):
        if (folder / "go").exists():
            return "went"
        time.sleep(0.1)
    raise TimeoutError(f"no file {folder / 'go'}")
