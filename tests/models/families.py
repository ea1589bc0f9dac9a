"""The facts that the contract tests need of a family: each family's own test states them by network name."""

import importlib
from dataclasses import dataclass

from tfkd.models import STUDENTS, TEACHERS
from tfkd.recipe import Activation


@dataclass(frozen=True)
class FileCase:
    """A student whose .tflite files must run in XNNPACK as a whole.

    Attributes:
        activation: of the student.
        size: side of the input, pixels.
        width: of the student.
        precisions: of the files.
    """

    activation: Activation
    size: int
    width: float
    precisions: tuple[str, ...]


@dataclass(frozen=True)
class StudentFacts:
    """A student, as its paper describes it.

    Attributes:
        millions: trainable parameters with 1000 classes, by the paper, in millions.
        files: at least one per activation that the student offers.
        sizes: sides of inputs, pixels, at which the last feature map must be larger than one pixel.
        alike: activations with which the tf_keras copy must give the same logits.
    """

    millions: float
    files: tuple[FileCase, ...]
    sizes: tuple[int, ...] = (32,)
    alike: tuple[Activation, ...] = ("relu6",)


@dataclass(frozen=True)
class TeacherFacts:
    """A teacher; one network stands for those that its family builds by the same code.

    Attributes:
        size: side of a small input that the network takes, pixels.
    """

    size: int


def student(name: str) -> StudentFacts:
    """Returns the facts that the test of a student's family states."""
    facts: StudentFacts = _facts(STUDENTS[name].module, name)
    return facts


def teachers() -> dict[str, TeacherFacts]:
    """Returns the facts that the tests of all families of teachers state, by teacher name."""
    modules = dict.fromkeys(kind.module for kind in TEACHERS.values())
    return {name: facts for module in modules for name, facts in _of(module).items()}


def _facts(module: str, name: str) -> StudentFacts:
    facts = _of(module)
    assert name in facts, f"FACTS in the test of {module} says nothing of {name}"
    return facts[name]


def _of(module: str) -> dict:
    return importlib.import_module(f"tests.models.test_{module.rpartition('.')[2]}").FACTS
