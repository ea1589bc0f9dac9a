"""The context of a run: its recipe, its images, and the folder and result of each stage."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from tfkd import machine
from tfkd.bundle.manifest import RescueEntry, UserOfTest
from tfkd.data import Dataset
from tfkd.models.imports import import_modules
from tfkd.pipeline.executor import Executor
from tfkd.pipeline.folders import RunFolder
from tfkd.pipeline.kind import StageKind, StageResult
from tfkd.pipeline.lock_request import LockRequest
from tfkd.pipeline.resolving import Choice
from tfkd.pipeline.stage import Stage
from tfkd.progress import Progress
from tfkd.quiet import native_logs_silenced
from tfkd.recipe import Recipe
from tfkd.writers import Card, card_of


class FoldRuns(Protocol):
    """The parts of a run without some folds: runs of the same recipe, each in a folder of its own."""

    def without(self, held_out: Sequence[int]) -> "RunContext":
        """Returns the part without some folds, numbered from 0."""

    def within(self, recipe: Recipe) -> "list[RunContext]":
        """Returns the parts of a run, or of a part, whose recipe names the folds that it leaves out."""

    def finish(self, held_out: Sequence[int], names: Sequence[str]) -> "RunContext":
        """Runs the unfinished ones of some stages of a part, and returns the part."""


@dataclass(frozen=True, eq=False)
class RunContext:
    """Read-only values for the work of a stage.

    Attributes:
        recipe: the recipe, resolved.
        data: the images.
        folder: folder of the run.
        stages: the folder and the fingerprint of every stage, in order, by name.
        progress: shows progress.
        executor: trains, compresses and fills the stores.
        choices: what was chosen where the recipe said `auto`.
        folds: the parts of the run without some folds; None where nothing needs them.
        rescue: what was tried after a student missed a gate; None where nothing was.
        lock: the lock file of the user that the teachers are compared with; None without one.
        command: on whose behalf the stages run, as the record of the uses of the test split names it.
    """

    recipe: Recipe
    data: Dataset
    folder: RunFolder
    stages: dict[str, Stage]
    progress: Progress
    executor: Executor
    choices: tuple[Choice, ...] = ()
    folds: "FoldRuns | None" = None
    rescue: RescueEntry | None = None
    lock: LockRequest | None = None
    command: UserOfTest = "run"
    _results: dict[str, Any] = field(default_factory=dict, repr=False)

    def folder_of(self, kind: StageKind[Any], number: int = 0) -> Path:
        """Returns the folder of stage number 0, 1, … of a kind."""
        return self.stages[kind.numbered(number)].folder

    def result(self, kind: StageKind[StageResult], number: int = 0) -> StageResult:
        """Returns the result of stage number 0, 1, … of a kind, which must be finished."""
        name = kind.numbered(number)
        if name not in self._results:
            record = self.stages[name].result()
            assert record is not None, f"{name} is not finished"
            self._results[name] = kind.read(record)
        found: StageResult = self._results[name]
        return found

    def part(self, held_out: Sequence[int]) -> "RunContext":
        """Returns the part of the run without some folds, numbered from 0."""
        assert self.folds is not None
        return self.folds.without(held_out)

    def parts(self) -> "list[RunContext]":
        """Returns every part of the run without one fold or two; none without folds."""
        return self.folds.within(self.recipe) if self.folds is not None else []

    def finished_part(self, held_out: Sequence[int], names: Sequence[str]) -> "RunContext":
        """Runs the unfinished ones of some stages of the part without some folds, and returns the part."""
        assert self.folds is not None
        return self.folds.finish(held_out, names)

    @functools.cached_property
    def card(self) -> Card:
        """The metadata of every exported file."""
        return card_of(self.recipe.model_dump(mode="json"), self.data.classes, self.data.fingerprint)

    def data_for(self, rendering: str) -> Dataset:
        """Returns the images in an input rendering."""
        from tfkd.data.renderings import rendered

        return rendered(rendering, self.data)

    @functools.cached_property
    def shipped(self) -> Dataset:
        """The images in the student's rendering."""
        return self.data_for(self.recipe.student.rendering)

    @functools.cache  # noqa: B019  (one run, one context)
    def start_tensorflow(self) -> None:
        """Loads TensorFlow without its messages, once a stage needs it, and makes it deterministic."""
        with native_logs_silenced():
            from tfkd.training import loop
        loop.prepare_tensorflow(machine.cores(), self.recipe.seed)
        import_modules(self.recipe.imports)
