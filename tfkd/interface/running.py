"""`tfkd.run`: runs a recipe from Python."""

from pathlib import Path

from tfkd import import_path
from tfkd.interface.calls import PathLike, apart, public_call
from tfkd.interface.results import RunReport
from tfkd.pipeline import run as pipeline
from tfkd.progress import Progress, chosen
from tfkd.recipe import Recipe, files, shrunk


def run(
    recipe: Recipe | PathLike,
    *overrides: str,
    until: str | None = None,
    fresh: bool = False,
    smoke: bool = False,
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
    with public_call():
        chosen_recipe = shrunk(recipe_of(recipe, overrides)) if smoke else recipe_of(recipe, overrides)
        folder, shown = Path(runs) / chosen_recipe.name, chosen(progress)
        arguments = (chosen_recipe, Path(runs), Path(out), until, fresh)
        outcome: pipeline.Outcome = apart(folder, _run, *arguments, progress=shown)
        return RunReport(chosen_recipe, outcome.folder, outcome.bundle, outcome.manifest)


def load_recipe(path: PathLike, *overrides: str) -> Recipe:
    """Reads a recipe from a Python file, or from the `recipe.json` of a bundle.

    Args:
        path: path of the file. Python files may import modules from their folder.
        overrides: fields to change as `key.path=value`.

    Raises:
        RequestError: the file is missing or holds no recipe, or a field is unknown or has a wrong value.
    """
    file = Path(path)
    if file.suffix == ".py":
        import_path.append(file.parent)
    return files.load(file, list(overrides))


def recipe_of(recipe: Recipe | PathLike, overrides: tuple[str, ...]) -> Recipe:
    """Returns the recipe with its overrides."""
    return recipe.with_(*overrides) if isinstance(recipe, Recipe) else load_recipe(recipe, *overrides)


def _run(recipe: Recipe, runs: Path, out: Path, until: str | None, fresh: bool, progress: Progress) -> pipeline.Outcome:
    return pipeline.run(recipe, progress, runs, out, until, fresh)
