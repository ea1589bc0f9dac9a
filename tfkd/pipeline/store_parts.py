"""Fills the stores of a run in parts, each by a process or a machine of its own, and joins them."""

import contextlib
import fcntl
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from tfkd.errors import RequestError, enumerated
from tfkd.files import agreed
from tfkd.pipeline import filling
from tfkd.pipeline.cluster.nodes import WORKING, Node, alone_with, this_node
from tfkd.pipeline.context import RunContext
from tfkd.pipeline.filling import StoreJob, images_in_transfer_set
from tfkd.pipeline.folders import RunFolder
from tfkd.pipeline.run import open_run, run_stages
from tfkd.pipeline.spending import metered, open_account
from tfkd.pipeline.stage import Stage, locked
from tfkd.pipeline.stages.plausible import require_plausible
from tfkd.pipeline.stages.soft_labels import SOFT_LABELS, job_of
from tfkd.pipeline.stages.teacher import TEACHER
from tfkd.progress import Progress, Say
from tfkd.recipe import Recipe
from tfkd.recipe.names import kind_of
from tfkd.store.soft_labels import HEADER, PARTS, StorePart, join, read_object

_COMMON = "common.json"  # what all parts must have in common


def part_of(text: str, option: str = "--part") -> StorePart:
    """Returns the part that a text such as "2/8" names.

    Args:
        text: number and number of all.
        option: whose value it is, for messages.

    Raises:
        RequestError: it is not of that form.
    """
    number, slash, of = text.partition("/")
    if not (slash and number.isdecimal() and of.isdecimal() and 1 <= int(number) <= int(of) <= 9999):
        raise RequestError(f"{option} {text} is not of the form 2/8, the second of eight, of at most 9,999.")
    return StorePart(int(number), int(of))


def fill_part(recipe: Recipe, progress: Progress, runs: Path, part: StorePart) -> None:
    """Fills one part of the stores of all teachers of a recipe, whose teachers must be finished.

    Any number of processes may fill parts at the same time, on machines that share the folder of the run. A part that
    was killed is filled again, by the same call.

    Args:
        recipe: the recipe.
        progress: shows progress.
        runs: the folder of the runs' folders.
        part: the part.

    Raises:
        RequestError: a teacher is not finished, another part runs with other software, or another command works in the
            run's folder.
        GateError: a teacher is not better than chance.
    """
    _require_no_folds(recipe)
    folder = RunFolder(runs / recipe.name)
    with locked(folder.path, shared=True):
        context = open_run(recipe, folder, progress)
        _require_teachers(context, runs)
        for number, stage in _unfinished(context):
            _fill(context, stage, job_of(context, number), part)


def join_parts(recipe: Recipe, progress: Progress, runs: Path) -> None:
    """Joins the parts of the stores of all teachers of a recipe; afterwards they are those of a run.

    Raises:
        RequestError: shards are missing or damaged, or another command works in the run's folder.
    """
    _require_no_folds(recipe)
    folder = RunFolder(runs / recipe.name)
    with locked(folder.path):
        context = open_run(recipe, folder, progress, keep=True)
        _require_teachers(context, runs)
        for number, stage in _unfinished(context):
            stored = read_object(stage.folder / HEADER)
            if stored is None:
                raise RequestError(
                    f"No part of {stage.name} was begun in {folder.path}; run tfkd store with --part 1/N."
                )
            views, images = job_of(context, number).views, images_in_transfer_set(context.data)
            own = {"fingerprint": stage.base, "images": images, "views": views, "layout": stored.get("layout")}
            join(stage.folder, own)
            progress.say(f"{stage.name}: joined")
        run_stages(context, SOFT_LABELS.name, folder.path)


def _require_no_folds(recipe: Recipe) -> None:
    if recipe.data.folds is not None:
        raise RequestError(
            f"data.folds={recipe.data.folds} has a store for every fold, which tfkd run fills; use it instead."
        )


def _require_teachers(context: RunContext, runs: Path) -> None:
    teachers = {name: stage for name, stage in context.stages.items() if kind_of(name) == TEACHER.name}
    if missing := [name for name, stage in teachers.items() if stage.result() is None]:
        place = "" if runs == Path("runs") else f" --runs {runs}"
        raise RequestError(
            f"{enumerated(missing)} not finished in {context.folder.path}; run tfkd run{place} RECIPE --until teacher "
            "first."
        )
    for name in teachers:
        require_plausible(context, name)


def _unfinished(context: RunContext) -> Iterator[tuple[int, Stage]]:
    """Yields the unfinished stores of teachers, with the teacher's number; says which are finished."""
    for number in range(len(context.recipe.teachers)):
        stage = context.stages[SOFT_LABELS.numbered(number)]
        if stage.result() is None:
            yield number, stage
        else:
            context.progress.say(f"{stage.name}: finished")


def _fill(context: RunContext, stage: Stage, job: StoreJob, part: StorePart) -> None:
    own = stage.folder / PARTS / f"{part.number}-of-{part.of}"
    with _in_turn(context.folder.path):
        if not (stage.folder / PARTS).is_dir():
            stage.begin(context.progress.say)
        own.mkdir(parents=True, exist_ok=True)
        open_account(own, is_new=True)
    _require_same_software(stage.folder / PARTS / _COMMON, context.progress.say)
    context.start_tensorflow()
    context.progress.say(f"{stage.name}, part {part} …")
    with alone_with(own / WORKING), metered([own]):
        filling.fill(job, context.data, context.progress, part)
    context.progress.say(f"{stage.name}, part {part}: done")


def _require_same_software(path: Path, say: Say) -> None:
    """Compares this machine with that of the first part.

    Raises:
        RequestError: it has other software.
    """
    here = this_node()
    first = Node(**agreed(path, asdict(here)))
    first.require_equal(here)
    if first.processor != here.processor:
        say(
            f"  {first.name}, which began the first part, has another processor ({first.processor}); the last digits "
            "can differ"
        )


@contextlib.contextmanager
def _in_turn(folder: Path) -> Iterator[None]:
    """Lets one process at a time prepare a store."""
    with (folder / ".parts.lock").open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield
