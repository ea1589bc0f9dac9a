"""Contrastive distillation against a float64 NumPy reference."""

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfkd.distill.losses import ContrastiveLoss
from tfkd.errors import RequestError

RNG = np.random.default_rng(8)
IMAGES = 9
INDEX = np.array([3, 0, 8, 3, 5])  # image 3 comes twice


def built(**config: Any) -> ContrastiveLoss:
    loss = ContrastiveLoss(**({"dimensions": 4, "negatives": 6} | config))
    loss.build((7,), (5,), IMAGES)
    return loss


def batch(index: np.ndarray = INDEX) -> tuple[dict[str, np.ndarray], np.ndarray]:
    return {"answer": RNG.normal(size=(len(index), 7)), "index": index}, RNG.normal(size=(len(index), 5))


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def projected(loss: ContrastiveLoss, inputs: dict[str, np.ndarray], student: np.ndarray) -> list[np.ndarray]:
    pairs = zip(loss.layers, (inputs["answer"], student), strict=False)
    return [unit(rows @ layer.kernel.numpy() + layer.bias.numpy()) for layer, rows in pairs]


def reference(
    images: tuple[np.ndarray, np.ndarray, np.ndarray],
    others: tuple[np.ndarray, np.ndarray, np.ndarray],
    temperature: float,
) -> np.ndarray:
    """The loss of each image (number, teacher, student) among others, image by image, in float64."""

    def found(anchor: np.ndarray, own: np.ndarray, candidates: list[np.ndarray]) -> float:
        scores = [anchor @ row / temperature for row in [own, *candidates]]
        return float(-np.log(np.exp(scores[0] - max(scores)) / np.exp(np.array(scores) - max(scores)).sum()))

    losses = []
    for number, teacher, student in zip(*images, strict=True):
        rows = [(t, s) for n, t, s in zip(*others, strict=True) if n != number]
        losses.append(found(student, teacher, [t for t, _ in rows]) + found(teacher, student, [s for _, s in rows]))
    return np.array(losses)


def test_equals_the_reference_in_the_batch() -> None:
    loss = built(negatives=None, temperature=0.3, dtype="float64", reduction=None)
    inputs, student = batch()
    images = (INDEX, *projected(loss, inputs, student))
    np.testing.assert_allclose(loss(inputs, student), np.full(5, reference(images, images, 0.3).mean()), rtol=1e-9)


def test_equals_the_reference_with_memories_over_several_steps() -> None:
    loss = built(temperature=0.3, momentum=0.25, seed=5, dtype="float64", reduction=None)
    memory = loss.layers[2]
    for step in range(4):
        inputs, student = batch(INDEX + step % 2 - (INDEX == 8))
        teachers, students = memory.teacher.numpy(), memory.student.numpy()
        drawn = tf.random.stateless_uniform([6], [5, step], maxval=IMAGES, dtype=tf.int32).numpy()
        teacher, own = projected(loss, inputs, student)
        expected = reference((inputs["index"], teacher, own), (drawn, teachers[drawn], students[drawn]), 0.3)
        np.testing.assert_allclose(loss(inputs, student), expected, rtol=1e-9)
        for rows, now, kept in ((teacher, memory.teacher, teachers), (own, memory.student, students)):
            for number in np.unique(inputs["index"]):
                first = rows[np.flatnonzero(inputs["index"] == number)[0]]
                kept[number] = unit((0.25 * kept[number] + 0.75 * first)[None])[0]
            np.testing.assert_allclose(now, kept, rtol=1e-12)
    assert int(memory.step.numpy()) == 4


def test_images_without_numbers_count_as_different_ones() -> None:
    loss = built(negatives=None, temperature=0.3, dtype="float64")
    inputs, student = batch()
    apart = float(loss(inputs | {"index": np.arange(5)}, student))
    assert float(loss(inputs | {"index": np.full(5, -1)}, student)) == apart
    assert float(loss(inputs, student)) != apart


def test_equals_the_reference_with_a_queue_over_several_steps() -> None:
    loss = ContrastiveLoss(dimensions=4, negatives=7, temperature=0.3, dtype="float64", reduction=None)
    loss.build((7,), (5,))
    queue = loss.layers[2]
    assert not loss.counts_images and built().counts_images
    kept = [(-1, teacher, own) for teacher, own in zip(queue.teacher.numpy(), queue.student.numpy(), strict=True)]
    for step in range(4):
        inputs, student = batch(INDEX if step % 2 else np.full(5, -1))
        teacher, own = projected(loss, inputs, student)
        numbers = inputs["index"] if step % 2 else np.arange(100, 105)
        others = tuple(map(np.array, zip(*kept, strict=True)))
        expected = reference((numbers, teacher, own), others, 0.3)
        np.testing.assert_allclose(loss(inputs, student), expected, rtol=1e-9)
        kept = [*kept, *zip(inputs["index"], teacher, own, strict=True)][-7:]
    in_order = np.roll(queue.index.numpy(), -int(queue.next.numpy()))
    assert in_order.tolist() == [number for number, _, _ in kept]


