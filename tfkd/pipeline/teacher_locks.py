"""The lock of a run's teachers, from what their stages stored."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from tfkd.bundle.assembly import data_entry
from tfkd.bundle.teacher_lock import (
    LockedData,
    LockedPredictions,
    LockedTeacher,
    TeacherLock,
    encoded,
    locked_predictions,
    sampled,
)
from tfkd.data import Dataset, Split
from tfkd.data.domains import membership
from tfkd.files import content_digest, fingerprint, sha256
from tfkd.models.weights_digest import weights_digest
from tfkd.pipeline.contents import files_of
from tfkd.pipeline.context import RunContext
from tfkd.pipeline.folders import HEAD, TEST_LOGITS, VALIDATION_LOGITS
from tfkd.pipeline.stages.cross_fitting import parts_with_teacher
from tfkd.pipeline.stages.teacher import TEACHER, ensemble_logits, is_in_folds, kind_in
from tfkd.recipe import Recipe
from tfkd.recipe.renamed import first_named
from tfkd.teachers import KINDS
from tfkd.version import __version__


def lock_of(context: RunContext) -> TeacherLock:
    """Returns the lock of the teachers of a run, which must be finished."""
    recipe, data = context.recipe, context.data
    values = first_named(recipe.model_dump(mode="json"))
    split = _split(data)
    ensemble = None
    if len(recipe.teachers) > 1:
        logits = ensemble_logits(context, "test" if data.is_pooled else "validation")
        ensemble = None if logits is None else locked_predictions(logits, np.ones(len(split), bool))
    return TeacherLock(
        schema="tfkd-teacher-lock-1",
        name=recipe.name,
        tfkd_version=__version__,
        classes=list(data.classes),
        data=locked_data(data),
        recipe={"seed": values["seed"], "data": values["data"]},
        teachers=[
            _locked_teacher(context, number, values["teachers"][number]) for number in range(len(recipe.teachers))
        ],
        ensemble=ensemble,
    )


def _split(data: Dataset) -> Split:
    """Returns the examples of the stored predictions."""
    return data.test if data.is_pooled else data.validation


def locked_data(data: Dataset) -> LockedData:
    """Returns what a lock says of the examples."""
    split = _split(data)
    content = split.checksums.tolist() if split.checksums is not None else [split.name(i) for i in range(len(split))]
    rows = sampled(len(split))
    return LockedData(
        source=data.source,
        fingerprint=data.labelled,
        splits=data_entry(data).splits,
        validation=fingerprint(content, [data.classes[label] for label in split.labels.tolist()]),
        pooled=data.is_pooled,
        sampled=len(rows),
        labels=encoded(split.labels[rows], "<u2"),
    )


def _locked_teacher(context: RunContext, number: int, settings: dict[str, Any]) -> LockedTeacher:
    teacher = context.recipe.teachers[number]
    return LockedTeacher(
        model=teacher.name,
        kind=context.result(TEACHER, number).kind,
        weights=_weights(context, number),
        files=_files(context.recipe, number),
        share=teacher.share,
        domain=teacher.domain,
        settings=settings,
        predictions=_predictions(context, number),
    )


def _files(recipe: Recipe, number: int) -> dict[str, str]:
    """Returns the digests of a teacher's files by their names in the recipe; of a folder that of its contents."""
    found = files_of(recipe.teachers[number])
    return {name: content_digest(Path(name)) if Path(name).is_dir() else digest for name, digest in found.items()}


def _weights(context: RunContext, number: int) -> str:
    """Returns the digest of what a prepared teacher computes with; of folds that of all its networks."""
    if is_in_folds(context.recipe, number):
        parts = parts_with_teacher(context, number)
        return _digest({fold: _weights(part, number) for fold, part in parts.items()})
    kind, folder = kind_in(context, number), context.folder_of(TEACHER, number)
    if kind.is_network:
        return weights_digest(folder / kind.file)
    if kind is KINDS["predictions"]:
        return sha256(folder / kind.file)
    found = {"files": sorted(_files(context.recipe, number).values()), "prepared": sha256(folder / kind.file)}
    if (folder / HEAD).is_file():
        with np.load(folder / HEAD, allow_pickle=False) as head:
            found["head"] = [hashlib.sha256(head[name].tobytes()).hexdigest() for name in ("arr_0", "arr_1")]
    return _digest(found)


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _predictions(context: RunContext, number: int) -> LockedPredictions | None:
    path = context.folder_of(TEACHER, number) / (TEST_LOGITS if context.data.is_pooled else VALIDATION_LOGITS)
    if not path.is_file():
        return None
    known = membership(_split(context.data), context.recipe.teachers[number].domain)
    return locked_predictions(np.load(path, allow_pickle=False), known)
