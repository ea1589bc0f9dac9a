"""Properties of every loss on logits."""

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfkd.distill.losses import LOSSES
from tfkd.distill.losses.decoupled import DecoupledLoss
from tfkd.distill.losses.dist import DistLoss
from tfkd.distill.losses.logits import LogitDistillationLoss
from tfkd.distill.losses.normalized import NormalizedLoss
from tfkd.distill.losses.standardized import StandardizedLoss
from tfkd.errors import RequestError

KINDS = [DecoupledLoss, StandardizedLoss, DistLoss, NormalizedLoss]
each_loss = pytest.mark.parametrize("kind", KINDS)
each_labelled_loss = pytest.mark.parametrize("kind", [DecoupledLoss, NormalizedLoss])
EXTREMES = np.array(
    [[80, -80, 80, -80], [80, 0, 0, 0], [-80, 0, 0, 0], [0, 0, 0, 0], [80, 80, 80, 80], [80, -80, -80, -80]], np.float32
)


def random_batch(rows: int, classes: int, spread: float = 3.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns teacher logits, student logits and labels, some of them missing."""
    rng = np.random.default_rng(11)
    teacher, student = rng.normal(0, spread, (2, rows, classes)).astype(np.float32)
    return teacher, student, rng.integers(-1, classes, rows)


def teacher_input(loss: LogitDistillationLoss, teacher: Any, labels: Any) -> Any:
    return {"answer": teacher, "labels": labels} if loss.needs else teacher


@each_loss
def test_gradient_is_finite_at_extreme_logits(kind: type[LogitDistillationLoss]) -> None:
    loss = kind(temperature=0.5)
    labels = np.array([1, 0, 0, -1, 3, 2])
    for turn in range(len(EXTREMES)):
        student = tf.Variable(np.roll(EXTREMES, turn, axis=0))
        with tf.GradientTape() as tape:
            value = loss(teacher_input(loss, EXTREMES, labels), student)
        assert np.isfinite(value)
        assert np.isfinite(tape.gradient(value, student)).all()


@each_loss
def test_gradient_descent_reaches_the_minimum_at_the_teacher_logits(kind: type[LogitDistillationLoss]) -> None:
    teacher, student, labels = random_batch(16, 5)
    loss = kind(temperature=2.0)
    best = float(loss(teacher_input(loss, teacher, labels), teacher))
    variable = tf.Variable(student)
    with tf.GradientTape() as tape:
        value = loss(teacher_input(loss, teacher, labels), variable)
    variable.assign_sub(0.1 * tape.gradient(value, variable))
    assert best < float(loss(teacher_input(loss, teacher, labels), variable)) < float(value)


@each_loss
@pytest.mark.parametrize("shift", [-1000.0, 1000.0])
def test_a_shift_of_all_logits_does_not_change_the_loss(kind: type[LogitDistillationLoss], shift: float) -> None:
    teacher, student, labels = random_batch(16, 5)
    loss = kind()
    shifted = loss(teacher_input(loss, teacher + np.float32(shift), labels), student - np.float32(shift))
    assert float(shifted) == pytest.approx(float(loss(teacher_input(loss, teacher, labels), student)), rel=1e-3)


@each_loss
def test_float16_logits_are_computed_in_float32(kind: type[LogitDistillationLoss]) -> None:
    teacher, student, labels = random_batch(16, 10, spread=30.0)
    teacher, student = teacher.astype(np.float16), student.astype(np.float16)
    loss = kind()
    got = loss(teacher_input(loss, teacher, labels), student)
    assert got.dtype == tf.float32
    assert np.isfinite(got)
    wide = loss(teacher_input(loss, teacher.astype(np.float32), labels), student.astype(np.float32))
    assert float(got) == pytest.approx(float(wide), rel=1e-6)


@each_loss
def test_float64_stays_float64(kind: type[LogitDistillationLoss]) -> None:
    teacher, student, labels = random_batch(16, 10)
    loss, narrow = kind(reduction=None, dtype="float64"), kind(reduction=None)
    got = loss(teacher_input(loss, teacher.astype(np.float64), labels), student.astype(np.float64))
    assert got.dtype == tf.float64
    np.testing.assert_allclose(got, narrow(teacher_input(loss, teacher, labels), student), rtol=1e-4, atol=1e-4)


@each_loss
def test_is_the_same_compiled_by_xla(kind: type[LogitDistillationLoss]) -> None:
    teacher, student, labels = random_batch(16, 10)
    loss = kind()

    def value(student: Any) -> Any:
        return loss(teacher_input(loss, teacher, labels), student)

    compiled = tf.function(value, jit_compile=True, autograph=False)(tf.constant(student))
    assert float(compiled) == pytest.approx(float(value(student)), rel=1e-5)


@each_loss
def test_takes_batches_of_unknown_size(kind: type[LogitDistillationLoss]) -> None:
    teacher, student, labels = random_batch(7, 4)
    loss = kind()
    shapes = [tf.TensorSpec([None, 4]), tf.TensorSpec([None, 4]), tf.TensorSpec([None], tf.int64)]

    @tf.function(input_signature=shapes, autograph=False)
    def value(teacher: Any, student: Any, labels: Any) -> Any:
        return loss(teacher_input(loss, teacher, labels), student)

    assert float(value(teacher, student, labels)) == pytest.approx(
        float(loss(teacher_input(loss, teacher, labels), student))
    )


@each_loss
def test_temperature_may_become_a_variable(kind: type[LogitDistillationLoss]) -> None:
    teacher, student, labels = random_batch(8, 5)
    loss = kind(temperature=1.0)
    loss.temperature = keras.Variable(3.0)
    expected = float(kind(temperature=3.0)(teacher_input(loss, teacher, labels), student))
    assert float(loss(teacher_input(loss, teacher, labels), student)) == pytest.approx(expected, rel=1e-6)
    assert loss.get_config()["temperature"] == 3.0


@each_loss
def test_config_makes_the_same_loss(kind: type[LogitDistillationLoss]) -> None:
    weights = {
        DecoupledLoss: {"target": 0.5, "others": 2.0},
        DistLoss: {"inter": 0.5, "intra": 3.0},
        NormalizedLoss: {"others": 2},
    }
    loss = kind(temperature=2.5, name="mine", reduction="sum", **weights.get(kind, {}))
    again = kind.from_config(loss.get_config())
    assert again.get_config() == loss.get_config()
    teacher, student, labels = random_batch(8, 5)
    assert float(again(teacher_input(loss, teacher, labels), student)) == float(
        loss(teacher_input(loss, teacher, labels), student)
    )


@each_loss
@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan"), float("inf")])
def test_refuses_a_temperature_that_is_not_positive(kind: type[LogitDistillationLoss], temperature: float) -> None:
    with pytest.raises(RequestError, match="temperature"):
        kind(temperature=temperature)


@pytest.mark.parametrize(
    ("kind", "part"),
    [
        (DecoupledLoss, "target"),
        (DecoupledLoss, "others"),
        (DistLoss, "inter"),
        (DistLoss, "intra"),
        (NormalizedLoss, "others"),
    ],
)
@pytest.mark.parametrize("weight", [-0.1, float("nan"), float("inf")])
def test_refuses_a_weight_that_is_negative_or_not_finite(
    kind: type[LogitDistillationLoss], part: str, weight: float
) -> None:
    with pytest.raises(RequestError, match=part):
        kind(**{part: weight})


@pytest.mark.parametrize(("kind", "parts"), [(DecoupledLoss, ["target", "others"]), (DistLoss, ["inter", "intra"])])
def test_refuses_parts_without_any_weight(kind: type[LogitDistillationLoss], parts: list[str]) -> None:
    with pytest.raises(RequestError, match="all 0"):
        kind(**dict.fromkeys(parts, 0.0))


@each_loss
@pytest.mark.parametrize(
    ("teacher", "student"),
    [((8, 5), (8, 4)), ((8, 1), (8, 5)), ((1, 5), (8, 5)), ((5,), (8, 5)), ((8, 1), (8, 1)), ((8, 2, 5), (8, 2, 5))],
)
def test_refuses_shapes_that_would_broadcast(
    kind: type[LogitDistillationLoss], teacher: tuple[int, ...], student: tuple[int, ...]
) -> None:
    loss = kind()
    with pytest.raises(RequestError, match=r"same two or more classes"):
        loss(teacher_input(loss, np.zeros(teacher, np.float32), np.zeros(8, np.int64)), np.zeros(student, np.float32))


@each_labelled_loss
@pytest.mark.parametrize("labels", [np.zeros((8, 5)), np.zeros(7), np.zeros(())])
def test_refuses_labels_that_are_not_one_per_image(kind: type[LogitDistillationLoss], labels: np.ndarray) -> None:
    logits = np.zeros((8, 5), np.float32)
    with pytest.raises(RequestError, match="one class number per example"):
        kind()({"answer": logits, "labels": labels}, logits)


@each_labelled_loss
def test_refuses_predictions_without_labels(kind: type[LogitDistillationLoss]) -> None:
    logits = np.zeros((8, 5), np.float32)
    for y_true in (logits, {"answer": logits}):
        with pytest.raises(RequestError, match="needs labels"):
            kind()(y_true, logits)


@each_labelled_loss
def test_takes_a_column_of_labels(kind: type[LogitDistillationLoss]) -> None:
    teacher, student, labels = random_batch(8, 5)
    column = kind()({"answer": teacher, "labels": labels[:, None]}, student)
    assert float(column) == float(kind()({"answer": teacher, "labels": labels}, student))


@each_labelled_loss
def test_the_teachers_top_class_replaces_a_missing_label(kind: type[LogitDistillationLoss]) -> None:
    teacher, student, _ = random_batch(8, 5)
    missing = kind()({"answer": teacher, "labels": np.full(8, -1)}, student)
    top = kind()({"answer": teacher, "labels": teacher.argmax(axis=1)}, student)
    worst = kind()({"answer": teacher, "labels": teacher.argmin(axis=1)}, student)
    assert float(missing) == float(top) != float(worst)


def test_a_recipe_may_name_them() -> None:
    assert {kind.__name__.removesuffix("Loss").lower(): kind for kind in KINDS}.items() <= LOSSES.items()
