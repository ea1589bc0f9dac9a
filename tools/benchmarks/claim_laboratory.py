"""Where claims.py tries claims: the recipes of their arms, and the trainings behind them."""

import json
from dataclasses import dataclass
from pathlib import Path

from claim_table import BASES, Arm

from tfkd.files import fingerprint
from tfkd.pipeline import sweep
from tfkd.pipeline.context import RunContext
from tfkd.pipeline.folders import STUDENT_MODEL, SWEEP, RunFolder
from tfkd.pipeline.kept_trainings import KeptTraining, trainings_of
from tfkd.pipeline.run import open_run, run
from tfkd.pipeline.stages.teacher import TEACHER, prepared
from tfkd.progress import Progress
from tfkd.recipe import Recipe
from tfkd.recipe.networks import chain
from tfkd.recipe.teachers import is_model_file

_TINY_TRAINING = {"epochs": 2, "batch_size": 16, "learning_rate": 1e-2}
_GATES_OFF = ("better_than_chance", "not_worse_than_control", "diagnosis")


@dataclass(frozen=True)
class Laboratory:
    """Where and on what claims are tried.

    Attributes:
        sources: of the photos, by the name of the run.
        runs: folder that keeps trainings and stores.
        seeds: number of seeds.
        smoke: with networks that train in a second; the numbers mean nothing.
        progress: shows progress.
    """

    sources: dict[str, str]
    runs: Path
    seeds: int
    smoke: bool
    progress: Progress

    def recipe(self, arm: Arm) -> Recipe:
        """Returns the recipe of an arm, with its own teachers."""
        base = BASES[arm.base]
        recipe = base.with_(*arm.overrides, f"data.source={self.sources[base.name]}", f"distill.repeats={self.seeds}")
        return tiny(recipe) if self.smoke else recipe

    def taught(self, arm: Arm) -> Recipe:
        """Returns the recipe of an arm; trains the network that replaces its teachers, if there is one."""
        recipe = self.recipe(arm)
        if arm.teacher is None:
            return recipe
        part, base = arm.teacher
        path = (self._teacher if part == "teacher" else self._control)(self.recipe(Arm(base)))
        return recipe.with_(f"teachers={json.dumps([{'model': str(path), 'fine_tune': None}])}")

    def context(self, recipe: Recipe) -> RunContext:
        """Returns the context of a run."""
        return open_run(recipe, RunFolder(self.runs / recipe.name), self.progress)

    def trainings(self, recipe: Recipe) -> list[KeptTraining]:
        """Returns the trainings of a recipe that was swept."""
        context = self.context(recipe)
        return trainings_of(context, context.recipe, SWEEP, recipe.name)

    def _teacher(self, recipe: Recipe) -> Path:
        run(recipe, self.progress, self.runs, until=TEACHER.name)
        return prepared(self.context(recipe), 0).file

    def _control(self, recipe: Recipe) -> Path:
        sweep.sweep({recipe.name: recipe}, self.progress, self.runs)
        first = next(each for each in self.trainings(recipe) if each.job.kind == "control")
        return first.stage.folder / STUDENT_MODEL


def tiny(recipe: Recipe) -> Recipe:
    """Returns the recipe with networks that train in a second, and without gates on quality."""
    values = recipe.model_dump(mode="json")
    values["data"]["image_size"] = 32
    for teacher in values["teachers"]:
        if not is_model_file(teacher["model"]):
            tuning = _TINY_TRAINING | {"head_epochs": 2}
            teacher |= {"model": "tiny_networks:teacher", "weights": "none", "image_size": 32, "fine_tune": tuning}
    for student in (values["student"], *values["distill"]["assistants"]):
        student["model"] = "tiny_networks:student"
    values["distill"] |= {"views": 2, "training": values["distill"]["training"] | _TINY_TRAINING}
    values["bench"] = {"runs": 5, "warmup": 1}
    values["gates"] = dict.fromkeys(_GATES_OFF, False) | {"min_relative_accuracy": None}
    return Recipe.model_validate(values)


def stores_of(recipe: Recipe) -> str:
    """Returns one text for all recipes that can be in one sweep: equal data, teachers and networks in between."""
    own = recipe if chain(recipe) else None
    return fingerprint(*(part and part.model_dump(mode="json") for part in (recipe.data, own, *recipe.teachers)))
