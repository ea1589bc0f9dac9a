"""Suspected wrong labels of a run: what networks that have not learned from an example make of its label.

With folds these are the teacher and the student without the example's fold. Otherwise it is the teacher: on validation
and test examples, and on the training examples too where it was not trained here.
"""

import csv
import functools
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfkd import files
from tfkd.bundle.manifest import HeldOutPart, Judge, SuspectedLabels
from tfkd.data.dataset import Split
from tfkd.data.joined import joined
from tfkd.distill.measures import softmax
from tfkd.pipeline.context import RunContext
from tfkd.pipeline.stages.folds import FOLDS, pooled_logits
from tfkd.pipeline.stages.soft_labels import SOFT_LABELS
from tfkd.pipeline.stages.teacher import ensemble_logits
from tfkd.pipeline.stages.trainings import stores_behind
from tfkd.recipe.names import kind_of
from tfkd.verification.label_errors import SuspectedLabel, is_graded, suspected_labels

COLUMNS = ("file", "label", "suggested", "probability", "score")
_ALIKE = "the predictions are equally confident of every example, so that none can be ranked"


@dataclass(frozen=True, eq=False)
class Suspects:
    """The suspected labels of a run.

    Attributes:
        entry: what the manifest says of them.
        examples: all that were judged.
        found: the suspected ones, the most probable first.
    """

    entry: SuspectedLabels
    examples: Split
    found: tuple[SuspectedLabel, ...]


@dataclass(frozen=True, eq=False)
class _HeldOut:
    """Examples with predictions of networks that have not learned from them, float64 [n, classes]."""

    parts: tuple[HeldOutPart, ...]
    judges: tuple[Judge, ...]
    examples: Split
    probabilities: np.ndarray


def suspects_of(context: RunContext) -> Suspects | None:
    """Returns the suspected labels of a run whose teachers are finished; None without such predictions."""
    held_out = _in_folds(context) if context.data.is_pooled else _in_splits(context)
    if held_out is None:
        return None
    graded = is_graded(held_out.probabilities)
    found = suspected_labels(held_out.examples.labels, held_out.probabilities) if graded else ()
    entry = SuspectedLabels(
        judges=list(held_out.judges),
        parts=list(held_out.parts),
        examples=len(held_out.examples),
        suspects=len(found),
        reason="" if graded else _ALIKE,
    )
    return Suspects(entry, held_out.examples, found)


def write_suspects(context: RunContext) -> Suspects | None:
    """Writes the list of the suspected labels to the folder of the run, and returns them; see `suspects_of`."""
    suspects, path = suspects_of(context), context.folder.suspected_labels
    if suspects is None or suspects.entry.reason:
        path.unlink(missing_ok=True)
        return suspects
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([COLUMNS, *_rows(suspects, context.data.classes)])
    files.write_bytes(path, text.getvalue().encode("utf-8", "surrogateescape"))  # as the file system names them
    return suspects


def _rows(suspects: Suspects, classes: Sequence[str]) -> Iterator[tuple[str, ...]]:
    labels = suspects.examples.labels
    for each in suspects.found:
        name, label = suspects.examples.name(each.position), classes[labels[each.position]]
        yield name, label, classes[each.suggested], f"{each.probability:.4f}", f"{each.score:.4f}"


def _in_folds(context: RunContext) -> _HeldOut | None:
    """Returns all labelled examples with the mean of what teacher and student without their fold predict."""
    taught, found = ensemble_logits(context), dict[Judge, np.ndarray]()
    if taught is not None:
        found["teacher"] = softmax(taught)
    if context.stages[FOLDS.name].result() is not None:
        found["student"] = softmax(pooled_logits(context, "student", context.result(FOLDS).best_seed))
    if not found:
        return None
    mean = np.mean([*found.values()], axis=0)
    return _finite(_HeldOut(("folds",), tuple(found), context.shipped.test, mean))


def _in_splits(context: RunContext) -> _HeldOut | None:
    """Returns the examples of the splits that the teachers were measured on and have not learned from."""
    data = context.shipped
    logits: dict[HeldOutPart, tuple[Split, Any]] = {
        "train": (data.train, _of_training_examples(context)),
        "validation": (data.validation, ensemble_logits(context, "validation")),
        "test": (data.test, ensemble_logits(context)),
    }
    known = {name: each for name, each in logits.items() if each[1] is not None and len(each[0])}
    if not known:
        return None
    examples = functools.reduce(joined, (split for split, _ in known.values()))
    probabilities = softmax(np.concatenate([each for _, each in known.values()]))
    return _finite(_HeldOut(tuple(known), ("teacher",), examples, probabilities))


def _of_training_examples(context: RunContext) -> Any:
    """Returns the mean of the stored predictions of their views; None where a teacher was trained on them."""
    from tfkd.distill.ensemble import together
    from tfkd.training.teaching import open_stores

    recipe = context.recipe
    finished = all(stage.result() for name, stage in context.stages.items() if kind_of(name) == SOFT_LABELS.name)
    if any(teacher.is_tuned for teacher in recipe.teachers) or recipe.teacher_views.mix != "none" or not finished:
        return None
    stores, positions = stores_behind(recipe, context.data, context.stages, 0), np.arange(len(context.data.train))
    found, weights = open_stores(stores)
    return together([store.mean(positions)["logits"] for store in found], weights)


def _finite(held_out: _HeldOut) -> _HeldOut | None:
    """Returns it without examples for which a network predicts no probabilities; None where none is left."""
    kept = np.flatnonzero(np.isfinite(held_out.probabilities).all(axis=1))
    if not len(kept):
        return None
    return _HeldOut(held_out.parts, held_out.judges, held_out.examples.take(kept), held_out.probabilities[kept])
