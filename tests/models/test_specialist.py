"""Specialists: teachers that know some of the classes."""

from pathlib import Path

import keras
import numpy as np
import pytest

from tfkd.distill.measures import softmax
from tfkd.errors import RequestError
from tfkd.models import build_teacher
from tfkd.models.specialist import Specialist, numbers_of
from tfkd.recipe import Teacher

NAMES = ("coat", "dress", "hat", "shoe", "sock")


def test_the_mass_of_all_others_is_spread_evenly() -> None:
    logits = np.random.default_rng(0).normal(0, 2, (6, 3)).astype(np.float32)
    answer = np.asarray(Specialist([3, 1], 5)(logits))
    shoe, dress, others = softmax(logits).T
    expected = np.stack([others / 3, dress, others / 3, shoe, others / 3], axis=1)
    np.testing.assert_allclose(np.exp(answer), expected, rtol=1e-5)


def test_without_an_output_for_others_they_have_no_probability() -> None:
    logits = np.random.default_rng(1).normal(0, 2, (6, 2)).astype(np.float32)
    answer = np.exp(Specialist([0, 4], 5)(logits))
    np.testing.assert_allclose(answer[:, [1, 2, 3]], 0.2, rtol=1e-5)
    np.testing.assert_allclose(answer[:, [0, 4]], 0.4 * softmax(logits), rtol=1e-5)


def test_a_named_teacher_becomes_a_specialist_that_survives_saving(tmp_path: Path) -> None:
    recipe = Teacher(model="resnet20", weights="none", image_size=32, classes=["sock", "hat"])
    teacher = build_teacher(recipe, 5, 1, NAMES)
    assert teacher.output_shape == (None, 5)
    assert teacher.get_layer("head").units == 3
    teacher.save(tmp_path / "teacher.keras")
    loaded = keras.saving.load_model(tmp_path / "teacher.keras", safe_mode=True)
    images = np.random.default_rng(2).uniform(0, 255, (2, 32, 32, 3)).astype(np.float32)
    np.testing.assert_array_equal(teacher(images), loaded(images))
    np.testing.assert_allclose(np.exp(teacher(images)).sum(axis=1), 1.0, rtol=1e-5)


@pytest.mark.parametrize(
    ("known", "message"),
    [(["hut"], "Did you mean 'hat'"), (["hat", "hat"], "twice"), (list(NAMES), "no specialist")],
)
def test_wrong_classes_are_refused(known: list[str], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        numbers_of(known, NAMES)
