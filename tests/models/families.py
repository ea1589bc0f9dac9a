"""Facts for the contract tests of model families, read from `FACTS` in the test module of each family."""

import importlib
from dataclasses import dataclass

from tfkd.models import STUDENTS, TEACHERS
from tfkd.recipe import Activation


@dataclass(frozen=True)
class FileCase:
    """A student whose .tflite files must run in XNNPACK as a whole.

    Attributes:
        activation: activation of the student.
        size: side of the input, pixels.
        width: width multiplier of the student.
        precisions: precisions of the files, such as "int8".
    """

    activation: Activation
    size: int
    width: float
    precisions: tuple[str, ...]


@dataclass(frozen=True)
class StudentFacts:
    """What the contract tests check of a student.

    Attributes:
        millions: trainable parameters with 1000 classes according to the paper, in millions.
        files: at least one file per activation that the student offers.
        sizes: input sides, pixels, at which the last feature map must be larger than one pixel.
        alike: activations for which the tf_keras copy must compute the same logits.
        closeness: largest relative difference of these logits; a deep network adds up in another order.
    """

    millions: float
    files: tuple[FileCase, ...]
    sizes: tuple[int, ...] = (32,)
    alike: tuple[Activation, ...] = ("relu6",)
    closeness: float = 1e-5


@dataclass(frozen=True)
class TeacherFacts:
    """What the contract tests check of a teacher. A family lists one network for all that the same code builds.

    Attributes:
        size: side of a small input that the network accepts, pixels.
    """

    size: int


def student(name: str) -> StudentFacts:
    """Returns the facts of a student."""
    facts: StudentFacts = _facts(STUDENTS[name].module, name)
    return facts


def teachers() -> dict[str, TeacherFacts]:
    """Returns the facts of all listed teachers of images by name."""
    modules = dict.fromkeys(kind.module for kind in TEACHERS.values() if kind.takes == "image")
    return {name: facts for module in modules for name, facts in _of(module).items()}


def _facts(module: str, name: str) -> StudentFacts:
    facts = _of(module)
    assert name in facts, f"FACTS in the test module of {module} has no entry {name}"
    return facts[name]


def _of(module: str) -> dict:
    return importlib.import_module(f"tests.models.test_{module.rpartition('.')[2]}").FACTS
