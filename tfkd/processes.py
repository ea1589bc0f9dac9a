"""Child processes that have TensorFlow when they start, and that end with their parent."""

import multiprocessing
import multiprocessing.connection
import os
import threading

# Importing TensorFlow takes longer than a short training or opening a model; a fork has it already.
FORKSERVER = multiprocessing.get_context("forkserver")
FORKSERVER.set_forkserver_preload(["tfkd.distill.preloaded"])


def die_with_parent() -> None:
    """Ends this process when its parent is gone, even by SIGKILL, so that no orphan goes on working."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
