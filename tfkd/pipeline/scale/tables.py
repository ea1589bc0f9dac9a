"""A plan as tables and sentences for the terminal."""

from collections.abc import Iterator

from rich.table import Table
from rich.text import Text

from tfkd.errors import counted
from tfkd.pipeline.scale.cluster import GIGABIT, MachineGroup
from tfkd.pipeline.scale.model import PlannedStage
from tfkd.pipeline.scale.planning import ScaleResult
from tfkd.pipeline.scale.rates import MeasuredRate, Rates
from tfkd.report import costs, units

_SHOWN = 3  # improvements
_WORTH_NAMING = 0.99  # of the time


def tables(result: ScaleResult) -> list[Table]:
    """Returns the rates that the plan follows from, and the plan."""
    return [_rates(result), _stages(result)]


def sentences(result: ScaleResult) -> Iterator[str]:
    """Yields what to change first, the price of idle machines, and the notes."""
    yield from _first(result)
    if result.plan.price is not None and result.cluster.machines > 1:
        reserved = result.cluster.machines * result.plan.seconds / 3600 * (result.cluster.per_hour or 0.0)
        whole = costs.money(reserved, result.currency)
        yield f"The price is that of the machines while they work; {whole} if all are paid from start to end."
    yield from result.notes


def described(cluster: MachineGroup) -> str:
    """Returns the machines in a few words."""
    gpus = f"{counted(cluster.gpus, 'GPU')} and " if cluster.gpus else ""
    each = " each" if cluster.machines > 1 else ""
    return f"{counted(cluster.machines, 'machine')} with {gpus}{counted(cluster.cores, 'core')}{each}"


def _first(result: ScaleResult) -> Iterator[str]:
    slowest = result.plan.slowest
    fraction = units.percent(slowest.seconds / result.plan.seconds, 0)
    yield f"The stage {slowest.name} takes {fraction} of the time, and waits for {slowest.bottleneck}."
    whole = units.duration(result.plan.seconds)
    helpful = [each for each in result.improvements if each.seconds < _WORTH_NAMING * result.plan.seconds]
    if helpful:
        changes = ", ".join(f"{each.change} ({units.duration(each.seconds)})" for each in helpful[:_SHOWN])
        yield f"Instead of {whole}, with one change: {changes}."
    if "twice the machines" not in [each.change for each in helpful]:
        yield "Twice the machines would save less than 1 % of the time."


def _stages(result: ScaleResult) -> Table:
    plan = result.plan
    title = f"{result.work}: {result.workload.examples:,} examples on {described(result.cluster)}"
    drawn = Table(title=Text(title), caption=Text("computed from these rates; nothing of it was run"))
    drawn.add_column("stage")
    for name in ("machines", "time", "for the slowest", "waits for", "read", "written", "price"):
        drawn.add_column(name, justify="right", no_wrap=True)
    for stage in plan.stages:
        drawn.add_row(stage.name, *_cells(stage, result.currency))
    price = "–" if plan.price is None else costs.money(plan.price, result.currency)
    drawn.add_section()
    drawn.add_row("all", "", units.duration(plan.seconds), "", "", "", units.size(round(plan.written)), price)
    return drawn


def _cells(stage: PlannedStage, currency: str) -> Iterator[str]:
    yield str(stage.machines)
    yield units.duration(stage.seconds)
    yield units.duration(stage.waiting) if stage.waiting else "–"
    yield stage.bottleneck
    yield units.size(round(stage.read))
    yield units.size(round(stage.written)) if stage.written else "–"
    yield "–" if stage.price is None else costs.money(stage.price, currency)


def _rates(result: ScaleResult) -> Table:
    rates, cluster = result.rates, result.cluster
    drawn = Table(title=Text(f"Rates of {rates.networks}"), caption=Text(f"{result.source}: {rates.device}"))
    drawn.add_column("what")
    drawn.add_column("median", justify="right", no_wrap=True)
    drawn.add_column("from", overflow="fold")
    for name, value in _rows(rates):
        drawn.add_row(name, value, Text(result.source))
    if cluster.machines > 1:
        origins = ["assumed" if flag in result.assumed else "given" for flag in ("--link", "--spread")]
        link = f"{units.significant(cluster.link / GIGABIT)} Gbit/s"
        drawn.add_row("network to the shared storage, per machine", link, origins[0])
        drawn.add_row("spread of the machines' times", units.percent(cluster.spread), origins[1])
    return drawn


def _rows(rates: Rates) -> Iterator[tuple[str, str]]:
    yield "checking, per core", _speed(rates.checking, "examples")
    yield "decoding and augmenting, per core", _speed(rates.viewing, "views")
    for teacher in rates.teachers:
        yield f"predictions of {teacher.name}, per device", _speed(teacher.predicting, "views")
        yield f"training of {teacher.name}, per device", _speed(teacher.training, "examples")
    yield f"training of {rates.student}, per device", _speed(rates.training, "examples")
    for name, rate in (
        ("SHA-256, one core", rates.hashing),
        ("disk, read", rates.reading),
        ("disk, written", rates.writing),
    ):
        yield name, f"{units.size(round(rate.median))}/s"
    yield "an encoded example", units.size(round(rates.example_bytes))
    yield "stored predictions of a view", units.size(round(rates.view_bytes))


def _speed(rate: MeasuredRate, what: str) -> str:
    return f"{units.significant(rate.median)} {what}/s"
