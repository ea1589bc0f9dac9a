"""The benchmark of rescued students: its made failures, and how it counts."""

from typing import Any

import keras
import pytest

from tools.benchmarks.rescue import EXPECTED, OVERRIDES, build_small, recipe_of, summary


def test_the_small_student_has_about_two_thousand_weights() -> None:
    model = build_small(
        keras, image_size=32, classes=10, width=1, activation="relu6", dropout=0.1, batch_norm_momentum=0.9
    )
    assert 1_500 < model.count_params() < 2_500


def test_every_failure_differs_from_the_others_by_its_overrides_alone() -> None:
    assert OVERRIDES.keys() == EXPECTED.keys()
    recipes = {failure: recipe_of(failure, 1, False) for failure in EXPECTED}
    assert recipes["short"].with_("distill.training.epochs=40") == recipes["small"].with_(
        "student.model=mobilenet_v3_small", "student.width=0.5"
    )


def failed(causes: list[str], before: float, after: float) -> dict[str, Any]:
    return {"before": {"student": before, "causes": causes}, "after": {"student": after, "passed": after > 0.9}}


def test_a_cause_counts_as_named_wherever_it_is_and_gains_are_in_points() -> None:
    found = summary("short", [failed(["initial weights", "training too short"], 0.7, 0.8), failed([], 0.8, 0.95)])
    assert (found["named"], found["named_first"]) == (1, ["initial weights", None])
    assert found["gain"] == pytest.approx(12.5) and found["passed"] == [False, True]
