"""Time, bytes and money of a plan: by hand for round numbers, and properties that hold for all."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.pipeline.scale.rates import ONE, WORK, rate, rates
from tfkd.pipeline.scale.cluster import MachineGroup
from tfkd.pipeline.scale.improvements import improvements
from tfkd.pipeline.scale.model import fewest, planned, slowest_of
from tfkd.pipeline.scale.rates import Rates
from tfkd.pipeline.scale.workload import Workload

works = st.builds(
    lambda examples, views, epochs, trainings: replace(
        WORK, examples=examples, labelled=examples // 2 + 1, views=views, epochs=epochs, trainings=trainings
    ),
    st.integers(2, 10**9),
    st.integers(1, 40),
    st.integers(1, 300),
    st.integers(1, 10),
)
speeds = st.floats(1.0, 1e10).map(rate)
some_rates = st.builds(
    lambda viewing, training, reading, writing, hashing, size: rates(
        viewing=viewing, training=training, reading=reading, writing=writing, hashing=hashing, view_bytes=size
    ),
    st.floats(1.0, 1e5).map(rate),
    st.floats(1.0, 1e5).map(rate),
    speeds,
    speeds,
    speeds,
    st.floats(20, 1e5),
)
clusters = st.builds(
    lambda machines, gpus, cores, link, spread: MachineGroup(machines, gpus, cores, link, spread, 2.0),
    st.integers(1, 5000),
    st.integers(0, 16),
    st.integers(1, 256),
    st.floats(1e6, 1e11),
    st.floats(0, 0.5),
)


def test_one_machine_by_hand() -> None:
    plan = planned(WORK, rates(), ONE)
    check, teacher, store, students = plan.stages
    assert (check.name, check.seconds, check.bottleneck) == ("check", 100_000 / 200 / 4, "decoding")
    assert check.read == 100_000 * 1e5 and check.written == 0
    # 50,000 labelled examples: one pass for the head, two with the unfrozen network.
    assert (teacher.name, teacher.bottleneck) == ("teacher", "network")
    assert teacher.seconds == pytest.approx(50_000 / 1000 + 2 * 50_000 / 250)
    assert (store.name, store.bottleneck, store.written) == ("store", "decoding", 400_000 * 500)
    assert store.seconds == pytest.approx(400_000 / 100 / 4)
    # Two trainings one after the other, ten epochs each.
    assert (students.name, students.machines, students.bottleneck) == ("students", 1, "decoding")
    assert students.seconds == pytest.approx(2 * 10 * 100_000 / 100 / 4)
    assert plan.seconds == pytest.approx(125 + 450 + 1000 + 5000) and plan.written == 2e8
    assert plan.price == pytest.approx(plan.seconds / 100)  # 36 per hour
    assert all(stage.waiting == 0 for stage in plan.stages)


def test_several_machines_by_hand() -> None:
    cluster = replace(ONE, machines=4, link=1e9)
    plan = planned(WORK, rates(), cluster)
    assert [stage.name for stage in plan.stages] == ["check", "teacher", "store", "join", "students"]
    assert [stage.machines for stage in plan.stages] == [1, 1, 4, 1, 2]
    store, join, students = plan.stages[2:]
    assert store.seconds == pytest.approx(1000 / 4 * slowest_of(4, 0.1))
    assert store.waiting == pytest.approx(store.seconds - 250)
    assert store.price == pytest.approx(4 * store.seconds / 100)
    assert (join.seconds, join.bottleneck) == (pytest.approx(2e8 / 1e9), "checksums")
    assert students.seconds == pytest.approx(2500 * slowest_of(2, 0.1))


def test_a_teacher_decodes_for_its_head_too() -> None:
    teacher = planned(WORK, rates(), replace(ONE, gpus=8)).stage("teacher")
    assert (teacher.seconds, teacher.bottleneck) == (pytest.approx(3 * 50_000 / 100 / 4), "decoding")
    assert teacher.read == 3 * 50_000 * 1e5


def test_trainings_that_do_not_divide_by_the_machines() -> None:
    students = planned(replace(WORK, trainings=3), rates(), replace(ONE, machines=2)).stage("students")
    assert students.machines == 2 and students.seconds == pytest.approx(2 * 2500 * slowest_of(2, 0.1))


def test_without_a_gpu_the_cores_decode_and_compute_one_after_the_other() -> None:
    alone = rates(gpu=None)
    plan = planned(WORK, alone, replace(ONE, gpus=0))
    assert plan.stage("store").seconds == pytest.approx(400_000 / 100 / 4 + 400_000 / 1000)
    twice = planned(WORK, alone, replace(ONE, gpus=0, cores=8))
    assert twice.stage("store").seconds == pytest.approx(plan.stage("store").seconds / 2)
    two = planned(WORK, rates(), replace(ONE, gpus=2, cores=40))
    assert two.stage("teacher").seconds == pytest.approx(50 / 2 + 400 / 2)


@pytest.mark.parametrize(
    ("changes", "cluster", "stage", "bottleneck"),
    [
        ({}, ONE, "students", "decoding"),
        ({}, replace(ONE, cores=400), "students", "network"),
        ({"reading": rate(1e6)}, replace(ONE, cores=400), "students", "reading"),
        ({"writing": rate(1e3)}, ONE, "store", "writing"),
        ({"hashing": rate(1e6)}, replace(ONE, machines=4), "join", "checksums"),
        ({"reading": rate(1e6)}, replace(ONE, machines=4, link=1e7), "store", "reading"),
    ],
)
def test_what_a_stage_waits_for(changes: dict[str, Any], cluster: MachineGroup, stage: str, bottleneck: str) -> None:
    assert planned(WORK, rates(**changes), cluster).stage(stage).bottleneck == bottleneck


def test_the_slowest_machine_is_that_of_a_simulation() -> None:
    drawn = np.random.default_rng(1).normal(1.0, 0.1, (20_000, 32)).max(axis=1).mean()
    assert slowest_of(32, 0.1) == pytest.approx(drawn, abs=0.003)
    assert slowest_of(1, 0.1) == 1.0 and slowest_of(32, 0.0) == 1.0


@given(st.integers(1, 10**7), st.integers(1, 10**5))
def test_the_fewest_machines_finish_as_early(units: int, machines: int) -> None:
    few = fewest(units, machines)
    assert few <= machines and math.ceil(units / few) == math.ceil(units / machines)
    assert few == 1 or math.ceil(units / (few - 1)) > math.ceil(units / machines)


@given(works, some_rates, clusters, st.integers(1, 5000))
def test_more_machines_are_never_slower(work: Workload, found: Rates, cluster: MachineGroup, more: int) -> None:
    larger = replace(cluster, machines=cluster.machines + more)
    assert planned(work, found, larger).seconds <= planned(work, found, cluster).seconds * (1 + 1e-9)


@given(works, some_rates, clusters)
def test_no_resource_makes_a_plan_slower(work: Workload, found: Rates, cluster: MachineGroup) -> None:
    now = planned(work, found, cluster).seconds
    assert all(each.seconds <= now * (1 + 1e-9) for each in improvements(work, found, cluster))


@given(works, some_rates, clusters)
def test_twice_the_examples_are_twice_the_work(work: Workload, found: Rates, cluster: MachineGroup) -> None:
    alone = replace(cluster, machines=1)
    once, twice = (
        planned(replace(work, examples=factor * work.examples, labelled=factor * work.labelled), found, alone)
        for factor in (1, 2)
    )
    for name in ("seconds", "written", "price"):
        assert getattr(twice, name) == pytest.approx(2 * getattr(once, name))
    assert [stage.read for stage in twice.stages] == pytest.approx([2 * stage.read for stage in once.stages])


@given(works, some_rates, clusters, st.floats(0.1, 10))
def test_units_cancel(work: Workload, found: Rates, cluster: MachineGroup, factor: float) -> None:
    """Bytes counted in another unit, and prices in another currency, change neither time nor bottlenecks."""
    names = ("reading", "writing", "hashing")
    scaled = found.model_copy(
        update={
            **{name: rate(factor * getattr(found, name).median) for name in names},
            "example_bytes": factor * found.example_bytes,
            "view_bytes": factor * found.view_bytes,
        }
    )
    plan = planned(work, found, cluster)
    other = planned(work, scaled, replace(cluster, link=factor * cluster.link, per_hour=5.0))
    assert other.seconds == pytest.approx(plan.seconds)
    assert other.price == pytest.approx(2.5 * (plan.price or 0.0))
    assert planned(work, found, replace(cluster, per_hour=None)).price is None


SHORT = replace(WORK, views=1, epochs=1)
SLOW_DISK = {"reading": rate(1e6)}


@pytest.mark.parametrize(
    ("work", "changes", "cluster", "change"),
    [
        (replace(SHORT, trainings=1), {}, replace(ONE, gpus=8), "twice the cores per machine"),
        (SHORT, SLOW_DISK, ONE, "twice the machines"),
        (SHORT, SLOW_DISK, replace(ONE, machines=2, link=1e7), "twice the speed of the shared storage"),
        (SHORT, SLOW_DISK, replace(ONE, link=1e6), "twice the speed of the disk"),
        (SHORT, {}, replace(ONE, machines=2, cores=4000), "twice the GPUs per machine"),
        (replace(WORK, epochs=64), {}, replace(ONE, machines=8), "32 epochs per training of a student"),
    ],
)
def test_the_first_improvement(work: Workload, changes: dict[str, Any], cluster: MachineGroup, change: str) -> None:
    found = improvements(work, rates(**changes), cluster)
    assert [each.seconds for each in found] == sorted(each.seconds for each in found)
    assert change in [each.change for each in found if each.seconds == pytest.approx(found[0].seconds)]
