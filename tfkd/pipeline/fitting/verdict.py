"""What a fit found, in sentences: from what was measured and trained, never extrapolated."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from tfkd.errors import counted, enumerated
from tfkd.report import fits, units
from tfkd.report.fits import COLUMNS, WRITTEN, FitRow, value


def nothing_meets(rows: Sequence[FitRow], limits: Mapping[str, float]) -> Iterator[str]:
    """Yields why no file meets the budget, with the nearest one."""
    nearest = min(rows, key=lambda row: max(row.excesses.values()))
    misses = enumerated([_miss(nearest, name, limits[name]) for name in nearest.excesses])
    yield f"Nothing meets the budget, so nothing was trained. The nearest is {nearest.name}: {misses}."
    yield from binding(rows)


def nothing_reaches(rows: Sequence[FitRow], best: FitRow, limits: Mapping[str, float], wanted: float) -> Iterator[str]:
    """Yields why nothing within the budget reaches the accuracy, and what is known of files over it.

    Args:
        rows: all rows; those over the budget may be final, from an earlier fit.
        best: the most accurate one within the budget that ran the whole recipe.
        limits: the budget.
        wanted: the relative accuracy to reach.
    """
    budget = enumerated([WRITTEN[name](limit) for name, limit in limits.items()])
    assert best.relative is not None
    yield (
        f"At {budget} nothing reaches {_fraction(wanted)} of the teacher's accuracy: the best, {best.name} "
        f"({figures(best, limits)}), reaches {units.percent(best.relative)}."
    )
    over = sorted((row for row in rows if row.excesses), key=lambda row: max(row.excesses.values()))
    reaching = [row for row in over if row.relative is not None and row.relative >= wanted]
    if reaching:
        yield f"{figures(reaching[0], reaching[0].excesses)} does, as an earlier fit measured: {reaching[0].name}."
    elif over:
        yield (
            f"The nearest over the budget is {over[0].name} ({figures(over[0], over[0].excesses)}); its accuracy is "
            + (f"{_fraction(over[0].relative)} of the teacher's." if over[0].relative else "not known.")
        )
    yield from binding(rows)


def ships(row: FitRow, limits: Mapping[str, float]) -> Iterator[str]:
    """Yields what ships, and the limit that binds."""
    assert row.relative is not None and row.accuracy is not None
    yield (
        f"{row.name} ships: {figures(row, limits)}, {units.percent(row.accuracy)} on the test examples, "
        f"{units.percent(row.relative)} of the teacher's accuracy."
    )


def do_not_distil(row: FitRow, limits: Mapping[str, float], command: str) -> Iterator[str]:
    """Yields that the quantized teacher suffices."""
    assert row.relative is not None
    yield (
        f"Do not distil: the quantized teacher itself meets the budget ({figures(row, limits)}) with "
        f"{units.percent(row.relative)} of its accuracy. This publishes it: {command}"
    )


def over_when_trained(row: FitRow, limits: Mapping[str, float]) -> str:
    """Returns that a trained file exceeds the budget that its untrained one met."""
    misses = enumerated([_miss(row, name, limits[name]) for name in row.excesses])
    return f"{row.name}: the trained file is over the budget that the untrained one met: {misses}."


def binding(rows: Sequence[FitRow]) -> Iterator[str]:
    """Yields how many candidates each limit alone excludes; nothing where none is excluded."""
    over = [row for row in rows if row.excesses]
    if not over:
        return
    alone = Counter(name for row in over if len(row.excesses) == 1 for name in row.excesses)
    parts = [f"the {COLUMNS[name]} alone excludes {count}" for name, count in alone.most_common()]
    if several := len(over) - alone.total():
        parts.append(f"{several} {'exceeds' if several == 1 else 'exceed'} more than one limit")
    are = "is" if len(over) == 1 else "are"
    yield f"{len(over)} of {counted(len(rows), 'file')} {are} over the budget: {', '.join(parts)}."


def figures(row: FitRow, limits: Mapping[str, float]) -> str:
    """Returns the measured values that limits apply to: "1.82 ms and 412 kB"."""
    return enumerated([WRITTEN[name](found) for name in limits if (found := value(row, name)) is not None])


def _miss(row: FitRow, name: str, limit: float) -> str:
    found = value(row, name)
    assert found is not None
    return f"{WRITTEN[name](found)}, {fits.excess(row.excesses[name])} of {WRITTEN[name](limit)}"


def _fraction(fraction: float) -> str:
    return f"{100 * fraction:.4g} %"
