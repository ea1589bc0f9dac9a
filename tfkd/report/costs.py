"""What a run cost, in words, as a table and as a plot."""

from collections.abc import Iterator
from dataclasses import dataclass

from tfkd.bundle.costs import CostEntry, DistillationCost, SpentTime
from tfkd.bundle.manifest import Manifest
from tfkd.report import plots, units

_HOUR = 3600.0  # seconds
_LEAST_PRICE = 0.01  # a smaller one is shown with its first three digits


@dataclass(frozen=True)
class CostRow:
    """A row of the table: a stage, or all of them; texts, "" without a price.

    Attributes:
        when: what the call that made the bundle did for it.
    """

    name: str
    seconds: str
    processors: str
    size: str
    price: str
    when: str


def rows(manifest: Manifest) -> list[CostRow]:
    """Returns the stages, then their sum and that of the call that made the bundle; none in earlier bundles."""
    cost = manifest.cost
    if cost is None:
        return []
    found = [
        _row(each.stage, each.spent, units.size(each.bytes), cost, _when(each.spent, each.this_call))
        for each in cost.stages
    ]
    total = _row("all stages", cost.spent, units.size(cost.bytes), cost, "")
    return [*found, total, _row("in this call", cost.this_call, "", cost, "")]


def _row(name: str, spent: SpentTime | None, size: str, cost: CostEntry, when: str) -> CostRow:
    if spent is None:
        return CostRow(name, "not known", "not known", size, "not known" if cost.per_hour else "", when)
    return CostRow(
        name, units.seconds(spent.seconds), processors(spent.processor_seconds), size, _price(spent, cost), when
    )


def _price(spent: SpentTime, cost: CostEntry) -> str:
    return "" if spent.price is None else money(spent.price, cost.currency)


def _when(spent: SpentTime | None, this_call: SpentTime | None) -> str:
    if this_call is None:
        return "reused, paid by an earlier call"
    return "" if this_call == spent else f"{units.seconds(this_call.seconds)} in this call"


def processors(seconds: float) -> str:
    """Processor seconds as CPU-hours, or CPU-seconds where they are few: 5400.0 -> '1.50 CPU-hours'."""
    if seconds < _HOUR / 100:
        return f"{units.significant(seconds)} CPU-seconds"
    return f"{units.significant(seconds / _HOUR)} CPU-hours"


def money(amount: float, currency: str) -> str:
    """(2.5, 'USD') -> 'USD 2.50'; (0.0001234, 'USD') -> 'USD 0.000123'."""
    return f"{currency} {units.significant(amount) if amount < _LEAST_PRICE else f'{amount:,.2f}'}"


def described(spent: SpentTime, currency: str) -> str:
    """Returns a time and its price in one phrase."""
    price = [] if spent.price is None else [money(spent.price, currency)]
    return ", ".join([units.seconds(spent.seconds), processors(spent.processor_seconds), *price])


def says(manifest: Manifest) -> list[str]:
    """Returns in sentences what a run and one student cost, and when it is paid for; none in earlier bundles."""
    cost = manifest.cost
    if cost is None:
        return []
    return [_in_all(cost), *_of_a_student(cost.distillation), *_paid(cost, manifest.noun)]


def _in_all(cost: CostEntry) -> str:
    if cost.spent is None:
        lost = ", ".join(each.stage for each in cost.stages if each.spent is None)
        return f"What the run cost in all is not known, because the account of {lost} is missing or damaged."
    per_hour = f" at {money(cost.per_hour, cost.currency)} per hour of this machine" if cost.per_hour else ""
    return (
        f"The run cost {described(cost.spent, cost.currency)}{per_hour}, and {units.size(cost.bytes)} of files; of "
        f"these, the call that made this bundle {described(cost.this_call, cost.currency)}."
    )


def _of_a_student(found: DistillationCost) -> Iterator[str]:
    if found.total is None:
        yield "What one student cost is not known, because the account of its training or of its soft labels is lost."
        return
    assistants = f", assistants {processors(found.assistants)}" if found.assistants else ""
    yield (
        f"One student cost {processors(found.total)}: training {processors(found.student or 0.0)}, soft labels "
        f"{processors(found.soft_labels or 0.0)} (which serve further students too){assistants}."
    )
    if found.to_control is not None:
        yield f"That is {units.percent(found.to_control, 0)} of the training of its control, without a teacher."
    if found.to_teacher is not None:
        yield f"It is {units.percent(found.to_teacher, 0)} of the preparation of the teacher."
    elif found.why_no_teacher:
        yield f"It is not compared with the training of the teacher: {found.why_no_teacher}."


def _paid(cost: CostEntry, noun: str) -> Iterator[str]:
    found = cost.break_even
    if found is None:
        if cost.per_hour:
            yield "After how many queries the run is paid for is not known: the teacher or a stage was not timed."
        return
    days = f", in {units.significant(found.days)} days" if found.days else ""
    saved = f"{units.milliseconds(found.teacher_ms)} of the teacher on a server"
    yield (
        f"The run is paid for after {found.queries:,} queries{days}: each {noun} that a phone predicts saves "
        f"{saved}, {money(found.saved_per_query, cost.currency)}. "
        "This assumes a server with the price and speed of this machine, which predicts one query at a time with all "
        "cores and is paid only while it predicts, and that the phone's own time is free."
    )


def plot(manifest: Manifest) -> str | None:
    """Draws the processor time of one student, its control and its teachers; None where it is not known."""
    if manifest.cost is None or manifest.cost.distillation.total is None:
        return None
    found = manifest.cost.distillation
    student = {"soft labels": found.soft_labels, "assistants": found.assistants, "training": found.student}
    bars = [
        plots.Bar("teacher", "teacher", {"preparation": found.teacher or 0.0}),
        plots.Bar("student", "student", {name: each for name, each in student.items() if each}),
        plots.Bar("control", "control", {"training": found.control or 0.0}),
    ]
    return plots.stacked([bar for bar in bars if sum(bar.parts.values())], "processor time, seconds")
