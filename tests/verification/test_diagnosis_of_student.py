"""Why a student is poor whose teacher is good."""

import numpy as np
import pytest

from tfkd.recipe import Distill, SoftTargets
from tfkd.verification.diagnosis import of_student

SURE = 9.0 * np.eye(10)


@pytest.mark.parametrize(("steps", "causes"), [(999, ["steps"]), (1_000, []), (5_000, [])])
def test_fewer_than_a_thousand_steps_are_few(steps: int, causes: list[str]) -> None:
    assert [each.cause for each in of_student(SURE, SURE, Distill(), steps)] == causes


@pytest.mark.parametrize(("same", "causes"), [(9, ["one answer"]), (8, [])])
def test_a_student_that_gives_one_class_is_named(same: int, causes: list[str]) -> None:
    student = SURE.copy()
    student[:same] = SURE[0]
    assert [each.cause for each in of_student(student, SURE, Distill(), 5_000)] == causes


def test_a_temperature_that_flattens_the_teacher_is_named() -> None:
    distill = Distill(losses=[SoftTargets(temperature=2.0), SoftTargets(temperature=40.0)])
    (found,) = of_student(SURE, SURE, distill, 100)
    assert found.cause == "temperature" and found.proposal == "distill.losses.1.temperature=10"
