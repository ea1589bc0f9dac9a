"""`tfkd.run`: runs a recipe from Python."""

from pathlib import Path

from tfkd import arguments, import_path
from tfkd.arguments import PathLike
from tfkd.interface.calls import apart, public_call
from tfkd.interface.results import RunReport
from tfkd.pipeline import run as pipeline
from tfkd.pipeline.rescue import run_or_rescue
from tfkd.progress import Progress, for_caller
from tfkd.recipe import OVERRIDES, Recipe, files, shrunk


@public_call()
def run(
    recipe: Recipe | PathLike,
    *overrides: str,
    until: str | None = None,
    fresh: bool = False,
    smoke: bool = False,
    rescue: bool = False,
    hours: float | None = None,
    runs: PathLike = "runs",
    out: PathLike = "exported_models",
    progress: bool | None = None,
) -> RunReport:
    """Runs a recipe: distils, exports, verifies, benchmarks and reports, as `tfkd run` does.

    Finished stages are reused, and an interrupted run continues from its last checkpoint. The work runs in a separate
    process. The bundle is published as `out/<name>` unless a gate fails (see `passed` of the result).

    Args:
        recipe: a Recipe, or the path of a file with one: Python or JSON.
        overrides: fields to change as `key.path=value`.
        until: name of the last stage to run; default: all.
        fresh: ignore results of earlier calls with these settings.
        smoke: shrink the recipe to about a minute, to check that it runs.
        rescue: when the student itself misses a gate, try the first two remedies of its causes, and keep what the
            validation images prefer.
        hours: time for the remedies in this call; None: 1.
        runs: folder of the runs.
        out: folder of the bundles.
        progress: show progress; None: in notebooks and terminals only.

    Raises:
        RequestError: the request was wrong, or another process works in the run's folder.
        GateError: a teacher is not better than chance, so its soft labels were not computed.
        MachineError: the machine failed, e.g. its disk is full.

    Example:
        >>> result = tfkd.run(recipe, "distill.views=4")
        >>> result.comparison
    """
    arguments.text("until", until, "the name of a stage", optional=True)
    arguments.flag("fresh", fresh)
    arguments.flag("smoke", smoke)
    arguments.flag("rescue", rescue)
    if hours is not None:
        hours = arguments.number("hours", hours)
    arguments.flag("progress", progress, optional=True)
    places = arguments.path("runs", runs), arguments.path("out", out)
    full = recipe_of(recipe, overrides)
    used = shrunk(full) if smoke else full
    outcome: pipeline.Outcome = apart(
        places[0] / used.name, _run, used, *places, until, fresh, rescue, hours, progress=for_caller(progress)
    )
    tries = outcome.manifest.rescue.tries if outcome.manifest and outcome.manifest.rescue else []
    kept = [override for each in tries if each.kept for override in each.overrides]
    return RunReport(used.with_(*kept), outcome.folder, outcome.bundle, outcome.manifest)


@public_call()
def load_recipe(path: PathLike, *overrides: str) -> Recipe:
    """Reads a recipe from a Python file, or from the `recipe.json` of a bundle.

    Args:
        path: path of the file. Python files may import modules from their folder.
        overrides: fields to change as `key.path=value`.

    Raises:
        RequestError: the file is missing or holds no recipe, or a field is unknown or has a wrong value.
    """
    file = arguments.path("path", path)
    if file.suffix == ".py":
        import_path.append(file.parent)
    return files.load(file, arguments.texts("overrides", overrides, OVERRIDES))


def recipe_of(recipe: Recipe | PathLike, overrides: tuple[str, ...]) -> Recipe:
    """Returns the recipe with its overrides."""
    if isinstance(recipe, Recipe):
        return recipe.with_(*overrides)
    return load_recipe(arguments.path("recipe", recipe, "a Recipe, or the path of a file with one"), *overrides)


def _run(
    recipe: Recipe,
    runs: Path,
    out: Path,
    until: str | None,
    fresh: bool,
    rescue: bool,
    hours: float | None,
    progress: Progress,
) -> pipeline.Outcome:
    return run_or_rescue(recipe, progress, runs, out, until, fresh, rescue, hours)
