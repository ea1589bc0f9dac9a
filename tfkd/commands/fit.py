"""The command `tfkd fit`. Every call of tfkd imports this module, so it imports little itself."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tfkd.benchmark import TARGETS
from tfkd.commands.recipes import OnCluster, Out, Overrides, RecipeFile, Runs, read_recipe
from tfkd.commands.target_flags import changed, with_flags
from tfkd.terminal import say, show

if TYPE_CHECKING:
    from tfkd.report.fits import FitResult

_OF_THE_RECIPE = ("runs", "warmup", "processes")


@with_flags(without=_OF_THE_RECIPE)
def fit(
    recipe: RecipeFile,
    overrides: Overrides = None,
    target: Annotated[
        str | None,
        typer.Option(
            help=", ".join(each.written for name, each in TARGETS.items() if name != "ios") + "; default: host",
            autocompletion=lambda: list(TARGETS),
        ),
    ] = None,
    max_ms: Annotated[float | None, typer.Option(help="limit of the median latency, milliseconds")] = None,
    max_kb: Annotated[float | None, typer.Option(help="limit of the file's size, kB")] = None,
    max_mb: Annotated[float | None, typer.Option(help="limit of the peak memory, MB")] = None,
    max_instructions: Annotated[float | None, typer.Option(help="limit of the instructions, for arm64")] = None,
    min_relative_accuracy: Annotated[
        float | None, typer.Option(help="student accuracy / teacher accuracy; default: 0.95")
    ] = None,
    hours: Annotated[float | None, typer.Option(help="time for this call")] = None,
    *,
    plan: Annotated[bool, typer.Option("--plan", help="show what it would do and cost, and stop")] = False,
    cluster: OnCluster = None,
    runs: Runs = Path("runs"),
    out: Out = Path("exported_models"),
    **options: Any,
) -> None:
    """Find the best student within a budget: measure candidates untrained, train those that fit, publish the best.

    Exit code 1 when nothing meets the budget and the accuracy, 4 when the device could not be measured.
    """
    from tfkd.pipeline import fit as fitting
    from tfkd.pipeline.cluster import executor_on
    from tfkd.progress import for_output

    budget = {
        "target": target,
        "max_ms": max_ms,
        "max_kb": max_kb,
        "max_mb": max_mb,
        "max_instructions": max_instructions,
        "min_relative_accuracy": min_relative_accuracy,
        "hours": hours,
    }
    flags = [f"fit.{name}={json.dumps(value)}" for name, value in budget.items() if value is not None]
    parsed = read_recipe(recipe, [*(overrides or []), *flags])
    if plan:
        for line in fitting.plan(parsed, for_output(), runs, changed(options)):
            say(line)
        return
    progress = for_output()
    with executor_on(cluster, runs / parsed.name, progress) as executor:
        result = fitting.fit(parsed, progress, runs, out, changed(options), executor)
    _show(result)
    if not result.passed:
        raise typer.Exit(1)


def _show(result: "FitResult") -> None:
    from tfkd.report import fits

    show(fits.table(result))
    for line in (*result.verdict, *result.cut):
        say(line)
    say(f"The table and the plots are in {result.page}, the numbers in {result.folder}/result.json")
    if result.recipe.is_file():
        say(f"The recipe of the best student is {result.recipe}")
    if result.bundle is not None:
        say(f"The bundle is {result.bundle}; open {result.bundle}/report.html")
