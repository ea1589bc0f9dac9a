"""Plans past one machine: computed from the rates in docs/evidence/scale.json."""

from collections.abc import Callable
from typing import Any

from tfkd.pipeline.scale.cluster import GIGABIT, MachineGroup
from tfkd.pipeline.scale.improvements import improvements
from tfkd.pipeline.scale.model import ScalePlan, fewest, planned, slowest_of
from tfkd.pipeline.scale.rates import MeasuredRate, Rates
from tfkd.pipeline.scale.workload import TeacherWork, Workload
from tfkd.report import units
from tools.figures import evidence

SIZES = (10**5, 10**6, 10**8, 10**9)
CORES = 16  # per assumed device
FASTER = 100  # times the measured cores: the assumed device
FACTORS = (1, 10, 100, 1000)
SPREADS = (0.05, 0.2)
LINK = 10 * GIGABIT


def _rates(faster: int = 1) -> Rates:
    """Returns the measured rates, with the networks on a device that many times as fast."""
    rates = Rates.model_validate(evidence.read("scale")["rates"])
    if faster == 1:
        return rates
    teachers = [
        each.model_copy(update={name: _times(getattr(each, name), faster) for name in ("predicting", "training")})
        for each in rates.teachers
    ]
    changed: dict[str, Any] = {
        "gpu": f"{faster} times",
        "teachers": teachers,
        "training": _times(rates.training, faster),
    }
    return rates.model_copy(update=changed)


def _times(rate: MeasuredRate, factor: int) -> MeasuredRate:
    return MeasuredRate(**{name: factor * value for name, value in rate.model_dump().items()})


def _work(examples: int) -> Workload:
    values = evidence.read("scale")["workload"]
    teachers = tuple(TeacherWork(**each) for each in values["teachers"])
    return Workload(**{**values, "teachers": teachers}).of_size(examples)


def _as_measured(examples: int, machines: int) -> ScalePlan:
    rates = _rates()
    return planned(_work(examples), rates, MachineGroup(machines, 0, rates.cores))


def _assumed(examples: int, machines: int, gpus: int) -> ScalePlan:
    return planned(_work(examples), _rates(FASTER), MachineGroup(machines, gpus, CORES * gpus))


def rates_table() -> str:
    """Returns what was measured, with the range of the rounds."""
    rates = _rates()
    (teacher,) = rates.teachers
    counted = [
        ("examples checked per second, one core", rates.checking),
        ("views decoded and augmented per second, one core", rates.viewing),
        (f"views that {teacher.name} predicts per second, all cores", teacher.predicting),
        (f"examples that {teacher.name} is trained on per second, all cores", teacher.training),
        (f"examples that {rates.student} is trained on per second, all cores", rates.training),
    ]
    bytes_ = [
        ("SHA-256, one core", rates.hashing),
        ("disk, read", rates.reading),
        ("disk, written and flushed", rates.writing),
    ]
    rows = [[name, _range(rate, lambda value: f"{value:,.0f}")] for name, rate in counted]
    rows += [[f"{name}, per second", _range(rate, lambda value: units.size(round(value)))] for name, rate in bytes_]
    rows += [
        ["an encoded example", units.size(round(rates.example_bytes))],
        ["stored predictions of one view", units.size(round(rates.view_bytes))],
    ]
    return evidence.table(["rate", "median (smallest to largest)"], rows)


def _range(rate: MeasuredRate, written: Callable[[float], str]) -> str:
    return f"{written(rate.median)} ({written(rate.min)} to {written(rate.max)})"


def measured_table() -> str:
    """Returns the whole time on machines like the measured one."""
    return _sizes(
        ["1 machine", "8 machines", "256 machines"], lambda size: [_as_measured(size, m) for m in (1, 8, 256)]
    )


def assumed_table() -> str:
    """Returns the whole time on machines with assumed devices."""
    titles = ["1 device", "8 devices in 1 machine", "32 machines with 8"]
    return _sizes(titles, lambda size: [_assumed(size, *each) for each in ((1, 1), (1, 8), (32, 8))])


def _sizes(titles: list[str], plans: Callable[[int], list[ScalePlan]]) -> str:
    rows = [[f"{size:,}", *map(_cell, plans(size))] for size in SIZES]
    return evidence.table(["photos", *titles], rows)


def _cell(plan: ScalePlan) -> str:
    return f"{units.duration(plan.seconds)} ({plan.slowest.name}: {plan.slowest.bottleneck})"


def stages_table() -> str:
    """Returns the stages of the largest plan with assumed devices."""
    plan = _assumed(SIZES[-1], 32, 8)
    rows = [
        [
            stage.name,
            str(stage.machines),
            units.duration(stage.seconds),
            stage.bottleneck,
            units.size(round(stage.read)),
            units.size(round(stage.written)) if stage.written else "–",
        ]
        for stage in plan.stages
    ]
    return evidence.table(["stage", "machines", "time", "waits for", "read", "written"], rows, 1)


def bottleneck_table() -> str:
    """Returns the views per second that each part of one machine with eight devices could fill a store with."""
    rows = []
    for factor in FACTORS:
        rates = _rates(factor)
        parts = {
            "network": 8 * rates.predicting,
            "decoding": 8 * CORES * rates.viewing.median,
            "storage": LINK / (rates.example_bytes + rates.view_bytes),
        }
        rows.append([f"{factor:,}", *(f"{value:,.0f}" for value in parts.values()), min(parts, key=lambda n: parts[n])])
    titles = ["a device / the two measured cores", "network", f"decoding on {8 * CORES} cores", "storage at 10 Gbit/s"]
    return evidence.table([*titles, "the limit"], rows)


def stragglers_table() -> str:
    """Returns the expected time of the slowest machine."""
    machines = (2, 8, 32, 256, 1024)
    rows = [[f"{spread:.0%}", *(f"{slowest_of(each, spread):.2f}" for each in machines)] for spread in SPREADS]
    return evidence.table(["spread", *(f"{each:,} machines" for each in machines)], rows)


def _useful(examples: int) -> str:
    work, rates = _work(examples), _rates()
    shards = work.views * -(-examples // rates.views_per_shard)
    return f"{fewest(shards, shards):,}"


def _cores_needed() -> str:
    rates = _rates(FASTER)
    return f"{rates.predicting / rates.viewing.median:,.0f}"


def _first_change() -> str:
    """Returns the change that makes the largest plan fastest, and both times."""
    work, rates, machines = _work(SIZES[-1]), _rates(FASTER), MachineGroup(32, 8, CORES * 8)
    first = improvements(work, rates, machines)[0]
    before = units.duration(planned(work, rates, machines).seconds)
    return f"{first.change}: {units.duration(first.seconds)} in place of {before}"


def figures() -> dict[str, Callable[[], str]]:
    """Returns the figures by name."""
    return {
        "scale rates table": rates_table,
        "scale measured table": measured_table,
        "scale assumed table": assumed_table,
        "scale stages table": stages_table,
        "scale bottleneck table": bottleneck_table,
        "scale stragglers table": stragglers_table,
        "scale useful machines": lambda: _useful(SIZES[0]),
        "scale cores per device": _cores_needed,
        "scale first change": _first_change,
        "scale load": lambda: f"{evidence.read('scale')['load_before']:.1f}",
        "scale store": lambda: units.size(round(_as_measured(SIZES[-1], 1).written)),
    }
