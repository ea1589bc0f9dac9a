"""Clusters of real Ray processes on this machine."""

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112  (the default 15 yields to every other test)
STORE = 80_000_000  # bytes of each node's object store, which holds messages alone


@pytest.fixture
def started() -> Iterator[Callable[[int], Any]]:
    """Starts clusters of a number of nodes with two cores each."""
    pytest.importorskip("ray", reason="Ray is not installed; the extra `cluster` brings it")
    from ray.cluster_utils import Cluster

    clusters = []

    def start(nodes: int) -> Any:
        head = {"num_cpus": 2, "include_dashboard": False, "object_store_memory": STORE}
        cluster = Cluster(initialize_head=True, head_node_args=head)
        clusters.append(cluster)
        for _ in range(nodes - 1):
            cluster.add_node(num_cpus=2, object_store_memory=STORE)
        return cluster

    yield start
    for cluster in clusters:
        cluster.shutdown()
