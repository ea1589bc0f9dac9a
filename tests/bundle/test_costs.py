"""The account of a run in the manifest: sums, prices and ratios."""

from typing import Any

import pytest

from tfkd.bundle.costs import CostEntry, DistillationCost, SpentTime, StageSpending, account, contradictions
from tfkd.recipe import Cost

HOUR = 3600.0
PRICES = Cost(per_hour=2.0, queries_per_day=1_000_000)


def stage(name: str, hours: float | None, this_call: float | None = None) -> StageSpending:
    def time(hours: float | None) -> SpentTime | None:
        return None if hours is None else SpentTime(seconds=HOUR * hours, processor_seconds=2 * HOUR * hours)

    return StageSpending(stage=name, bytes=1000, spent=time(hours), this_call=time(this_call))


STAGES = [stage("teacher", 1.0), stage("soft_labels", 0.5, 0.25), stage("student", 0.5, 0.5)]
DISTILLATION = DistillationCost(
    student=300.0, soft_labels=60.0, assistants=0.0, control=240.0, teacher=720.0, total=None
)


def entry(**changes: Any) -> CostEntry:
    values: dict[str, Any] = {"stages": STAGES, "distillation": DISTILLATION, "prices": PRICES, "teacher_ms": 3.6}
    return account(**(values | changes))


def test_sums_and_prices_follow_from_the_times() -> None:
    found = entry()
    assert found.spent == SpentTime(seconds=2 * HOUR, processor_seconds=4 * HOUR, price=4.0)
    assert found.this_call == SpentTime(seconds=0.75 * HOUR, processor_seconds=1.5 * HOUR, price=1.5)
    assert found.bytes == 3000
    assert [each.spent and each.spent.price for each in found.stages] == [2.0, 1.0, 1.0]
    assert found.stages[0].this_call is None


def test_a_student_is_compared_with_its_control_and_its_teacher() -> None:
    found = entry().distillation
    assert (found.total, found.to_control, found.to_teacher) == (360.0, 1.5, 0.5)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"soft_labels": None}, (None, None, None)),
        ({"teacher": None, "why_no_teacher": "a file"}, (360.0, 1.5, None)),
        ({"control": None}, (360.0, None, 0.5)),
        ({"control": 0.0}, (360.0, None, 0.5)),
    ],
)
def test_what_is_not_known_makes_no_ratio(changes: dict[str, Any], expected: tuple[Any, ...]) -> None:
    found = entry(distillation=DISTILLATION.model_copy(update=changes)).distillation
    assert (found.total, found.to_control, found.to_teacher) == expected


def test_queries_pay_for_the_run() -> None:
    found = entry().break_even
    assert found is not None and found.saved_per_query == pytest.approx(2e-6)
    assert found.queries in (2_000_000, 2_000_001) and found.days == found.queries / 1e6


@pytest.mark.parametrize(
    "changes",
    [{"prices": Cost(queries_per_day=10)}, {"teacher_ms": None}, {"stages": [*STAGES, stage("bench", None)]}],
)
def test_without_price_teacher_or_account_nothing_is_said_of_queries(changes: dict[str, Any]) -> None:
    assert entry(**changes).break_even is None


def test_without_queries_per_day_there_are_no_days() -> None:
    found = entry(prices=Cost(per_hour=2.0)).break_even
    assert found is not None and found.days is None


def test_a_stage_that_is_not_known_makes_the_sum_unknown_and_not_smaller() -> None:
    found = entry(stages=[*STAGES, stage("bench", None, 0.25)])
    assert found.spent is None and found.this_call.price == 2.0
    assert entry(stages=STAGES[:1]).this_call == SpentTime(seconds=0.0, processor_seconds=0.0, price=0.0)


def test_an_account_agrees_with_itself_after_json() -> None:
    found = CostEntry.model_validate_json(entry().model_dump_json())
    recipe = {"cost": PRICES.model_dump(mode="json")}
    assert list(contradictions(found, recipe, 3.6)) == []
    assert list(contradictions(found, {}, 3.6)) != []


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda made: made["spent"].update(price=1.0), "cost.spent"),
        (lambda made: made["stages"][0]["spent"].update(seconds=1.0), "cost.stages"),
        (lambda made: made["stages"][2].update(this_call=None), "cost.this_call"),
        (lambda made: made["distillation"].update(to_control=0.3), "cost.distillation"),
        (lambda made: made["break_even"].update(queries=10), "cost.break_even"),
        (lambda made: made.update(currency="EUR"), "cost.currency"),
    ],
)
def test_a_changed_number_contradicts_the_others(change: Any, named: str) -> None:
    made = entry().model_dump()
    change(made)
    found = list(contradictions(CostEntry.model_validate(made), {"cost": PRICES.model_dump(mode="json")}, 3.6))
    assert any(each.startswith(f"{named} is ") for each in found), found


@pytest.mark.parametrize("teacher_ms", [1e-310, 5e-324])
def test_a_time_that_no_teacher_has_is_no_error(teacher_ms: float) -> None:
    assert entry(teacher_ms=teacher_ms, prices=Cost(per_hour=1e-6)).break_even is None


def test_sums_beyond_all_times_are_refused() -> None:
    huge = SpentTime(seconds=1e12, processor_seconds=1e12)
    stages = [StageSpending(stage=str(number), bytes=0, spent=huge, this_call=None) for number in range(2)]
    with pytest.raises(ValueError, match="less than or equal"):
        entry(stages=stages)
