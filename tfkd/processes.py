"""Child processes that have TensorFlow when they start, and that end with their parent."""

import multiprocessing
import multiprocessing.connection
import multiprocessing.forkserver
import os
import signal
import sys
import threading
import types
from typing import Any

# Importing TensorFlow takes longer than a short training or opening a model; a fork has it already.
FORKSERVER = multiprocessing.get_context("forkserver")
FORKSERVER.set_forkserver_preload(["tfkd.training.preloaded"])
_SERVER = multiprocessing.forkserver._forkserver


def start_server() -> None:
    """Starts the process that trainings are forked from, which Ctrl-C must not end: the terminal sends it to all."""
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread():
        return
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        _SERVER.ensure_running()
    finally:
        signal.signal(signal.SIGINT, before)


def server_address() -> str | None:
    """Returns where the running fork server listens, for a child that is to start processes from it as well."""
    address: str | None = vars(_SERVER)["_forkserver_address"]
    return address


def start(process: Any) -> None:
    """Starts a child process that does not import the script of the caller again.

    No child needs it, and a script that calls tfkd outside of `if __name__ == "__main__":` would call it again.
    """
    script = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        process.start()
    finally:
        sys.modules["__main__"] = script


def begin_child(server: str | None = None) -> None:
    """Has this process end with its parent, and leave nothing behind.

    When its parent is gone, even by SIGKILL, it ends, so that no orphan goes on working. Its semaphores, of which Core
    ML Tools' progress bars make one, are unlinked when they are made: those of a killed process would stay in /dev/shm.

    Args:
        server: the parent's `server_address`, from which this process starts its own children as well. Without it they
            are forked from a second server, which imports TensorFlow once more.
    """
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
