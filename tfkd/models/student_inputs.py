"""How students of each kind of input are called, and which settings of a recipe they read."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tfkd.errors import RequestError
from tfkd.inputs.image.tensors import side_of
from tfkd.inputs.text.tensors import length_of
from tfkd.recipe import Student
from tfkd.recipe.base import default_of
from tfkd.signature import Signature

_OF_NETWORKS = ("width", "dropout")
_OF_IMAGES = (*_OF_NETWORKS, "activation", "batch_norm_momentum")
_SETTINGS = (
    *_OF_IMAGES,
    "layers",
    "heads",
    "teacher_layers",
    "max_depth",
    "trees",
    "min_leaf",
)  # some do not read some
_OF_WEIGHTS = ("teacher_layers",)  # settings that do not change the network


@dataclass(frozen=True)
class StudentInput:
    """One kind of input, for students.

    Attributes:
        noun: its examples, such as "images".
        sizes: maps a signature to the arguments of a student's function that describe the input.
        settings: settings that all its students read.
    """

    noun: str
    sizes: Callable[[Signature], Mapping[str, Any]]
    settings: tuple[str, ...] = ()


INPUTS = {
    "image": StudentInput("images", lambda signature: {"image_size": side_of(signature)}, _OF_IMAGES),
    "text": StudentInput(
        "texts", lambda signature: {"length": length_of(signature), "pieces": signature.pieces}, _OF_NETWORKS
    ),
    "table": StudentInput("rows of tables", lambda signature: {"columns": signature.columns}),
}


def input_of(kind: str) -> StudentInput:
    """Returns how students of a kind of input are called.

    Raises:
        RequestError: there are none.
    """
    if kind not in INPUTS:
        raise RequestError(f"There are no students for data of kind {kind!r}, only for {', '.join(INPUTS)}.")
    return INPUTS[kind]


def arguments_of(student: Student, options: tuple[str, ...], signature: Signature, classes: int) -> dict[str, Any]:
    """Returns the arguments of a student's function, without the layers namespace.

    Args:
        student: block of the recipe.
        options: settings that this student reads beside those of its kind of input.
        signature: of its input.
        classes: number of classes.

    Raises:
        RequestError: the block has a setting that the student does not read.
    """
    kind = input_of(signature.kind)
    read = (*kind.settings, *options)
    passed = [name for name in read if name not in _OF_WEIGHTS]
    for name in _SETTINGS:
        if name not in read and getattr(student, name) != default_of(Student, name):
            raise RequestError(f"{student.model} does not read student.{name}; leave it out.")
    return {**kind.sizes(signature), "classes": classes, **{name: getattr(student, name) for name in passed}}
