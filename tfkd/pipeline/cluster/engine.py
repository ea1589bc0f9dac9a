"""The connection to a Ray cluster, and the tasks that run on it."""

import contextlib
import functools
import logging
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tfkd.errors import RequestError, cause, counted, enumerated
from tfkd.pipeline.cluster.head import address_of, require_head
from tfkd.pipeline.cluster.nodes import Home, Node, home_of, this_node
from tfkd.pipeline.cluster.performing import greet, perform
from tfkd.pipeline.cluster.tasks import Tasks, WorkFinished
from tfkd.progress import Advance, Say
from tfkd.training.children import Work

_MEMORY = 1_500_000_000  # bytes that TensorFlow and the batches of one piece of work need
_ANSWER = 60.0  # seconds for the first answer of a node
_CLOCKS = 60.0  # seconds that clocks may be apart


@contextlib.contextmanager
def connected(cluster: str, folder: Path, say: Say) -> Iterator["Engine"]:
    """Connects to a cluster for the duration of a with-block.

    Args:
        cluster: its address, `host:port`, or "auto".
        folder: folder of the run.
        say: receives a line about the cluster.

    Raises:
        RequestError: Ray is not installed, there is no cluster at the address, or a node has other software.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError as error:
        raise RequestError(f"--cluster needs Ray ({error}); install tfkd with its extra `cluster`.") from None
    address = address_of(cluster)
    require_head(address)
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.CRITICAL)
    except Exception as error:
        raise RequestError(
            f"Cannot join the Ray cluster at {address}: {cause(error)} Start tfkd on one of its nodes, with the same "
            "version of Ray and Python."
        ) from error
    try:
        engine = Engine(ray, address, folder)
        for line in engine.checked():
            say(line)
        yield engine
    finally:
        ray.shutdown()


class Engine:
    """A connection to a Ray cluster.

    Args:
        ray: the module.
        address: address of the head.
        folder: folder of the run.

    Attributes:
        cores: number of cores of each node that can do work: with enough memory, and a GPU if any node has one.
    """

    def __init__(self, ray: Any, address: str, folder: Path) -> None:
        self._ray, self._address, self._folder = ray, address, folder
        self._here = this_node()
        alive = [node for node in ray.nodes() if node["Alive"]]
        self._hosts = {node["NodeID"]: str(node["NodeManagerAddress"]) for node in alive}
        resources = [node["Resources"] for node in alive]
        self._gpus = 1 if any(each.get("GPU", 0) >= 1 for each in resources) else 0
        able = [each for each in resources if each.get("memory", 0) >= _MEMORY and each.get("GPU", 0) >= self._gpus]
        self.cores = [int(each.get("CPU", 0)) for each in able if each.get("CPU", 0) >= 1]

    @functools.cached_property
    def _home(self) -> Home:
        """Written once the folder of the run is locked, because another process may work in it."""
        return home_of(self._folder)

    def checked(self) -> Iterator[str]:
        """Compares the software of all nodes with that of this one, and yields lines about the cluster.

        Raises:
            RequestError: a node has other software, or gives no answer.
        """
        if not self.cores:
            raise RequestError(
                f"No node of the cluster at {self._address} offers a core and {_MEMORY / 1e9:.1f} GB of memory; start "
                "nodes with --num-cpus and --memory."
            )
        asked = [self._asked(number) for number in self._hosts]
        found = [self._answer(task, host) for task, host in zip(asked, self._hosts.values(), strict=True)]
        if differing := [line for node in found if (line := self._here.difference(node))]:
            raise RequestError(
                f"Nodes have other software than {self._here.name}: {'; '.join(dict.fromkeys(differing))}. Install the "
                "same on all, from the same checkout and constraints."
            )
        gpus = ", a GPU for each task" if self._gpus else ""
        yield f"cluster {self._address}: {counted(len(self.cores), 'node')}, {counted(sum(self.cores), 'core')}{gpus}"
        if others := sorted({node.processor for node in found} - {self._here.processor}):
            yield f"  other processors, with which the last digits of results can differ: {enumerated(others)}"
        for node in found:
            if (apart := abs(node.clock - time.time())) > _CLOCKS:
                yield f"  the clock of {node.name} is {apart:,.0f} s off; no result depends on it"

    def run(
        self,
        works: Sequence[Work],
        threads: int,
        advance: Advance,
        say: Say,
        finished: WorkFinished = lambda number, result: None,
    ) -> list[Any]:
        """Does some work on the cluster, and returns the results in order; see `Tasks.run`.

        Args:
            works: the work.
            threads: threads of TensorFlow, and cores that each piece occupies; where the cluster has GPUs, one of these
                too.
            advance: called with the number of steps done; with a negative number where steps are done again.
            say: receives lines of the work.
            finished: called with the position of a piece in `works` and its result.
        """
        remote = self._ray.remote(perform).options(
            num_returns="streaming",
            num_cpus=threads,
            num_gpus=self._gpus,
            memory=_MEMORY,
            max_retries=0,
            scheduling_strategy="SPREAD",
        )
        home = self._home

        def start(work: Work) -> Any:
            return remote.remote(home, self._here, [self._ray.put(work)], threads)

        tasks = Tasks(self._ray, self._address, start, advance, say)
        return tasks.run(works, finished)

    def _asked(self, number: str) -> Any:
        """Asks a node for its software, and returns the task."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        place = NodeAffinitySchedulingStrategy(number, soft=False)
        return self._ray.remote(greet).options(num_cpus=0, max_retries=0, scheduling_strategy=place).remote()

    def _answer(self, task: Any, host: str) -> Node:
        try:
            node: Node = self._ray.get(task, timeout=_ANSWER)
        except Exception as error:
            raise RequestError(
                f"Node {host} of the cluster cannot work for tfkd: {cause(error)} Install the same tfkd there, or take "
                "the node out."
            ) from error
        return node
