"""Several machines: docs/evidence of cluster.py."""

import statistics
from collections.abc import Callable

from tfkd.report import units
from tools.figures import evidence


def results() -> str:
    """Returns the table of kills, overhead and throughput."""
    found = evidence.read("cluster")
    kills, overhead, store = found["kills"], found["overhead"], found["store"]
    here, node = (statistics.median(overhead["seconds"][name]) for name in ("this machine", "one node"))
    one, two = (store[workers]["views_per_second"] for workers in ("1", "2"))
    rows = [
        ["quickstart and a sweep of six, a worker killed in the store, one in a training, the head in the sweep", ""],
        ["stores, predictions, weights and exported files compared", f"{kills['files']:,}"],
        ["of them not equal byte by byte to those of one machine", f"{len(kills['differing']):,}"],
        [f"quickstart on this machine, median of {len(overhead['ratios'])} in turns", units.seconds(here)],
        ["on a cluster of one node", units.seconds(node)],
        ["ratio", f"{overhead['ratio']:.2f} ({min(overhead['ratios']):.2f} to {max(overhead['ratios']):.2f})"],
        ["store, predictions per second of one process with one core", f"{one:,.0f}"],
        ["of two processes with one core each", f"{two:,.0f}"],
    ]
    return evidence.table([f"{kills['nodes']} nodes", ""], rows)


def figures() -> dict[str, Callable[[], str]]:
    """Returns the figures by name."""
    return {"cluster table": results}
