"""Functions from images to predictions as teachers."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.teachers.conftest import Filled
from tests.teachers.networks import KERNEL
from tfkd.errors import RequestError
from tfkd.recipe import Teacher


def colours(*, image_size: int | None, classes: int) -> Callable[[Any], Any]:
    return lambda images: images.mean(axis=(1, 2)) @ KERNEL


def probabilities(*, image_size: int | None, classes: int) -> Callable[[Any], Any]:
    def predict(images: Any) -> Any:
        powers = np.exp(images.mean(axis=(1, 2)) @ KERNEL)
        return powers / powers.sum(axis=1, keepdims=True)

    return predict


def one_row(*, image_size: int | None, classes: int) -> Callable[[Any], Any]:
    return lambda images: np.zeros(classes)


def failing(*, image_size: int | None, classes: int) -> Callable[[Any], Any]:
    def predict(images: Any) -> Any:
        raise ValueError("no batch of\nthis kind")

    return predict


def nothing(*, image_size: int | None, classes: int) -> dict[str, int]:
    return {}


def not_a_number(*, image_size: int | None, classes: int) -> Callable[[Any], Any]:
    return lambda images: np.full((len(images), classes), np.nan)


def percentages(*, image_size: int | None, classes: int) -> Callable[[Any], Any]:
    predict = probabilities(image_size=image_size, classes=classes)
    return lambda images: 100 * predict(images)


def teacher(name: str, **changes: Any) -> Teacher:
    settings = {"fine_tune": None, "image_size": 32, "normalization": "tf", **changes}
    return Teacher(model=f"tests.teachers.test_function:{name}", **settings)


def test_logits_and_probabilities_are_told_apart(filled: Callable[..., Filled], means: dict[str, np.ndarray]) -> None:
    logits, logarithms = filled(teacher("colours")), filled(teacher("probabilities"))
    assert logits.result.accuracy == logarithms.result.accuracy == 1.0
    np.testing.assert_allclose(logits.logits, means["test"] @ KERNEL, atol=1e-4)
    np.testing.assert_allclose(np.exp(logarithms.logits).sum(axis=1), 1.0, atol=1e-5)
    rows = np.arange(len(means["train"]))
    np.testing.assert_allclose(logits.store.read(rows, 0)["logits"], means["train"] @ KERNEL, rtol=2e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("one_row", {}, r"gives \[3\] for \d+ images; it must give a row for each"),
        ("failing", {}, r"failed, .*test_function.py:\d+: ValueError: no batch of"),
        ("not_a_number", {}, "gives NaN or infinity"),
        ("percentages", {}, "gives percentages; divide them by 100, or give logits"),
        ("nothing", {}, "gave a dict, not a keras.Model or a function of images"),
        ("colours", {"image_size": None}, "takes images of any size; set image_size=224"),
        ("colours", {"labels": ["blue", "green", "red", "grey"]}, "gives 3 numbers per image, its labels name 4"),
    ],
)
def test_what_is_no_teacher_is_refused_in_one_line(
    filled: Callable[..., Filled], name: str, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(RequestError, match=message) as caught:
        filled(teacher(name, **changes))
    assert name in str(caught.value) and "\n" not in str(caught.value)


def test_it_has_no_features(filled: Callable[..., Filled]) -> None:
    with pytest.raises(RequestError, match="gives predictions alone, no feature 'pooled'"):
        filled(teacher("colours"), taps=("pooled",))
