"""The table, the plots and the page of a fit."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from markupsafe import Markup
from rich.table import Table
from rich.text import Text

from tfkd import files
from tfkd.benchmark.budget import QUANTITIES, TargetFigures
from tfkd.report import facts, html, plots, units

RECIPE = "recipe.json"
_MANY_TIMES = 10  # from which an excess is written as a factor

Written = Callable[[float], str]

WRITTEN: MappingProxyType[str, Written] = MappingProxyType(
    {
        "max_ms": units.milliseconds,
        "max_kb": lambda value: units.size(round(1e3 * value)),
        "max_mb": units.megabytes,
        "max_instructions": lambda value: f"{value:,.0f} instructions",
    }
)
_TITLES = {
    "max_ms": "median latency, ms",
    "max_kb": "size of the file, kB",
    "max_mb": "peak memory, MB",
    "max_instructions": "instructions of one inference",
}
COLUMNS = {"max_ms": "latency", "max_kb": "size", "max_mb": "memory", "max_instructions": "instructions"}


@dataclass(frozen=True)
class FitRow:
    """One candidate, or the teacher itself.

    Attributes:
        name: of the candidate.
        role: "teacher" or "student".
        measured: on the target: of the trained file if there is one, else of an untrained one.
        excesses: by how many times it exceeds each limit that it does not meet.
        epochs: of the longest training; 0 for none.
        validation_accuracy: 0 to 1: of the file if it is final, else of the Keras student; None if it was not trained.
        final: whether it ran the whole recipe.
        accuracy: of the file on the test split; None if it is not final.
        relative: that accuracy / the teacher's.
        control_accuracy: of the control on the test split.
    """

    name: str
    role: str
    measured: TargetFigures
    excesses: dict[str, float]
    epochs: int = 0
    validation_accuracy: float | None = None
    final: bool = False
    accuracy: float | None = None
    relative: float | None = None
    control_accuracy: float | None = None

    @property
    def fits(self) -> bool:
        """Whether it meets every limit."""
        return not self.excesses


@dataclass(frozen=True)
class FitResult:
    """A finished fit.

    Attributes:
        name: of the run.
        target: as the user wrote it.
        device: its name.
        ships: form of the measured files.
        limits: the budget.
        min_relative_accuracy: the accuracy to reach, as a fraction of the teacher's.
        teacher_accuracy: of the teachers on the test split; None if they were not trained.
        rows: the candidates, and the teacher itself.
        chosen: name of the row that ships; None if none meets budget and accuracy.
        verdict: sentences about the result.
        cut: what was left out for lack of time.
        images: number of validation images.
        folder: of page, numbers and recipe.
        bundle: the published bundle; None if there is none.
    """

    name: str
    target: str
    device: str
    ships: str
    limits: dict[str, float]
    min_relative_accuracy: float
    teacher_accuracy: float | None
    rows: tuple[FitRow, ...]
    chosen: str | None
    verdict: tuple[str, ...]
    cut: tuple[str, ...]
    images: int
    folder: Path
    bundle: Path | None = None

    @property
    def passed(self) -> bool:
        """Whether something meets budget and accuracy."""
        return self.chosen is not None

    @property
    def page(self) -> Path:
        """The page with table and plots."""
        return self.folder / "fit.html"

    @property
    def recipe(self) -> Path:
        """The recipe that makes the chosen student again."""
        return self.folder / RECIPE


def table(result: FitResult) -> Table:
    """Returns every candidate with what was measured and what it reached; what ships comes first."""
    drawn = Table(title=Text(_title(result)), caption=_caption(result))
    drawn.add_column("candidate", overflow="fold")
    quantities = _measured_quantities(result)
    for name in (*(COLUMNS[each] for each in quantities), "parts", "epochs", "validation", "test", "of teacher"):
        drawn.add_column(name, justify="right", no_wrap=True)
    drawn.add_column("verdict", overflow="fold")
    for row in in_order(result):
        figures = [_quantity(row, each) for each in quantities]
        drawn.add_row(
            Text(row.name),
            *figures,
            "–" if row.measured.partitions is None else str(row.measured.partitions),
            str(row.epochs) if row.epochs else "–",
            units.known(row.validation_accuracy, units.percent),
            units.known(row.accuracy, units.percent),
            units.known(row.relative, units.percent),
            Text(state(result, row), "bold" if row.name == result.chosen else ""),
        )
    return drawn


def in_order(result: FitResult) -> list[FitRow]:
    """Returns the rows: what ships, final ones, those of the rounds, untrained ones, those over the budget."""

    def rank(row: FitRow) -> tuple[bool, bool, bool, int, float]:
        worst = max(row.excesses.values(), default=0.0)
        return (
            row.name != result.chosen,
            not row.fits,
            not row.final,
            -row.epochs,
            worst or -(row.validation_accuracy or 0),
        )

    return sorted(result.rows, key=rank)


def state(result: FitResult, row: FitRow) -> str:
    """Returns what became of a row, in a few words."""
    if row.name == result.chosen:
        return "ships"
    if row.excesses:
        return ", ".join(f"{COLUMNS[name]} {excess(ratio)}" for name, ratio in row.excesses.items())
    if row.final:
        reached = row.relative is not None and row.relative >= result.min_relative_accuracy
        return "final" if reached else "final, below the accuracy"
    return "dropped in a round" if row.epochs else "not trained"


def limit_of(name: str, limit: float) -> str:
    """("max_ms", 2.0) -> 'latency at most 2.00 ms'."""
    return f"{COLUMNS[name]} at most {WRITTEN[name](limit).removesuffix(f' {COLUMNS[name]}')}"


def excess(ratio: float) -> str:
    """1.153 -> '15.3 % over the limit', 12.4 -> '12.4 times the limit': by how much a value exceeds its limit."""
    how = f"{units.significant(100 * (ratio - 1))} % over" if ratio < _MANY_TIMES else f"{ratio:,.0f} times"
    return f"{how} the limit"


def value(row: FitRow, limit: str) -> float | None:
    """Returns what a limit applies to."""
    found: float | None = getattr(row.measured, QUANTITIES[limit].field)
    return found


def write_page(result: FitResult) -> None:
    """Writes the page; it loads nothing from anywhere.

    Raises:
        RequestError: the page cannot be written.
    """
    quantities = _measured_quantities(result)
    page = html.render(
        "fit.html.j2",
        result=result,
        title=_title(result),
        caption=_caption(result),
        rows=in_order(result),
        quantities=quantities,
        columns=[COLUMNS[each] for each in quantities],
        quantity=_quantity,
        state=lambda row: state(result, row),
        known=units.known,
        percent=units.percent,
        plots=list(_plots(result)),
    )
    files.write_text(result.page, page)


def _plots(result: FitResult) -> Iterator[tuple[str, Markup]]:
    for limit in result.limits:
        dots = [
            plots.Dot(row.name, row.role, x, y, facts.standard_error(y, result.images))
            for row in result.rows
            if (x := value(row, limit)) is not None and (y := row.validation_accuracy) is not None
        ]
        if dots:
            yield f"Accuracy over {COLUMNS[limit]}", Markup(plots.scatter(dots, _TITLES[limit], "validation"))


def _measured_quantities(result: FitResult) -> list[str]:
    return [name for name in QUANTITIES if any(value(row, name) is not None for row in result.rows)]


def _quantity(row: FitRow, name: str) -> str:
    return units.known(value(row, name), WRITTEN[name]).removesuffix(f" {COLUMNS[name]}")


def _title(result: FitResult) -> str:
    limits = ", ".join(limit_of(name, limit) for name, limit in result.limits.items())
    return f"{result.name}: {result.ships} files on {result.device or result.target}; {limits}"


def _caption(result: FitResult) -> str:
    known = result.teacher_accuracy
    teacher = "" if known is None else f"teacher {units.percent(known)} on the test examples; "
    return (
        f"{teacher}{units.percent(result.min_relative_accuracy)} of the teacher's accuracy is wanted; candidates are "
        "compared on the validation examples, final ones by the file that ships"
    )
