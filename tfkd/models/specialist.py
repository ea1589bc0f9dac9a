"""Teachers whose outputs are not the classes of the data in their order, brought to answer on exactly these."""

import math
from collections.abc import Sequence
from typing import Any

import keras

from tfkd.errors import RequestError, nearest


@keras.saving.register_keras_serializable("tfkd")
class Specialist(keras.layers.Layer):
    """Turns a specialist's logits into log-probabilities of all classes.

    A specialist with one output more than classes that it knows says with that one how likely it is any other class;
    this mass is spread evenly over them. Without such an output the specialist is silent about all others: each class
    gets the mass 1/C, and what falls on those that it knows is divided as it says.

    Reference: Hinton, Vinyals, Dean, "Distilling the Knowledge in a Neural Network", 2015, arXiv:1503.02531, section 5.

    Args:
        known: numbers of the classes that it knows, in the order of its outputs.
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
        """Returns what makes the same layer again."""
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
    """Puts a model's outputs into the order of the data's classes, and leaves out those of other classes.

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
        """Returns the arguments of an equal layer."""
        return {**super().get_config(), "outputs": self.outputs}


def in_order(model: keras.Model, outputs: Sequence[int]) -> keras.Model:
    """Returns a model with the chosen outputs of another one, in this order."""
    if list(outputs) == list(range(model.output_shape[-1])):
        return model
    return keras.Model(model.inputs, SelectedOutputs(outputs, name="labels")(model.outputs[0]), name=model.name)


def completed(model: keras.Model, known: Sequence[int], classes: int) -> keras.Model:
    """Returns a specialist as a model that answers on all classes."""
    answer = Specialist(known, classes, name="specialist")(model.outputs[0])
    return keras.Model(model.inputs, answer, name=model.name)
