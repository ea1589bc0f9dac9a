"""What a run would do before it does it: its stages, which of them are finished, and what the others cost."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfkd.data import Dataset
from tfkd.files import content_size
from tfkd.pipeline.graph import chain, is_store, kind_of, number_of
from tfkd.pipeline.kept import Kept, kept
from tfkd.pipeline.run import Run
from tfkd.progress import Progress
from tfkd.recipe import Recipe
from tfkd.store.layout import Layout


@dataclass(frozen=True)
class Step:
    """One stage of a planned run.

    Attributes:
        name: of the stage.
        finished: whether a result of it is there to be reused.
        cost: what the work takes.
        bytes: of the result's files that are there.
        reason: which inputs changed since an earlier result was made; "" where none is known to have.
    """

    name: str
    finished: bool
    cost: str
    bytes: int = 0
    reason: str = ""


def plan(recipe: Recipe, progress: Progress, runs: Path = Path("runs")) -> tuple[list[Step], list[Kept]]:
    """Returns what a run of this recipe would do; measures a teacher's speed where it is still to be asked.

    Returns:
        The stages in order, and what the run's folder keeps that none of them uses.

    Raises:
        RequestError: the data cannot be opened.
    """
    run = Run(recipe, runs / recipe.name, progress)
    costs = _costs(recipe, run.data)
    steps = [
        Step(
            name,
            stage.result() is not None,
            _store_cost(run, name) if is_store(name) else costs.get(kind_of(name), ""),
            content_size(stage.folder) if stage.folder.is_dir() else 0,
            stage.outdated(),
        )
        for name, stage in run.stages.items()
    ]
    return steps, [each for each in kept(run) if not each.current]


def _costs(recipe: Recipe, data: Dataset) -> dict[str, str]:
    distill = recipe.distill
    pool = len(data.train) + len(data.unlabelled or ())
    shown = pool * distill.training.epochs
    tuning = recipe.teachers[0].fine_tune
    return {
        "teacher": f"{len(data.train) * tuning.epochs:,} images shown to the thawed teacher"
        if tuning
        else "no training",
        "assistant": f"{shown:,} images shown",
        "control": f"{distill.repeats * shown:,} images shown" if distill.control else "switched off",
        "student": f"{distill.repeats * shown:,} images shown",
        "compress": f"{sum(pool * block.training.epochs for block in recipe.compress):,} images shown",
        "export": f"{len(recipe.export.tflite)} TFLite and {len(recipe.export.coreml)} Core ML files",
        "verify": f"{len(data.test):,} test images through every file",
    }


def _store_cost(run: Run, name: str) -> str:
    """Returns what a stage of soft labels costs, or did cost, in bytes and minutes."""
    views = (len(run.data.train) + len(run.data.unlabelled or ())) * run.recipe.distill.views
    done = run.stages[name].result()
    if done:
        size, seconds = Layout.described_by(done["layout"]).bytes_per_view, done["seconds"]
        return f"{views:,} views, {views * size / 1e6:,.1f} MB, {seconds / 60:,.1f} minutes"
    run.start_tensorflow()
    from tfkd.store import inference

    model, classes = _untrained(run, name), len(run.data.classes)
    layout = Layout.chosen(classes, inference.feature_shapes(model, run.recipe.distill.teacher_taps))
    minutes = views / inference.images_per_second(model) / 60
    return f"{views:,} views, {views * layout.bytes_per_view / 1e6:,.1f} MB, about {minutes:,.1f} minutes"


def _untrained(run: Run, name: str) -> Any:
    """Returns a network like the one that a stage of soft labels asks, as fast but not trained."""
    from tfkd.models import build_student, build_teacher

    recipe, classes = run.recipe, run.data.classes
    if kind_of(name) == "assistant_labels":
        asked = chain(recipe)[number_of(name)]
        return build_student(asked, recipe.data.image_size, len(classes), recipe.seed)
    teacher = recipe.teachers[number_of(name)]
    return build_teacher(teacher.model_copy(update={"weights": "none"}), len(classes), recipe.seed, classes)
