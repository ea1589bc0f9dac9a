"""Rates of a machine that nobody has, for tests of the arithmetic."""

from typing import Any

from tfkd.pipeline.scale.cluster import MachineGroup
from tfkd.pipeline.scale.rates import RATES_SCHEMA, MeasuredRate, Rates, TeacherRates
from tfkd.pipeline.scale.workload import TeacherWork, Workload


def rate(value: float) -> MeasuredRate:
    """A rate without a spread."""
    return MeasuredRate(median=value, min=value, max=value)


def rates(**changes: Any) -> Rates:
    """Round numbers: one core decodes 100 views per second, one device predicts 1,000 and trains 500."""
    found = Rates(
        schema=RATES_SCHEMA,
        student="small",
        input="224 x 224 x 3",
        classes=1000,
        processor="a processor",
        cores=4,
        gpu="a GPU",
        checking=rate(200),
        viewing=rate(100),
        teachers=[TeacherRates(name="large", predicting=rate(1000), training=rate(250))],
        training=rate(500),
        hashing=rate(1e9),
        reading=rate(1e9),
        writing=rate(5e8),
        example_bytes=1e5,
        view_bytes=500,
        views_per_shard=1000,
    )
    return found.model_copy(update=changes)


WORK = Workload(
    examples=100_000,
    labelled=50_000,
    views=4,
    teachers=(TeacherWork("large", passes=1, epochs=2),),
    epochs=10,
    trainings=2,
)
ONE = MachineGroup(machines=1, gpus=1, cores=4, spread=0.1, per_hour=36.0)
