"""Relational distillation against a float64 NumPy reference."""

from itertools import permutations
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tfkd.distill.losses import RelationalLoss
from tfkd.errors import RequestError

RNG = np.random.default_rng(6)


def huber(difference: float) -> float:
    return difference**2 / 2 if abs(difference) < 1 else abs(difference) - 0.5


def reference(teacher: np.ndarray, student: np.ndarray, distance: float, angle: float) -> float:
    """Pair by pair and triple by triple, in float64."""

    def distances(rows: np.ndarray) -> dict[Any, float]:
        pairs = {(i, j): float(np.linalg.norm(rows[i] - rows[j])) for i, j in permutations(range(len(rows)), 2)}
        mean = np.mean(list(pairs.values()))
        return {pair: length / mean for pair, length in pairs.items()}

    def cosines(rows: np.ndarray) -> dict[Any, float]:
        def cosine(i: int, j: int, k: int) -> float:
            a, b = rows[i] - rows[j], rows[k] - rows[j]
            lengths = np.linalg.norm(a) * np.linalg.norm(b)
            return float(a @ b / lengths) if lengths else 0.0

        return {triple: cosine(*triple) for triple in permutations(range(len(rows)), 3)}

    def compared(teacher: dict[Any, float], student: dict[Any, float]) -> float:
        return float(np.mean([huber(teacher[key] - student[key]) for key in teacher]))

    a, b = (rows.astype(np.float64).reshape(len(rows), -1) for rows in (teacher, student))
    return distance * compared(distances(a), distances(b)) + angle * compared(cosines(a), cosines(b))


@pytest.mark.parametrize(("distance", "angle"), [(1.0, 2.0), (1.0, 0.0), (0.0, 1.0)])
@pytest.mark.parametrize("offset", [0.0, 100.0])
def test_equals_the_reference(distance: float, angle: float, offset: float) -> None:
    teacher = (RNG.normal(size=(8, 7)) ** 3 + offset).astype(np.float32)
    student = (RNG.normal(size=(8, 5)) ** 3 - offset).astype(np.float32)
    got = RelationalLoss(distance=distance, angle=angle, reduction=None)(teacher, student)
    np.testing.assert_allclose(got, np.full(8, reference(teacher, student, distance, angle)), rtol=2e-5)


def test_equals_the_reference_in_float64() -> None:
    teacher, student = RNG.normal(size=(8, 2, 2, 7)), RNG.normal(size=(8, 5))
    got = float(RelationalLoss(dtype="float64")(teacher, student))
    assert got == pytest.approx(reference(teacher, student, 1.0, 2.0), rel=1e-12)


def test_gradient_is_that_of_the_reference() -> None:
    teacher, student = RNG.normal(size=(6, 7)), RNG.normal(size=(6, 5))
    variable = tf.Variable(student)
    with tf.GradientTape() as tape:
        loss = RelationalLoss(dtype="float64")(teacher, variable)
    gradient, step = tape.gradient(loss, variable).numpy(), 1e-6
    for place in [(0, 0), (3, 4), (5, 2)]:
        moved = np.zeros_like(student)
        moved[place] = step
        ends = [reference(teacher, student + sign * moved, 1.0, 2.0) for sign in (1, -1)]
        assert gradient[place] == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=1e-5)


def test_equal_images_have_distance_and_cosine_zero() -> None:
    teacher, student = RNG.normal(size=(2, 6, 4)).astype(np.float32) + 10
    student[3] = student[0]
    teacher[5] = teacher[1]
    variable = tf.Variable(student)
    with tf.GradientTape() as tape:
        loss = RelationalLoss()(teacher, variable)
    assert float(loss) == pytest.approx(reference(teacher, student, 1.0, 2.0), rel=1e-4)
    assert np.isfinite(tape.gradient(loss, variable)).all()


@pytest.mark.parametrize("rows", [1, 2, 4])
@pytest.mark.parametrize("value", [0.0, 80.0, 60_000.0])
def test_loss_and_gradient_are_finite_when_all_images_are_equal(rows: int, value: float) -> None:
    features = tf.Variable(tf.fill([rows, 3], tf.constant(value, tf.float16)))
    with tf.GradientTape() as tape:
        loss = RelationalLoss().call(tf.constant(RNG.normal(0, 80, (rows, 5)), tf.float16), features)
    assert loss.dtype == tf.float32 and loss.shape == (rows,)
    assert np.isfinite(loss).all() and np.isfinite(tape.gradient(loss, features)).all()


def test_is_zero_for_a_turned_moved_and_scaled_copy() -> None:
    teacher = RNG.normal(size=(8, 4))
    turn = np.linalg.qr(RNG.normal(size=(4, 4)))[0]
    assert float(RelationalLoss(dtype="float64")(teacher, 3 * teacher @ turn + 5)) == pytest.approx(0, abs=1e-20)


def test_no_tensor_of_triples_has_channels() -> None:
    batch, channels = 64, 1280
    features = [tf.TensorSpec([batch, channels], tf.float32)] * 2

    @tf.function
    def gradient(teacher: Any, student: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(student)
            loss = RelationalLoss()(teacher, student)
        return tape.gradient(loss, student)

    operations = gradient.get_concrete_function(*features).graph.get_operations()
    sizes = [tensor.shape.num_elements() or 0 for operation in operations for tensor in operation.outputs]
    assert max(sizes) == batch**3


def test_refuses_features_of_other_images() -> None:
    with pytest.raises(RequestError, match="same examples"):
        RelationalLoss()(np.zeros((1, 3)), np.zeros((4, 3)))


@pytest.mark.parametrize("weights", [{"distance": -1.0}, {"angle": float("nan")}, {"distance": 0.0, "angle": 0.0}])
def test_refuses_weights_that_are_negative_or_all_zero(weights: dict[str, float]) -> None:
    with pytest.raises(RequestError, match="relational"):
        RelationalLoss(**weights)


def test_config_makes_the_same_loss() -> None:
    config = RelationalLoss("logits", "pooled", distance=3.0, angle=0.5).get_config()
    assert RelationalLoss.from_config(config).get_config() == config
    assert (config["teacher_tap"], config["distance"], config["angle"]) == ("logits", 3.0, 0.5)
