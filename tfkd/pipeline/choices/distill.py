"""`distill="auto"`: the settings of a distillation, chosen from labels, unlabelled images and initial weights.

They are chosen group by group, each with its reason. A field that the recipe sets is kept, also one of a single loss or
of the training. docs/distillation.md has the measurements behind them. The teacher's entropy decides the temperature,
at the start of the training (see tfkd.training.temperature).
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tfkd.data import Dataset
from tfkd.errors import counted
from tfkd.pipeline.choices.base import ChoiceKind, ChosenValue, Question
from tfkd.recipe import Distill, Recipe

SHOWN_TO_TRAINED, SHOWN_TO_RANDOM = 12_000, 100_000  # images, at least, in one training
EPOCHS_OF_TRAINED, EPOCHS_OF_RANDOM = (5, 60), (20, 200)
AVERAGED = 20  # part of the steps that the running average spans
MANY = 1_000  # images
VIEWS_OF_FEW, VIEWS_OF_MANY = 8, 4  # with targets by image
SHOWN = 4  # times that the student may see a stored view, with targets by view
MOST_VIEWS, PREDICTED = 20, 20_000  # views per image, and predictions of the teacher, that are worth less repetition
_REASONS = {
    "image": "targets by image: new views in every epoch, with the mean of the stored predictions",
    "view": "targets by view, so that student and teacher see the same pixels",
}


ROWS, MOST_VIEWS_OF_ROWS = 20_000, 8  # that a tree is fitted to


@dataclass(frozen=True)
class Situation:
    """What the settings are chosen from.

    Attributes:
        labelled: labelled training images.
        unlabelled: images without a label.
        is_trained: whether the student starts from trained weights.
        has_views: whether all teachers predict views, and not one prediction per image from a file.
        is_tree: whether the student is a tree or a forest, which is fitted at once.
    """

    labelled: int
    unlabelled: int
    is_trained: bool
    has_views: bool = True
    is_tree: bool = False

    @property
    def images(self) -> int:
        """Images of one epoch."""
        return self.labelled + self.unlabelled


@dataclass(frozen=True)
class Group:
    """Fields of `distill` that are chosen together; values as in a recipe's JSON.

    Attributes:
        fields: the values.
        reason: why, shown unless the recipe sets all of the fields; "" shows nothing.
    """

    fields: Mapping[str, Any]
    reason: str = ""


def groups(situation: Situation, own: Mapping[str, Any]) -> list[Group]:
    """Returns the chosen settings; `own` are those that the recipe sets, which others depend on."""
    if situation.is_tree:
        return _of_trees(situation)
    training = own.get("training", {})
    epochs = training.get("epochs", _epochs(situation))
    batch = training.get("batch_size", _batch(situation))
    return [
        *_losses(),
        *_views(situation, epochs, own.get("targets", "view" if situation.has_views else "image")),
        *_training(situation, epochs, batch),
        *_finish(situation),
    ]


def _losses() -> list[Group]:
    loss = {"kind": "soft_targets", "temperature": "auto", "weight": 0.9}
    reason = (
        "soft targets with weight 0.9, as no loss is clearly better, at a temperature by the entropy of the stored "
        "predictions"
    )
    return [Group({"losses": [loss]}, reason), Group({"label_weight": 0.1})]


def _views(situation: Situation, epochs: int, targets: str) -> list[Group]:
    reason = _REASONS[targets]
    if targets == "view":
        views = max(math.ceil(epochs / SHOWN), min(epochs, MOST_VIEWS, PREDICTED // situation.images))
    elif situation.has_views:
        views = VIEWS_OF_FEW if situation.images < MANY else VIEWS_OF_MANY
    else:
        views = 1
    return [
        Group({"targets": targets}, reason),
        Group({"views": views}, f"{counted(views, 'stored view')} per example"),
    ]


def _of_trees(situation: Situation) -> list[Group]:
    targets = "view" if situation.has_views else "image"
    views = min(max(1, ROWS // situation.images), MOST_VIEWS_OF_ROWS) if situation.has_views else 1
    return [
        Group({"losses": [{"kind": "soft_targets", "temperature": 1.0}], "targets": targets, "views": views}),
        Group(
            {"views": views}, f"{counted(views, 'stored view')} per row, all of which the trees are fitted to at once"
        ),
    ]


def _epochs(situation: Situation) -> int:
    shown, (least, most) = (
        (SHOWN_TO_TRAINED, EPOCHS_OF_TRAINED) if situation.is_trained else (SHOWN_TO_RANDOM, EPOCHS_OF_RANDOM)
    )
    return min(max(math.ceil(shown / situation.images), least), most)


def _batch(situation: Situation) -> int:
    return 16 if situation.images < MANY else 32 if situation.is_trained else 64


def _training(situation: Situation, epochs: int, batch: int) -> list[Group]:
    """Returns the training of `epochs` epochs of batches of `batch` images."""
    steps = epochs * max(1, situation.images // batch)
    rate = 1e-3 * batch / 32 if situation.is_trained else 3e-3 * batch / 64
    average = round(min(max(1 - AVERAGED / steps, 0.9), 0.999), 3)
    start = "trained" if situation.is_trained else "random"
    others = {"batch_size": batch, "learning_rate": rate, "warmup_epochs": epochs / 10, "average": average}
    reason = f"{counted(epochs, 'epoch')} of {counted(situation.images, 'example')} from {start} weights"
    return [Group({"training": {"epochs": epochs}}, reason), Group({"training": others})]


def _finish(situation: Situation) -> list[Group]:
    if not situation.unlabelled:
        return []
    return [Group({"finish": {"epochs": 4}}, "the labels alone at the end, as the teacher labels other examples too")]


def completed(distill: Distill, situation: Situation) -> Distill:
    """Returns settings with all fields: those that are set, the chosen ones, and defaults."""
    own = {name: value for name, value in distill.model_dump(mode="json").items() if name != "auto"}
    chosen, values = groups(situation, own), dict[str, Any]()
    for group in chosen:
        values = merged(values, group.fields)
    reasons = [group.reason for group in chosen if group.reason and not _are_set(own, group.fields)]
    return Distill.model_validate({**merged(values, own), "reasons": reasons})


def merged(chosen: Any, own: Any) -> Any:
    """Returns chosen values with own ones in their place; blocks of one kind are merged field by field."""
    if isinstance(chosen, Mapping) and isinstance(own, Mapping) and chosen.get("kind") == own.get("kind"):
        return {**chosen, **{name: merged(chosen.get(name), value) for name, value in own.items()}}
    if isinstance(chosen, list) and isinstance(own, list) and len(chosen) == len(own):
        return [merged(one, other) for one, other in zip(chosen, own, strict=True)]
    return own


def _are_set(own: Any, fields: Any) -> bool:
    if isinstance(own, Mapping) and isinstance(fields, Mapping):
        return all(name in own and _are_set(own[name], value) for name, value in fields.items())
    return not isinstance(fields, Mapping)


def _questions(recipe: Recipe, data: Dataset) -> list[Question]:
    if not recipe.distill.auto:
        return []
    about = {**asdict(_situation(recipe, data)), "set": recipe.distill.model_dump(mode="json")}
    if not recipe.student.is_tree:
        del about["is_tree"]  # so that earlier answers stay those of networks
    return [Question("distill", about)]


def _situation(recipe: Recipe, data: Dataset) -> Situation:
    return Situation(
        labelled=len(data.train),
        unlabelled=len(data.unlabelled or ()),
        is_trained=not (recipe.student.is_random or recipe.student.starts_from_bert),
        has_views=not any(teacher.predictions for teacher in recipe.teachers),
        is_tree=recipe.student.is_tree,
    )


def _answer(recipe: Recipe, data: Dataset, question: Question, runs: Path) -> ChosenValue:
    found = completed(recipe.distill, _situation(recipe, data))
    training = found.training
    counts = f"{counted(training.epochs, 'epoch')}, {counted(found.views, 'stored view')}"
    summary = f"{counts}, learning rate {training.learning_rate:g}"
    if recipe.student.is_tree:
        summary = counted(found.views, "stored view")
    return ChosenValue(found.model_dump(mode="json"), summary, f"{'; '.join(found.reasons) or 'The recipe sets all'}.")


DISTILL = ChoiceKind(version=2, questions=_questions, answer=_answer)
