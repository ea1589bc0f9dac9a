"""`tfkd.run`: runs a recipe from Python."""

from pathlib import Path

from tfkd import arguments, import_path
from tfkd.arguments import PathLike
from tfkd.interface.calls import apart, public_call
from tfkd.interface.results import RunReport
from tfkd.pipeline import run as pipeline
from tfkd.pipeline.cluster import executor_on
from tfkd.pipeline.lock_request import LockMode, LockRequest, lock_request
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
    lock: bool = False,
    locked: bool = False,
    relock: bool = False,
    lock_file: PathLike | None = None,
    cluster: str | None = None,
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
        rescue: when the student itself misses a gate, try two remedies, and keep what validation prefers.
        hours: time for the remedies in this call; None: 1.
        lock: write the lock file of the teachers; one that exists is kept to, as with `locked`.
        locked: refuse other teachers, classes or data than those of the lock file, before soft labels are computed.
        relock: accept these teachers: replace the lock file.
        lock_file: default: `NAME.teacher.lock` beside the file of the recipe.
        cluster: address of a Ray cluster that does the long work, or "auto"; None: this machine.
        runs: folder of the runs.
        out: folder of the bundles.
        progress: show progress; None: in notebooks and terminals only.

    Raises:
        RequestError: the request was wrong, the teachers are not the locked ones, or another process works in the run's
            folder.
        GateError: a teacher is not better than chance, so its soft labels were not computed.
        MachineError: the machine failed, e.g. its disk is full.

    Example:
        >>> tfkd.run(recipe, "distill.views=4").comparison
    """
    for name, text, what in (("until", until, "the name of a stage"), ("cluster", cluster, "the address of a cluster")):
        arguments.text(name, text, what, optional=True)
    modes: dict[LockMode, bool] = {"lock": lock, "locked": locked, "relock": relock}
    for name, value in (("fresh", fresh), ("smoke", smoke), ("rescue", rescue), *modes.items()):
        arguments.flag(name, value)
    hours = None if hours is None else arguments.number("hours", hours)
    arguments.flag("progress", progress, optional=True)
    places = arguments.path("runs", runs), arguments.path("out", out)
    used = shrunk(recipe_of(recipe, overrides)) if smoke else recipe_of(recipe, overrides)
    asked = _lock_asked(modes, lock_file, recipe, used.name)
    request = used, *places, until, fresh, rescue, hours, asked, cluster
    return _report(used, apart(places[0] / used.name, _run, *request, progress=for_caller(progress)))


def _lock_asked(
    modes: dict[LockMode, bool], file: PathLike | None, recipe: Recipe | PathLike, name: str
) -> LockRequest | None:
    own = None if file is None else arguments.path("lock_file", file)
    return lock_request(modes, own, None if isinstance(recipe, Recipe) else Path(recipe), name)


def _report(recipe: Recipe, outcome: pipeline.Outcome) -> RunReport:
    tries = outcome.manifest.rescue.tries if outcome.manifest and outcome.manifest.rescue else []
    kept = [override for each in tries if each.kept for override in each.overrides]
    return RunReport(recipe.with_(*kept), outcome.folder, outcome.bundle, outcome.manifest)


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
    lock: LockRequest | None,
    cluster: str | None,
    progress: Progress,
) -> pipeline.Outcome:
    with executor_on(cluster, runs / recipe.name, progress) as executor:
        return run_or_rescue(recipe, progress, runs, out, until, fresh, rescue, hours, lock, executor)
