"""Teachers with other outputs than the classes of the data, adapted to these classes and their order."""

import math
from collections.abc import Sequence
from typing import Any

import keras

from tfkd.errors import RequestError, nearest


@keras.saving.register_keras_serializable("tfkd")
class Specialist(keras.layers.Layer):
    """Turns a specialist's logits into log-probabilities of all classes.

    If a specialist has one output more than classes, that output is the probability of all other classes, which is
    spread evenly over them. Without such an output each class gets the mass 1/C, and the mass of the specialist's
    classes is divided by its probabilities.

    Reference: Hinton, Vinyals, Dean, "Distilling the Knowledge in a Neural Network", 2015, arXiv:1503.02531, section 5.

    Args:
        known: numbers of its classes, in the order of its outputs.
        classes: number of all classes, C.
    """

    def __init__(self, known: Sequence[int], classes: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.known = list(known)
        self.classes = classes

    def call(self, logits: Any) -> Any:
        """Returns float [batch, classes] for logits [batch, known] or [batch, known + 1]."""
        known, others = len(self.known), self.classes - len(self.known)
        inside = keras.ops.log_softmax(logits, axis=-1)
        if logits.shape[-1] == known:
            outside = keras.ops.full_like(inside[:, :1], -math.log(self.classes))
            inside = inside + math.log(known / self.classes)
        else:
            outside = inside[:, known:] - math.log(others)
            inside = inside[:, :known]
        place = {number: position for position, number in enumerate(self.known)}
        return keras.ops.take(
            keras.ops.concatenate([inside, outside], axis=-1),
            [place.get(number, known) for number in range(self.classes)],
            axis=-1,
        )

    def get_config(self) -> dict[str, Any]:
        """Returns the config for `from_config`."""
        return {**super().get_config(), "known": self.known, "classes": self.classes}


def numbers_of(known: Sequence[str], classes: Sequence[str]) -> list[int]:
    """Returns the numbers of a specialist's classes.

    Raises:
        RequestError: a class does not exist, is named twice, or all classes are named.
    """
    for name in known:
        if name not in classes:
            raise RequestError(f"A teacher's classes name {name!r}, which the data lack.{nearest(name, list(classes))}")
    if len(set(known)) != len(known):
        raise RequestError(f"A teacher's classes {list(known)} name one twice; name each once.")
    if len(known) == len(classes):
        raise RequestError(
            "A teacher's classes name all classes of the data, so it is no specialist; for the order of its outputs "
            "write them as labels."
        )
    return [list(classes).index(name) for name in known]


@keras.saving.register_keras_serializable("tfkd")
class SelectedOutputs(keras.layers.Layer):
    """Reorders a model's outputs by the classes of the data, without those of other classes.

    Args:
        outputs: number of the output for each class.
    """

    def __init__(self, outputs: Sequence[int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.outputs = list(outputs)

    def call(self, logits: Any) -> Any:
        """Returns float [batch, classes] for logits [batch, outputs]."""
        return keras.ops.take(logits, self.outputs, axis=-1)

    def get_config(self) -> dict[str, Any]:
        """Returns the config for `from_config`."""
        return {**super().get_config(), "outputs": self.outputs}


def in_order(model: keras.Model, outputs: Sequence[int]) -> keras.Model:
    """Returns a model with selected outputs of another one, in this order."""
    if list(outputs) == list(range(model.output_shape[-1])):
        return model
    return keras.Model(model.inputs, SelectedOutputs(outputs, name="labels")(model.outputs[0]), name=model.name)


def completed(model: keras.Model, known: Sequence[int], classes: int) -> keras.Model:
    """Returns a model of all classes from a specialist."""
    logits = Specialist(known, classes, name="specialist")(model.outputs[0])
    return keras.Model(model.inputs, logits, name=model.name)
