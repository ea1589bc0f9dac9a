from typing import Any

import keras
import pytest

from tfkd.errors import RequestError
from tfkd.inputs.image.tensors import signature
from tfkd.models import build_student
from tfkd.models.cost import multiply_adds
from tfkd.recipe import Student


def model(size: int, *layers: Any) -> keras.Model:
    return keras.Sequential([keras.Input((size, size, 4)), *layers])


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (keras.layers.Conv2D(6, 3, strides=2, padding="same"), 4 * 4 * 6 * (3 * 3 * 4)),
        (keras.layers.Conv2D(6, (3, 1), padding="valid"), 6 * 8 * 6 * (3 * 1 * 4)),
        (keras.layers.Conv2D(6, 3, groups=2, padding="same"), 8 * 8 * 6 * (3 * 3 * 2)),
        (keras.layers.DepthwiseConv2D(5, strides=2, padding="same"), 4 * 4 * 4 * 25),
        (keras.layers.DepthwiseConv2D(3, depth_multiplier=2), 6 * 6 * 8 * 9),
        (keras.layers.Conv2DTranspose(5, 2, strides=2), 8 * 8 * 4 * (2 * 2 * 5)),
        (keras.layers.Dense(7), 8 * 8 * 4 * 7),
        (keras.layers.BatchNormalization(), 0),
        (keras.layers.GlobalAveragePooling2D(), 0),
    ],
)
def test_layers_are_counted_as_by_hand(layer: Any, expected: int) -> None:
    assert multiply_adds(model(8, layer)) == expected


def test_nested_models_are_counted() -> None:
    body = model(8, keras.layers.Conv2D(6, 3, padding="same"), keras.layers.GlobalAveragePooling2D())
    assert multiply_adds(model(8, body, keras.layers.Dense(10))) == 8 * 8 * 6 * 36 + 6 * 10


def test_a_layer_that_cannot_be_counted_is_named() -> None:
    with pytest.raises(RequestError, match=r"of the layer 'odd' \(SeparableConv2D\) are not known"):
        multiply_adds(model(8, keras.layers.SeparableConv2D(6, 3, name="odd")))


@pytest.mark.parametrize(("name", "published"), [("mobilenet_v3_small", 56e6), ("mobilenet_v3_large", 219e6)])
def test_students_cost_what_was_published(name: str, published: float) -> None:
    """Howard et al. 2019, tables 3 and 4, at 224 px."""
    student = build_student(Student(model=name), signature(224), 1000, seed=0)
    assert multiply_adds(student) == pytest.approx(published, rel=0.03)


def test_the_arithmetic_of_the_file_is_the_same(tmp_path: Any) -> None:
    import numpy as np

    from tfkd.verification import operators
    from tfkd.writers import Card
    from tfkd.writers.tflite import write_tflite

    student = build_student(Student(model="squeezenet_1_1", width=0.25), signature(64), 3, seed=0)
    card = Card("s", ("a", "b", "c"), "Ada", "MIT", "1", "three letters")
    write_tflite(student, "fp32", tmp_path / "s.tflite", card, np.zeros((1, 64, 64, 3), np.uint8))
    found = operators.read(tmp_path / "s.tflite")
    assert sum(operator.multiply_adds for operator in found) == multiply_adds(student)