def test_a_batch_longer_than_the_queue_leaves_its_last_rows() -> None:
    loss = ContrastiveLoss(dimensions=4, negatives=3)
    loss.build((7,), (5,))
    loss(*batch())
    assert sorted(loss.layers[2].index.numpy()) == sorted(INDEX[-3:])


def test_memories_start_as_seeded_directions() -> None:
    first, again, other = (built(seed=seed).layers[2] for seed in (1, 1, 2))
    np.testing.assert_allclose(np.linalg.norm(first.teacher.numpy(), axis=1), 1, rtol=1e-6)
    np.testing.assert_array_equal(first.teacher, again.teacher)
    assert not np.array_equal(first.teacher, other.teacher)
    assert not np.array_equal(first.teacher, first.student)


def test_draws_continue_from_restored_weights() -> None:
    batches = [batch() for _ in range(3)]
    whole, first, second = (built() for _ in range(3))
    expected = [float(whole(*each)) for each in batches]
    first(*batches[0])
    for source, target in zip(first.layers, second.layers, strict=True):
        target.set_weights(source.get_weights())
    assert [float(second(*each)) for each in batches[1:]] == expected[1:]


@pytest.mark.parametrize("negatives", [None, 6])
def test_gradient_descent_halves_the_loss(negatives: int | None) -> None:
    loss = built(negatives=negatives)
    inputs, student = batch()
    rows = tf.Variable(student, dtype=tf.float32)
    before = float(loss(inputs, rows))
    for _ in range(10):
        with tf.GradientTape() as tape:
            value = loss(inputs, rows)
        rows.assign_sub(0.5 * tape.gradient(value, rows))
    assert float(loss(inputs, rows)) < before / 2


@pytest.mark.parametrize("negatives", [None, 6])
@pytest.mark.parametrize("value", [0.0, 80.0, 60_000.0])
def test_gradients_are_finite_for_extreme_float16_features(negatives: int | None, value: float) -> None:
    loss = built(negatives=negatives)
    student = tf.Variable(tf.fill([5, 5], tf.constant(value, tf.float16)))
    inputs = {"answer": tf.fill([5, 7], tf.constant(-value, tf.float16)), "index": tf.constant(INDEX)}
    with tf.GradientTape() as tape:
        losses = loss.call(inputs, student)
    weights = [weight.value for layer in loss.layers for weight in layer.trainable_weights]
    assert losses.dtype == tf.float32 and losses.shape == (5,) and len(weights) == 4
    assert all(np.isfinite(gradient).all() for gradient in [losses, *tape.gradient(losses, [student, *weights])])


def test_temperature_may_be_a_variable() -> None:
    inputs, student = batch()
    constant, variable = built(temperature=0.5), built()
    variable.temperature = keras.Variable(0.5)
    assert float(variable(inputs, student)) == float(constant(inputs, student))
    assert variable.get_config()["temperature"] == 0.5


@pytest.mark.parametrize(
    ("argument", "value"),
    [("temperature", 0.0), ("temperature", float("nan")), ("dimensions", 1), ("negatives", 0), ("momentum", 1.0)],
)
def test_refuses_arguments_out_of_range(argument: str, value: Any) -> None:
    with pytest.raises(RequestError, match=argument):
        ContrastiveLoss(**{argument: value})


def test_refuses_to_be_built_without_what_it_needs() -> None:
    with pytest.raises(RequestError, match="16,777,216"):
        ContrastiveLoss().build((7,), (5,), 2**24 + 1)
    with pytest.raises(RequestError, match="pooled"):
        ContrastiveLoss().build((2, 2, 7), (5,), IMAGES)


def test_refuses_a_call_that_does_not_fit() -> None:
    loss = built()
    inputs, student = batch()
    with pytest.raises(RequestError, match="needs an index"):
        loss(inputs["answer"], student)
    with pytest.raises(RequestError, match="built for"):
        loss(inputs, student[:, :1])
    with pytest.raises(RequestError, match="same examples"):
        loss(inputs, student[:1])
    with pytest.raises(RequestError, match="one number for each"):
        loss(inputs | {"index": INDEX[:1]}, student)
    with pytest.raises(RequestError, match="build"):
        ContrastiveLoss()(inputs, student)


def test_config_makes_the_same_loss() -> None:
    config = ContrastiveLoss("logits", "pooled", 0.2, 16, None, 0.9, seed=3).get_config()
    assert ContrastiveLoss.from_config(config).get_config() == config
    assert (config["temperature"], config["dimensions"], config["negatives"], config["momentum"]) == (
        0.2,
        16,
        None,
        0.9,
    )
