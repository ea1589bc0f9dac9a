"""What would make a plan faster: the same plan with one thing changed."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from tfkd.pipeline.scale.cluster import MachineGroup
from tfkd.pipeline.scale.model import planned
from tfkd.pipeline.scale.rates import MeasuredRate, Rates
from tfkd.pipeline.scale.workload import Workload

_Case = tuple[str, Workload, Rates, MachineGroup]


@dataclass(frozen=True)
class Improvement:
    """A change and the time of the whole plan with it.

    Attributes:
        change: in words.
        seconds: of all stages.
    """

    change: str
    seconds: float


def improvements(workload: Workload, rates: Rates, cluster: MachineGroup) -> list[Improvement]:
    """Returns every change that is tried, the one that saves the most time first."""
    tried = [
        Improvement(change, planned(work, speeds, machines).seconds)
        for change, work, speeds, machines in _cases(workload, rates, cluster)
    ]
    return sorted(tried, key=lambda each: each.seconds)


def _cases(workload: Workload, rates: Rates, cluster: MachineGroup) -> Iterator[_Case]:
    yield "twice the machines", workload, rates, replace(cluster, machines=2 * cluster.machines)
    yield "twice the cores per machine", workload, rates, replace(cluster, cores=2 * cluster.cores)
    if cluster.gpus:
        yield "twice the GPUs per machine", workload, rates, replace(cluster, gpus=2 * cluster.gpus)
    if cluster.machines > 1:
        yield "twice the speed of the shared storage", workload, rates, replace(cluster, link=2 * cluster.link)
    else:
        disk = {"reading": _doubled(rates.reading), "writing": _doubled(rates.writing)}
        yield "twice the speed of the disk", workload, rates.model_copy(update=disk), cluster
    if workload.views > 1:
        yield (
            f"{workload.views // 2} stored views per example",
            replace(workload, views=workload.views // 2),
            rates,
            cluster,
        )
    if workload.epochs > 1:
        halved = replace(workload, epochs=workload.epochs // 2)
        yield f"{halved.epochs} epochs per training of a student", halved, rates, cluster


def _doubled(rate: MeasuredRate) -> MeasuredRate:
    return MeasuredRate(median=2 * rate.median, min=2 * rate.min, max=2 * rate.max)
