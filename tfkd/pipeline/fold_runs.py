"""The parts of a run with folds: the same recipe without one fold, or without two, each in a folder of its own.

Without fold i, teachers and student are trained and predict the images of fold i. Without the folds i and j, a teacher
is trained that has seen neither: it labels the images of fold j for the student that predicts fold i. Soft labels are
so of images that their teacher has not seen, and no accuracy depends on the label of an image that it counts.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from tfkd.data import open_source
from tfkd.data.domains import require_domains, splits_of
from tfkd.errors import RequestError
from tfkd.pipeline.context import RunContext
from tfkd.pipeline.executor import Executor
from tfkd.pipeline.folders import RunFolder
from tfkd.pipeline.graph import groups, stages_of
from tfkd.pipeline.work import run_group
from tfkd.progress import Progress
from tfkd.recipe import Recipe


@dataclass(frozen=True, eq=False)
class Parts:
    """The parts of a run, opened once each (see `tfkd.pipeline.context.FoldRuns`).

    Attributes:
        recipe: recipe of the run, resolved.
        folder: folder of the run.
        progress: shows progress.
        executor: trains, and fills the stores.
    """

    recipe: Recipe
    folder: RunFolder
    progress: Progress
    executor: Executor
    _opened: dict[tuple[int, ...], RunContext] = field(default_factory=dict, repr=False)

    def without(self, held_out: Sequence[int]) -> RunContext:
        """Returns the part without some folds, numbered from 0.

        Raises:
            RequestError: the other folds have too few images of a class or a domain.
        """
        numbers = tuple(sorted(held_out))
        if numbers not in self._opened:
            data = self.recipe.data.model_copy(update={"held_out": list(numbers)})
            recipe = self.recipe.model_copy(update={"data": data})
            folder = self.folder.without(numbers)
            images = open_source(data, recipe.seed, checked=folder.checked)
            named = f"{data.source} without fold {' and '.join(str(fold + 1) for fold in numbers)}"
            require_domains(named, images.classes, recipe.teachers, splits_of(images))
            stages = stages_of(recipe, images, folder.path)
            self._opened[numbers] = RunContext(recipe, images, folder, stages, self.progress, self.executor, folds=self)
        return self._opened[numbers]

    def within(self, recipe: Recipe) -> list[RunContext]:
        """Returns the parts of a run, or of a part, whose recipe names the folds that it leaves out."""
        return [self.without(held_out) for held_out in parts_of(recipe)]

    def finish(self, held_out: Sequence[int], names: Sequence[str]) -> RunContext:
        """Runs the unfinished ones of some stages of the part without some folds, and returns the part."""
        part = self.without(held_out)
        due = [name for name in names if part.stages[name].result() is None]
        if due:
            numbers = " and ".join(str(fold + 1) for fold in sorted(held_out))
            self.progress.say(f"without fold {numbers} of {self.recipe.data.folds}:")
        for group in groups(part.recipe, due):
            run_group(part, group)
            part.data.require_unchanged()
        return part


def parts_of(recipe: Recipe) -> Iterator[tuple[int, ...]]:
    """Yields the folds that each part of a run leaves out, from 0."""
    held_out = tuple(recipe.data.held_out)
    others = [fold for fold in range(recipe.data.folds or 0) if fold not in held_out]
    is_tuned = any(teacher.is_tuned for teacher in recipe.teachers)
    for count in range(len(held_out) + 1, 3 if is_tuned else 2):
        for further in itertools.combinations(others, count - len(held_out)):
            yield tuple(sorted((*held_out, *further)))


def require_no_folds(recipe: Recipe, command: str) -> None:
    """Refuses folds for a command that compares networks on one validation split.

    Raises:
        RequestError: the recipe divides the images into folds.
    """
    if recipe.data.folds is not None:
        raise RequestError(
            f"tfkd {command} compares networks on one validation split, which data.folds={recipe.data.folds} does not "
            "have: add data.folds=null, and measure the result by tfkd run with folds."
        )


def open_parts(context: RunContext) -> list[RunContext]:
    """Opens every part of a run, so that folds that do not fit the images are refused before anything is trained.

    Raises:
        RequestError: a part has too few images of a class.
    """
    return context.parts()
