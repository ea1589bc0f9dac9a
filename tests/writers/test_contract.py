"""What is promised of every student: its files run in XNNPACK as a whole."""

from pathlib import Path
from typing import get_args

import keras
import numpy as np
import pytest

from tests.models import families
from tfkd.inputs.image.tensors import signature
from tfkd.models import build_student, students_of
from tfkd.recipe import Activation, Student
from tfkd.verification.tflite import delegation
from tfkd.writers import Calibration, Card, ExportedFile, tflite
from tfkd.writers.graph import frozen

pytestmark = pytest.mark.slow

CARD = Card("student", tuple("abcde"), "", "", "1", "")
STUDENTS = students_of("image")
CASES = [(name, case) for name in STUDENTS for case in families.student(name).files]
IDS = [f"{name}-{case.activation}-{case.size}-{case.width}" for name, case in CASES]


@pytest.mark.parametrize("name", STUDENTS)
def test_every_activation_of_a_student_is_promised(name: str) -> None:
    assert {case.activation for case in families.student(name).files} == set(get_args(Activation))
    assert any("int8" in case.precisions for case in families.student(name).files)


def spread(student: keras.Model) -> None:
    """Gives biases and normalisations values as training does.

    Without them the activations of a deep network fade, and XNNPACK refuses to add numbers whose scales lie more than
    a factor of 1,024 apart.
    """
    rng = np.random.default_rng(3)
    student.set_weights(
        [value + rng.uniform(0.01, 0.1, value.shape) if value.ndim == 1 else value for value in student.get_weights()]
    )


@pytest.mark.parametrize(("name", "case"), CASES, ids=IDS)
def test_every_file_is_one_partition_with_no_operator_outside(
    name: str, case: families.FileCase, tmp_path: Path
) -> None:
    student = build_student(
        Student(model=name, activation=case.activation, width=case.width),
        signature(case.size),
        len(CARD.classes),
        seed=1,
    )
    spread(student)
    images = np.random.default_rng(1).integers(0, 256, (3, case.size, case.size, 3), dtype=np.uint8)
    found = {}
    with frozen(student, CARD) as graph:
        for precision in case.precisions:
            file, path = ExportedFile("student", "tflite", precision), tmp_path / f"{precision}.tflite"
            tflite.write(graph, file, path, CARD, Calibration(images))
            delegated = delegation(path)
            found[precision] = (delegated.partitions, delegated.outside)
    assert found == dict.fromkeys(case.precisions, (1, []))
