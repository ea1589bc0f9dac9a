"""Locks of made-up teachers."""

from typing import Any

import numpy as np

from tfkd.bundle.teacher_lock import (
    LockedData,
    LockedPredictions,
    LockedTeacher,
    TeacherLock,
    encoded,
    locked_predictions,
    sampled,
)
from tfkd.files import fingerprint

CLASSES = ("cat", "dog", "owl")


def logits_of(predicted: Any, classes: int = len(CLASSES), sure: float = 4.0) -> np.ndarray:
    """Returns logits that predict these classes, float32 [n, classes]."""
    return (sure * np.eye(classes)[np.asarray(predicted, np.int64)]).astype(np.float32)


def predictions_of(predicted: Any, classes: int = len(CLASSES), sure: float = 4.0) -> LockedPredictions:
    found = locked_predictions(logits_of(predicted, classes, sure), np.ones(len(predicted), bool))
    assert found is not None
    return found


def teacher_of(predicted: Any, weights: str = "a" * 64, model: str = "resnet20", **changes: Any) -> LockedTeacher:
    described: dict[str, Any] = {
        "model": model,
        "kind": "network",
        "weights": weights,
        "share": 1.0,
        "settings": {"model": model, "fine_tune": {"epochs": 3}},
        "predictions": predictions_of(predicted),
    }
    return LockedTeacher(**{**described, **changes})


def lock_of_teachers(
    labels: Any, *teachers: LockedTeacher, classes: tuple[str, ...] = CLASSES, **changes: Any
) -> TeacherLock:
    """Returns the lock of teachers that predicted validation examples with these labels."""
    numbers = np.asarray(labels)
    rows = sampled(len(numbers))
    data = LockedData(
        source="folder:photos",
        fingerprint=fingerprint(numbers.tolist()),
        splits={"train": 10, "validation": len(numbers), "test": 5},
        validation=fingerprint([classes[label] for label in numbers.tolist()]),
        pooled=False,
        sampled=len(rows),
        labels=encoded(numbers[rows], "<u2"),
    )
    described: dict[str, Any] = {
        "schema": "tfkd-teacher-lock-1",
        "name": "tiny",
        "tfkd_version": "0.2.0",
        "classes": list(classes),
        "data": data,
        "recipe": {"seed": 1, "data": {"source": "folder:photos"}},
        "teachers": list(teachers),
    }
    return TeacherLock.model_validate({**described, **changes})
