"""Child processes that start with TensorFlow loaded, and end with their parent; the processor time that all take."""

import contextlib
import multiprocessing
import multiprocessing.connection
import multiprocessing.forkserver
import os
import resource
import signal
import sys
import threading
import time
import types
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tfkd import import_path, machine

# Importing TensorFlow takes longer than a short training or opening a model; a fork has it loaded.
FORKSERVER = multiprocessing.get_context("forkserver")
FORKSERVER.set_forkserver_preload(["tfkd.training.preloaded"])
_SERVER = multiprocessing.forkserver._forkserver
_SAFE = "PYTHONSAFEPATH"

_reported: defaultdict[Path | None, float] = defaultdict(float)  # processor seconds by the folder of their work
_reporting = threading.Lock()


def start_server() -> None:
    """Starts the process that trainings are forked from, protected from Ctrl-C, which a terminal sends to all."""
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread():
        return
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with _without_current_folder():
            _SERVER.ensure_running()
    finally:
        signal.signal(signal.SIGINT, before)


def server_address() -> str | None:
    """Returns the address of the running fork server, for a child that also starts processes from it."""
    address: str | None = vars(_SERVER)["_forkserver_address"]
    return address


def start(process: Any) -> None:
    """Starts a child process that does not import the script of the caller.

    No child needs it, and a script that calls tfkd without `if __name__ == "__main__":` would run again.
    """
    with _without_current_folder():
        script = sys.modules["__main__"]
        sys.modules["__main__"] = types.ModuleType("__main__")
        try:
            process.start()
        finally:
            sys.modules["__main__"] = script


@contextlib.contextmanager
def _without_current_folder() -> Iterator[None]:
    """Keeps the current folder off the start of the import path of the processes that are started meanwhile.

    `multiprocessing` starts them with `python -c`, which would import anybody's `types.py` from that folder, and then
    gives them the import path of this process.
    """
    before, path = os.environ.get(_SAFE), sys.path[:]
    os.environ[_SAFE] = "1"
    sys.path[:] = import_path.of_children()
    try:
        yield
    finally:
        sys.path[:] = path
        if before is None:
            del os.environ[_SAFE]
        else:
            os.environ[_SAFE] = before


def begin_child(server: str | None = None) -> None:
    """Ends this process with its parent, without leftovers.

    The process ends when its parent does, even by SIGKILL. Its semaphores (Core ML Tools' progress bars create one) are
    unlinked when they are created, because those of a killed process would remain in /dev/shm.

    Args:
        server: the parent's `server_address`, from which this process starts children too. Without it they are forked
            from a second server, which imports TensorFlow again.
    """
    _reported.clear()
    import_path.protect_namespaces()
    multiprocessing.set_start_method("fork", force=True)
    if server is not None:
        vars(_SERVER)["_forkserver_address"] = server
        # It runs as long as this process holds its end of the server's pipe.
        _SERVER.ensure_running = lambda: None  # type: ignore[method-assign]
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def processor_seconds() -> float:
    """Returns the processor time of this process and its children so far, of all their threads, seconds.

    These are the children that were waited for, and those of the fork server as far as they reported their time: the
    system counts them as children of the server, which is never waited for. The start of the server is not included.
    """
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    with _reporting:
        return sum(usage.ru_utime + usage.ru_stime for usage in usages) + sum(_reported.values())


def reported_seconds(folder: Path) -> float:
    """Returns the processor time that children of the fork server reported for their work in a folder, seconds."""
    with _reporting:
        return sum(seconds for place, seconds in _reported.items() if place and place.is_relative_to(folder))


class ReportedTime:
    """The processor time of a child of the fork server, by the child's own reports.

    Args:
        folder: folder that it works in, for `reported_seconds`.

    Attributes:
        seconds: what was reported so far.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder, self._began = folder, time.monotonic()
        self.seconds = 0.0

    def report(self, seconds: Any) -> None:
        """Notes what a child reports; a damaged child may send anything, so that it counts at most all cores' time.

        Args:
            seconds: `processor_seconds()` of the child; ignored if it is no number or less than before.
        """
        if not isinstance(seconds, float):
            return
        found = min(seconds, machine.cores() * (time.monotonic() - self._began))
        if found > self.seconds:
            with _reporting:
                _reported[self._folder] += found - self.seconds
            self.seconds = found
