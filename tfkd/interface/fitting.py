"""`tfkd.fit`: finds the best student for a budget from Python."""

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tfkd import arguments
from tfkd.arguments import PathLike
from tfkd.interface.calls import apart, public_call
from tfkd.interface.running import recipe_of
from tfkd.pipeline import fit as fitting
from tfkd.pipeline.cluster import executor_on
from tfkd.progress import Progress, for_caller
from tfkd.recipe import Recipe
from tfkd.report import fits
from tfkd.report.fits import FitResult
from tfkd.report.tables import Table, Tables


class FitReport(Tables):
    """A finished fit.

    Attributes:
        result: budget, candidates and verdict.
        passed: True if a file meets the budget and the accuracy.
        verdict: sentences about what was found.
        recipe: path of the recipe of the best student; no file if nothing was trained.
        page: path of the page with table and plots.
        bundle_folder: folder of the published bundle; None if nothing was published.
    """

    def __init__(self, result: FitResult) -> None:
        self.result = result
        self.passed = result.passed
        self.verdict = result.verdict
        self.recipe = result.recipe
        self.page = result.page
        self.bundle_folder = result.bundle

    @property
    def candidates(self) -> Table:
        """Every candidate with what was measured and what it reached."""
        rows = (dataclasses.asdict(row) for row in fits.in_order(self.result))
        return Table(fits.table(self.result), rows)

    def tables(self) -> Iterator[Table]:
        """Yields the candidates."""
        yield self.candidates


@public_call()
def fit(
    recipe: Recipe | PathLike,
    *overrides: str,
    cluster: str | None = None,
    runs: PathLike = "runs",
    out: PathLike = "exported_models",
    progress: bool | None = None,
    **options: Any,
) -> FitReport:
    """Finds and publishes the best student for the budget in the recipe's block `fit`, as `tfkd fit` does.

    Files, measurements and trainings of earlier calls are reused. The work runs in a separate process.

    Args:
        recipe: a Recipe, or the path of a file with one: Python or JSON.
        overrides: fields to change as `key.path=value`, e.g. "fit.max_ms=2".
        cluster: address of a Ray cluster that does the long work, or "auto"; None: this machine.
        runs: folder of the runs.
        out: folder of the bundles.
        progress: show progress; None: in notebooks and terminals only.
        options: options of the target, as those of `tfkd.bench`.

    Raises:
        RequestError: the request was wrong, or another process works in the run's folder.
        GateError: a teacher is not better than chance.
        MachineError: the device or the machine could not be measured.

    Example:
        >>> tfkd.fit(recipe, "fit.max_ms=2", "fit.max_kb=900").candidates
    """
    arguments.flag("progress", progress, optional=True)
    arguments.text("cluster", cluster, "the address of a Ray cluster", optional=True)
    places = arguments.path("runs", runs), arguments.path("out", out)
    used = recipe_of(recipe, overrides)
    result = apart(places[0] / used.name, _fit, used, *places, options, cluster, progress=for_caller(progress))
    return FitReport(result)


def _fit(
    recipe: Recipe, runs: Path, out: Path, options: Mapping[str, object], cluster: str | None, progress: Progress
) -> FitResult:
    with executor_on(cluster, runs / recipe.name, progress) as executor:
        return fitting.fit(recipe, progress, runs, out, options, executor)
