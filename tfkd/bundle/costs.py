"""What a run cost: the part `cost` of the manifest, of which everything but the measured times follows from these.

Seconds are those of the machine that worked; processor seconds are those of all threads of all processes. Prices are in
the currency of the recipe. A time that is not known is None, and so is every sum that it belongs to.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any

from pydantic import Field

from tfkd.recipe import Cost
from tfkd.records import Count, Entry, Number

Price = Annotated[float, Field(ge=0)]
SpentSeconds = Annotated[float, Field(ge=0, le=1e12)]
_HOUR = 3600.0  # seconds
_MILLI = 1e-3


class SpentTime(Entry):
    seconds: SpentSeconds = Field(
        description="of the machine; stages that ran side by side have a part each, by their processor time"
    )
    processor_seconds: SpentSeconds
    price: Price | None = Field(None, description="of these seconds; None where the recipe has no cost.per_hour")


class StageSpending(Entry):
    """What a stage of the run cost, with the same stage of all parts of a run with folds."""

    stage: str
    bytes: Count = Field(description="of its files at the end")
    spent: SpentTime | None = Field(
        description="by all calls that worked on it; None where that is not known: its account was lost, or an earlier "
        "version of tfkd made it"
    )
    this_call: SpentTime | None = Field(
        description="part of it by the call that made this bundle; None where that call reused it: paid earlier"
    )


class DistillationCost(Entry):
    """Processor seconds of one student, its control and its teachers; None where they are not known.

    Of several seeds it is the mean, with folds the mean over the parts without one fold.
    """

    student: SpentSeconds | None = Field(description="training of one student, without compressions")
    soft_labels: SpentSeconds | None = Field(
        description="predictions of teachers and assistants; they serve every student"
    )
    assistants: SpentSeconds | None = Field(description="trainings of the assistants; 0 without any")
    control: SpentSeconds | None = Field(description="training of one control; None without one")
    teacher: SpentSeconds | None = Field(description="preparing the teachers; None if one was not trained in this run")
    why_no_teacher: str = Field("", description="why `teacher` is None; empty where it is a number")
    total: SpentSeconds | None = Field(description="student, soft_labels and assistants together")
    to_control: float | None = Field(None, ge=0, description="total / control: the cost relative to a plain training")
    to_teacher: float | None = Field(None, ge=0, description="total / teacher")


class BreakEven(Entry):
    """When the run is paid for by queries that the student answers on a device and the teacher does not on a server.

    The server has this machine's price, predicts one query at a time with all cores, and is paid while it predicts.
    """

    teacher_ms: float = Field(gt=0, description="of the teacher for one query on this machine, all cores; milliseconds")
    saved_per_query: float = Field(gt=0, description="price of that time")
    queries: Number = Field(description="total price of the run / saved_per_query, rounded up")
    days: float | None = Field(None, gt=0, description="queries / cost.queries_per_day; None where that is not stated")


class CostEntry(Entry):
    """The account of a run without the stage that wrote it."""

    per_hour: float | None = Field(gt=0, description="price of one hour of the machine, of the recipe")
    currency: str = Field(pattern=r"^[A-Z]{3}$", description="by ISO 4217")
    stages: list[StageSpending] = Field(min_length=1)
    bytes: Count = Field(description="of the files of all stages")
    spent: SpentTime | None = Field(description="by all calls; None where it is not known of a stage")
    this_call: SpentTime = Field(description="by the call that made this bundle")
    distillation: DistillationCost
    break_even: BreakEven | None = Field(
        None, description="None without a price, without a time of the teacher, or where the total is not known"
    )


def account(
    stages: Sequence[StageSpending], distillation: DistillationCost, prices: Cost, teacher_ms: float | None
) -> CostEntry:
    """Returns the account of a run with all sums, prices and ratios.

    Args:
        stages: measured times and bytes; their prices are replaced.
        distillation: measured processor times; its total and ratios are replaced.
        prices: of the recipe.
        teacher_ms: of the teacher for one query with all cores, milliseconds; None where it was not measured.
    """
    stages = [
        stage.model_copy(update={name: priced(getattr(stage, name), prices) for name in ("spent", "this_call")})
        for stage in stages
    ]
    spent = _sum([stage.spent for stage in stages], prices)
    this_call = _sum([stage.this_call for stage in stages if stage.this_call], prices)
    assert this_call is not None
    return CostEntry(
        per_hour=prices.per_hour,
        currency=prices.currency,
        stages=stages,
        bytes=sum(stage.bytes for stage in stages),
        spent=spent,
        this_call=this_call,
        distillation=_compared(distillation),
        break_even=_break_even(spent, prices, teacher_ms),
    )


def contradictions(entry: CostEntry, recipe: Mapping[str, Any], teacher_ms: float | None) -> Iterable[str]:
    """Yields what in an account does not follow from its times and the recipe.

    Args:
        entry: the account.
        recipe: of the manifest, whose `cost` has been validated.
        teacher_ms: as of `account`.
    """
    expected = account(entry.stages, entry.distillation, Cost.model_validate(recipe.get("cost", {})), teacher_ms)
    for name in CostEntry.model_fields:
        if (stated := getattr(entry, name)) != (right := getattr(expected, name)):
            yield f"cost.{name} is {stated!r}; by the times of its stages and its recipe it is {right!r}"


def price_of(seconds: float, prices: Cost) -> float | None:
    """Returns the price of seconds of the machine; None without a price per hour."""
    return None if prices.per_hour is None else seconds / _HOUR * prices.per_hour


def priced(spent: SpentTime | None, prices: Cost) -> SpentTime | None:
    """Returns a time with its price."""
    return spent and spent.model_copy(update={"price": price_of(spent.seconds, prices)})


def _sum(parts: Sequence[SpentTime | None], prices: Cost) -> SpentTime | None:
    """Returns the sum of times; None where one is not known."""
    known = [part for part in parts if part is not None]
    if len(known) < len(parts):
        return None
    seconds = math.fsum(part.seconds for part in known)
    processor_seconds = math.fsum(part.processor_seconds for part in known)
    return SpentTime(seconds=seconds, processor_seconds=processor_seconds, price=price_of(seconds, prices))


def _compared(found: DistillationCost) -> DistillationCost:
    parts = [part for part in (found.student, found.soft_labels, found.assistants) if part is not None]
    total = math.fsum(parts) if len(parts) == 3 else None
    ratios = {
        name: total / whole if total is not None and whole else None
        for name, whole in (("to_control", found.control), ("to_teacher", found.teacher))
    }
    return found.model_copy(update={"total": total, **ratios})


def _break_even(spent: SpentTime | None, prices: Cost, teacher_ms: float | None) -> BreakEven | None:
    if teacher_ms is None or spent is None or not spent.price:
        return None
    saved = price_of(_MILLI * teacher_ms, prices)
    if not saved or not math.isfinite(spent.price / saved):
        return None
    queries = math.ceil(spent.price / saved)
    days = queries / prices.queries_per_day if prices.queries_per_day else None
    return BreakEven(teacher_ms=teacher_ms, saved_per_query=saved, queries=queries, days=days)
