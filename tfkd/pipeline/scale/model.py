"""Time, bytes and money of each stage of a run on some machines; pure arithmetic.

Each machine takes as long as its slowest part: decoding on the cores, the networks on the devices, reading and writing.
Without a GPU the cores do the first two one after the other. Nothing is counted as cached, and all devices of a machine
together are counted as that many times as fast as one.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Literal

from tfkd.pipeline.scale.cluster import MachineGroup
from tfkd.pipeline.scale.rates import Rates
from tfkd.pipeline.scale.workload import Workload

Bottleneck = Literal["decoding", "network", "reading", "writing", "checksums"]


@dataclass(frozen=True)
class Load:
    """What one machine does in one stage.

    Attributes:
        core_seconds: of one core, for examples and views.
        device_seconds: of one device, for networks.
        read: bytes.
        written: bytes.
        one_core_seconds: of work that only one core does.
    """

    core_seconds: float = 0.0
    device_seconds: float = 0.0
    read: float = 0.0
    written: float = 0.0
    one_core_seconds: float = 0.0


@dataclass(frozen=True)
class PlannedStage:
    """One stage of a plan.

    Attributes:
        name: check, teacher, store, join or students.
        machines: that work in it.
        seconds: until the last of them has finished.
        bottleneck: what these machines wait for.
        waiting: of the seconds, those for the slowest machine, while others have finished.
        read: bytes read by all machines.
        written: bytes that remain.
        price: of the machines that work in it; None without a price.
    """

    name: str
    machines: int
    seconds: float
    bottleneck: Bottleneck
    waiting: float
    read: float
    written: float
    price: float | None


@dataclass(frozen=True)
class ScalePlan:
    """The stages of a run, in order."""

    stages: tuple[PlannedStage, ...]

    @property
    def seconds(self) -> float:
        """Time of all stages."""
        return sum(stage.seconds for stage in self.stages)

    @property
    def written(self) -> float:
        """Bytes that remain."""
        return sum(stage.written for stage in self.stages)

    @property
    def machines(self) -> int:
        """The most machines that work in one stage."""
        return max(stage.machines for stage in self.stages)

    @property
    def price(self) -> float | None:
        """Price of the machines while they work; None without a price."""
        prices = [stage.price for stage in self.stages if stage.price is not None]
        return sum(prices) if prices else None

    @property
    def slowest(self) -> PlannedStage:
        """The stage that takes the most time."""
        return max(self.stages, key=lambda stage: stage.seconds)

    def stage(self, name: str) -> PlannedStage:
        """Returns a stage by its name."""
        return next(stage for stage in self.stages if stage.name == name)


def planned(workload: Workload, rates: Rates, cluster: MachineGroup) -> ScalePlan:
    """Returns the plan of a workload; one machine works alone where its disk is faster than the shared storage."""
    plans = [
        ScalePlan(tuple(_stages(workload, rates, replace(cluster, machines=machines))))
        for machines in dict.fromkeys((cluster.machines, 1))
    ]
    return min(plans, key=lambda plan: plan.seconds)


def slowest_of(machines: int, spread: float) -> float:
    """Returns the expected time of the slowest of some machines, as a multiple of the mean.

    The times are normally distributed; the approximation of the largest normal deviate is that of Blom (1958).
    """
    return 1.0 + spread * NormalDist().inv_cdf((machines - 0.375) / (machines + 0.25))


def fewest(units: int, machines: int) -> int:
    """Returns the fewest machines that finish equal units of work as early as `machines` do."""
    return math.ceil(units / math.ceil(units / machines))


def _stages(workload: Workload, rates: Rates, cluster: MachineGroup) -> Iterator[PlannedStage]:
    yield _stage("check", 1, _check(workload, rates), rates, cluster)
    teacher = _teacher(workload, rates)
    if teacher.device_seconds:
        yield _stage("teacher", 1, teacher, rates, cluster)
    views = workload.examples * workload.views
    shards = workload.views * math.ceil(workload.examples / rates.views_per_shard)
    machines = fewest(shards, cluster.machines)
    share = math.ceil(shards / machines) / shards  # of the machine with the most shards
    yield _stage("store", machines, _store(share * views, rates), rates, cluster, views * rates.view_bytes)
    if machines > 1:
        size = views * rates.view_bytes
        join = Load(read=size, one_core_seconds=size / rates.hashing.median)
        yield _stage("join", 1, join, rates, cluster)
    machines = fewest(workload.trainings, cluster.machines)
    shown = math.ceil(workload.trainings / machines) * workload.examples * workload.epochs
    yield _stage("students", machines, _students(shown, rates), rates, cluster)


def _check(workload: Workload, rates: Rates) -> Load:
    examples = workload.examples
    return Load(core_seconds=examples / rates.checking.median, read=examples * rates.example_bytes)


def _teacher(workload: Workload, rates: Rates) -> Load:
    shown, device = 0, 0.0
    for work, rate in zip(workload.teachers, rates.teachers, strict=True):
        shown += workload.labelled * (work.passes + work.epochs)
        device += workload.labelled * (work.passes / rate.predicting.median + work.epochs / rate.training.median)
    return Load(shown / rates.viewing.median, device, shown * rates.example_bytes)


def _store(views: float, rates: Rates) -> Load:
    return Load(
        core_seconds=views / rates.viewing.median,
        device_seconds=views / rates.predicting,
        read=views * rates.example_bytes,
        written=views * rates.view_bytes,
    )


def _students(shown: int, rates: Rates) -> Load:
    return Load(
        core_seconds=shown / rates.viewing.median,
        device_seconds=shown / rates.training.median,
        read=shown * (rates.example_bytes + rates.view_bytes),
    )


def _stage(
    name: str, machines: int, load: Load, rates: Rates, cluster: MachineGroup, written: float = 0.0
) -> PlannedStage:
    mean, bottleneck = _time(load, rates, cluster)
    seconds = mean * slowest_of(machines, cluster.spread)
    price = None if cluster.per_hour is None else machines * seconds / 3600 * cluster.per_hour
    return PlannedStage(name, machines, seconds, bottleneck, seconds - mean, machines * load.read, written, price)


def _time(load: Load, rates: Rates, cluster: MachineGroup) -> tuple[float, Bottleneck]:
    """Returns the seconds of one machine, and the largest part of what it waits for."""
    shared = cluster.machines > 1
    device = load.device_seconds / cluster.gpus if cluster.gpus else load.device_seconds * rates.cores / cluster.cores
    compute: dict[Bottleneck, float] = {"decoding": load.core_seconds / cluster.cores, "network": device}
    others: dict[Bottleneck, float] = {
        "checksums": load.one_core_seconds,
        "reading": load.read / (cluster.link if shared else rates.reading.median),
        "writing": load.written / (cluster.link if shared else rates.writing.median),
    }
    groups = [{name: seconds} for name, seconds in others.items()]
    groups += [{name: seconds} for name, seconds in compute.items()] if cluster.gpus else [compute]
    longest = max(groups, key=lambda group: sum(group.values()))
    return sum(longest.values()), max(longest, key=lambda name: longest[name])
