"""Teachers and losses in the config of a Distiller."""

import itertools
import weakref
from typing import Any

import keras

from tfkd.distill.losses import LOSSES
from tfkd.distill.losses.base import DistillationLoss
from tfkd.errors import RequestError

# By their key in a config, which does not contain the teachers' weights.
_KNOWN: weakref.WeakValueDictionary[str, keras.Model] = weakref.WeakValueDictionary()
_numbers = itertools.count()


def teacher_key(teacher: keras.Model) -> str:
    """Returns the key of a teacher in this process."""
    for key, known in _KNOWN.items():
        if known is teacher:
            return key
    key = f"{teacher.name}-{next(_numbers)}"
    _KNOWN[key] = teacher
    return key


def teacher_named(key: str) -> keras.Model:
    """Returns the teacher of a key.

    Raises:
        RequestError: it does not exist in this process.
    """
    teacher = _KNOWN.get(key)
    if teacher is None:
        raise RequestError(
            f"A Distiller's config does not hold its teachers' weights, and teacher {key!r} is not in this process."
            " Load the teachers and build Distiller(student, teachers) again."
        )
    return teacher


def loss_config(loss: DistillationLoss) -> dict[str, Any]:
    """Returns the config of a loss for `loss_of_config`."""
    kind = next((kind for kind, known in LOSSES.items() if known is type(loss)), None)
    return {"kind": kind, "config": loss.get_config() if kind else keras.saving.serialize_keras_object(loss)}


def loss_of_config(config: dict[str, Any]) -> Any:
    """Returns the loss of a config."""
    kind, inner = config["kind"], config["config"]
    return LOSSES[kind](**inner) if kind else keras.saving.deserialize_keras_object(inner)
