"""Budgets: what a target measures, and by how much a file exceeds a limit."""

import pytest

from tests.benchmark.conftest import counted, result
from tfkd.benchmark import budget
from tfkd.benchmark.budget import Budget, TargetFigures
from tfkd.benchmark.selecting import select_target
from tfkd.bundle.results import File
from tfkd.errors import MachineError, RequestError


@pytest.mark.parametrize(
    ("target", "limits", "message"),
    [
        ("host", {}, "There is no limit. Set fit.max_ms, fit.max_kb, fit.max_mb or fit.max_instructions"),
        ("arm64", {"max_ms": 2.0}, "fit.max_ms is for host, ssh and android; the target arm64 does not measure"),
        ("host", {"max_instructions": 3e6}, "max_instructions is for arm64; the target host does not measure"),
        ("android", {"max_kb": 9.0, "max_instructions": 1.0}, "max_instructions is for arm64; the target android"),
    ],
)
def test_a_limit_that_a_target_does_not_measure_is_refused(target: str, limits: dict[str, float], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        Budget(limits).require_measured(select_target(target, {}))


def test_every_target_has_sizes() -> None:
    for target in ("host", "arm64", "android", "ssh://board"):
        Budget({"max_kb": 1.0}).require_measured(select_target(target, {}))


def test_a_file_at_its_limit_meets_it() -> None:
    limits = Budget({"max_ms": 2.0, "max_kb": 100.0})
    assert limits.excesses(TargetFigures(kb=100.0, ms=2.0)) == {}
    assert limits.excesses(TargetFigures(kb=150.0, ms=1.0)) == {"max_kb": 1.5}
    assert limits.excesses(TargetFigures(kb=99.0, ms=3.0)) == {"max_ms": 1.5}


def test_what_was_not_reported_is_never_met() -> None:
    with pytest.raises(MachineError, match="max_mb cannot be judged"):
        Budget({"max_mb": 1.0}).excesses(TargetFigures(kb=1.0, ms=1.0))


def test_the_median_is_of_all_rounds_together() -> None:
    rounds = [[result([1.0, 1.0, 1.0], peak_memory_mb=4.0)], [result([2.0, 2.0, 3.0, 3.0], peak_memory_mb=6.0)]]
    found = budget.measured(rounds, threads=1, size=2_500)
    assert (found.kb, found.ms, found.mb, found.instructions) == (2.5, 2.0, 5.0, None)


def test_the_requested_threads_and_the_fastest_delegate_count() -> None:
    results = [
        result([1.0] * 3, threads=2),
        result([3.0] * 3, threads=1, partitions=7),
        result([2.0] * 3, threads=None, delegate="gpu", partitions=1),
    ]
    found = budget.measured([results], threads=1, size=1)
    assert (found.ms, found.delegate, found.partitions) == (2.0, "gpu", 1)


def test_the_largest_count_of_all_processors_counts() -> None:
    device = result().device
    results = [counted(total, device=device.model_copy(update={"soc": soc})) for soc, total in (("a", 10), ("b", 30))]
    found = budget.measured([results], threads=1, size=1)
    assert (found.instructions, found.ms) == (30, None)


def test_a_delegate_that_took_the_file_once_does_not_count() -> None:
    gpu = result([1.0] * 3, delegate="gpu", artifact=File(path="a", sha256="0" * 64))
    cpu = result([2.0] * 3, artifact=File(path="a", sha256="0" * 64))
    assert budget.measured([[gpu, cpu], [cpu]], threads=1, size=1).ms == 2.0
