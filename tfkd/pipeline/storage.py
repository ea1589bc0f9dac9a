"""Results in the folder of a run, for these and for other settings: their cost, and their removal on request."""

import shutil
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfkd.errors import RequestError, nearest
from tfkd.files import content_size, read_sealed
from tfkd.pipeline.context import RunContext
from tfkd.pipeline.fold_runs import open_parts
from tfkd.pipeline.folders import COMPARISON, FIT, FOLD, SWEEP, RunFolder
from tfkd.pipeline.graph import ORDER
from tfkd.pipeline.run import open_run
from tfkd.pipeline.stage import changed, locked, some
from tfkd.pipeline.stage_files import BEGUN, DONE
from tfkd.progress import Progress
from tfkd.recipe import Recipe
from tfkd.recipe.names import kind_of

CURRENT, NOTHING = "current", "nothing"
_KINDS = [*ORDER, FOLD, SWEEP, COMPARISON, FIT]


@dataclass(frozen=True)
class StoredResult:
    """One store, training or other result in the folder of a run.

    Attributes:
        kind: name of the stage without its number, or "fold", "sweep", "compare" or "fit".
        name: name in messages.
        folder: its folder.
        bytes: size of its files.
        seconds: time of the work; 0 for an unfinished result.
        finished: whether it can be reused.
        current: whether a run of this recipe uses it.
        differs: how its settings differ from the recipe's.
    """

    kind: str
    name: str
    folder: Path
    bytes: int
    seconds: float
    finished: bool
    current: bool
    differs: str

    def __str__(self) -> str:
        cost = f"cost {self.seconds / 60:,.1f} minutes" if self.finished else "unfinished"
        differs = f" ({self.differs})" if self.differs else ""
        return f"{self.name}: {self.bytes / 1e6:,.1f} MB, {cost}{differs}"


def stored_results(context: RunContext) -> list[StoredResult]:
    """Returns all results in the folder of a run, also those of other settings, in the order of its stages."""
    current = {stage.folder for run in (context, *open_parts(context)) for stage in run.stages.values()}
    folders = {path.parent for name in (BEGUN, DONE) for path in context.folder.path.rglob(name)}
    found = [_described(context, folder, folder in current or _is_start(context, folder)) for folder in folders]
    found.sort(key=lambda each: (_KINDS.index(each.kind), each.name, not each.current, str(each.folder)))
    return found


def clean(recipe: Recipe, progress: Progress, runs: Path, keep: Collection[str] = (CURRENT,)) -> list[StoredResult]:
    """Removes results from the folder of a run, and reports the cost of each in a line before it is removed.

    Args:
        recipe: whose run it is.
        progress: receives the lines.
        runs: the folder of the runs' folders.
        keep: names of stages, "fold", "sweep", "compare", "fit", "current" (what a run of this recipe uses) or
            "nothing".

    Returns:
        The removed results.

    Raises:
        RequestError: a name is unknown, or another process works in the run's folder.
    """
    for name in keep:
        if name not in (known := [CURRENT, NOTHING, *_KINDS]):
            raise RequestError(f"--keep {name}: there is no such stage.{nearest(name, known)}")
    folder = runs / recipe.name
    if not folder.is_dir():
        raise RequestError(f"There is no run in {folder}; set --runs to the folder of the runs.")
    with locked(folder):
        context = open_run(recipe, RunFolder(folder), progress)
        removed = [
            each for each in stored_results(context) if each.kind not in keep and not (each.current and CURRENT in keep)
        ]
        for each in removed:
            progress.say(f"removing {each}")
            shutil.rmtree(each.folder)
        return removed


def _is_start(context: RunContext, folder: Path) -> bool:
    """Returns whether a network of a run starts from weights in a folder, such as those of an earlier student."""
    networks = (context.recipe.student, *context.recipe.distill.assistants)
    starts = [Path(each.weights_file) for each in networks if each.weights_file]
    return any(start.resolve().is_relative_to(folder.resolve()) for start in starts)


def _described(context: RunContext, folder: Path, is_current: bool) -> StoredResult:
    inside = folder.relative_to(context.folder.path).parts
    state, done = read_sealed(folder / BEGUN) or {}, read_sealed(folder / DONE)
    return StoredResult(
        kind=kind_of(inside[0]),
        name=_name(state.get("name", inside[0]), inside),
        folder=folder,
        bytes=content_size(folder),
        seconds=0.0 if done is None else float(done["seconds"]),
        finished=done is not None,
        current=is_current,
        differs=", ".join(_differences(context, inside[0], state)),
    )


def _name(stage: str, inside: tuple[str, ...]) -> str:
    """Returns a name for messages; of a part of a run with the folds that it leaves out."""
    return f"{stage} without fold {inside[1].replace('-', ' and ')}" if inside[0] == FOLD else stage


def _differences(context: RunContext, name: str, state: dict[str, Any]) -> Iterator[str]:
    stage = context.stages.get(name)
    if not state:
        yield f"{BEGUN} is missing or damaged"
    elif stage is not None:
        if settings := changed(state["inputs"], stage.inputs):
            yield f"other {some(settings)}"
        if conditions := changed(state["conditions"], stage.conditions):
            yield f"created with other {some(conditions)}"
