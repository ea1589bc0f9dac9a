"""What a fit says: the nearest candidate, the limit that binds, and what is known beyond the budget."""

from typing import Any

from tfkd.benchmark.budget import Budget, TargetFigures
from tfkd.pipeline.fitting import verdict
from tfkd.report.fits import FitRow

LIMITS = {"max_ms": 2.0, "max_kb": 900.0}


def row(name: str, ms: float, kb: float, **fields: Any) -> FitRow:
    measured = TargetFigures(kb=kb, ms=ms)
    return FitRow(name, "student", measured, Budget(LIMITS).excesses(measured), **fields)


def test_the_nearest_is_that_which_misses_its_worst_limit_least() -> None:
    rows = [row("a", 2.02, 1800.0), row("b", 2.6, 945.0), row("c", 9.0, 100.0)]
    first, second = verdict.nothing_meets(rows, LIMITS)
    assert first == (
        "Nothing meets the budget, so nothing was trained. The nearest is b: 2.60 ms, 30.0 % over the limit of "
        "2.00 ms and 945 kB, 5.00 % over the limit of 900 kB."
    )
    assert second == "3 of 3 files are over the budget: the latency alone excludes 1, 2 exceed more than one limit."


def test_what_does_reach_the_accuracy_is_said_where_it_is_known() -> None:
    best = row("best", 1.8, 800.0, final=True, relative=0.912)
    over = [row("far", 5.0, 800.0, final=True, relative=0.99), row("near", 2.6, 800.0, final=True, relative=0.951)]
    lines = list(verdict.nothing_reaches([best, *over], best, LIMITS, 0.95))
    assert lines[0] == (
        "At 2.00 ms and 900 kB nothing reaches 95 % of the teacher's accuracy: the best, best (1.80 ms and 800 kB), "
        "reaches 91.2 %."
    )
    assert lines[1] == "2.60 ms does, as an earlier fit measured: near."
    assert "the latency alone excludes 2" in lines[2]


def test_nothing_is_said_of_the_accuracy_of_untrained_candidates() -> None:
    best = row("best", 1.8, 800.0, final=True, relative=0.912)
    lines = list(verdict.nothing_reaches([best, row("near", 2.6, 800.0)], best, LIMITS, 0.95))
    assert lines[1] == "The nearest over the budget is near (2.60 ms); its accuracy is not known."
    lines = list(verdict.nothing_reaches([best, row("near", 2.6, 800.0, relative=0.9)], best, LIMITS, 0.95))
    assert lines[1] == "The nearest over the budget is near (2.60 ms); its accuracy is 90 % of the teacher's."
    assert len(list(verdict.nothing_reaches([best], best, LIMITS, 0.95))) == 1


def test_counts_are_never_milliseconds() -> None:
    counts = {"max_instructions": 3e6}
    measured = TargetFigures(kb=100.0, instructions=4_500_000)
    found = FitRow("a", "student", measured, Budget(counts).excesses(measured))
    text = " ".join(verdict.nothing_meets([found], counts))
    assert "4,500,000 instructions, 50.0 % over the limit of 3,000,000 instructions" in text and " ms" not in text
