"""What is promised of every student: its files run in XNNPACK as a whole."""

from pathlib import Path

import keras
import numpy as np
import pytest

from tfkd.models import STUDENTS, build_student
from tfkd.recipe import Activation, Student
from tfkd.verification.tflite import delegation
from tfkd.writers import Calibration, Card, ExportedFile, tflite
from tfkd.writers.graph import frozen

CARD = Card("student", tuple("abcde"), "", "", "1", "")
FLOATS = ("fp32", "fp16", "dynamic")

# Every student with every activation, at sizes and widths that take turns. The formats other than int8 differ between
# students in their activations only, so that one student of each family stands for its sibling.
CASES: list[tuple[str, Activation, int, float, tuple[str, ...]]] = [
    ("mobilenet_v3_small", "relu6", 32, 0.75, (*FLOATS, "int8")),
    ("mobilenet_v3_small", "relu", 65, 0.35, (*FLOATS, "int8")),
    ("mobilenet_v3_small", "silu", 64, 1.0, (*FLOATS, "int8")),
    ("mobilenet_v3_small", "hard_swish", 96, 0.5, (*FLOATS, "int8")),
    ("mobilenet_v3_large", "relu6", 64, 0.25, ("dynamic", "int8")),
    ("mobilenet_v3_large", "relu", 33, 0.25, ("int8",)),
    ("mobilenet_v3_large", "silu", 32, 0.25, ("int8",)),
    ("mobilenet_v3_large", "hard_swish", 32, 0.25, ("dynamic", "int8")),
    ("squeezenet_1_0", "relu6", 64, 0.25, ("int8",)),
    ("squeezenet_1_0", "relu", 32, 1.0, ("int8",)),
    ("squeezenet_1_0", "silu", 33, 0.5, ("int8",)),
    ("squeezenet_1_0", "hard_swish", 32, 0.25, ("dynamic", "int8")),
    ("squeezenet_1_1", "relu6", 33, 0.25, (*FLOATS, "int8")),
    ("squeezenet_1_1", "relu", 64, 0.5, ("int8",)),
    ("squeezenet_1_1", "silu", 32, 1.0, ("int8",)),
    ("squeezenet_1_1", "hard_swish", 65, 0.25, (*FLOATS, "int8")),
]


def test_every_student_is_promised_something() -> None:
    assert {case[0] for case in CASES} == set(STUDENTS)


def spread(student: keras.Model) -> None:
    """Gives biases and normalisations values as training does.

    Without them the activations of a deep network fade, and XNNPACK refuses to add numbers whose scales lie more than
    a factor of 1,024 apart.
    """
    rng = np.random.default_rng(3)
    student.set_weights(
        [value + rng.uniform(0.01, 0.1, value.shape) if value.ndim == 1 else value for value in student.get_weights()]
    )


@pytest.mark.slow
@pytest.mark.parametrize(("name", "activation", "size", "width", "precisions"), CASES)
def test_every_file_is_one_partition_with_no_operator_outside(
    name: str, activation: Activation, size: int, width: float, precisions: tuple[str, ...], tmp_path: Path
) -> None:
    student = build_student(Student(model=name, activation=activation, width=width), size, len(CARD.classes), seed=1)
    spread(student)
    images = np.random.default_rng(1).integers(0, 256, (3, size, size, 3), dtype=np.uint8)
    found = {}
    with frozen(student, CARD) as graph:
        for precision in precisions:
            file, path = ExportedFile("student", "tflite", precision), tmp_path / f"{precision}.tflite"
            tflite.write(graph, file, path, CARD, Calibration(images))
            delegated = delegation(path)
            found[precision] = (delegated.partitions, delegated.outside)
    assert found == dict.fromkeys(precisions, (1, []))
