"""Runs the long work of a run on the nodes of a Ray cluster.

Work is a plain value (`tfkd.training.children.Work`). A node does it in a child process, as this machine would, and
sends messages. Everything else (when a task runs and where, which nodes there are) is Ray's.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from tfkd.pipeline.executor import Executor, LocalExecutor
from tfkd.progress import Progress


@contextlib.contextmanager
def executor_on(cluster: str | None, folder: Path, progress: Progress) -> Iterator[Executor]:
    """Opens the executor of a run for the duration of a with-block.

    Args:
        cluster: address of a Ray cluster, or "auto" for the one that this machine is a node of; None: this machine.
        folder: folder of the run.
        progress: shows progress.

    Raises:
        RequestError: Ray is not installed, there is no cluster at the address, or a node has other software or does not
            see the folders of this one.
    """
    if cluster is None:
        yield LocalExecutor()
        return
    from tfkd.pipeline.cluster.connection import ClusterConnection
    from tfkd.pipeline.cluster.executor import ClusterExecutor

    connection = ClusterConnection(cluster, folder, progress.say)
    try:
        yield ClusterExecutor(connection)
    finally:
        connection.close()
