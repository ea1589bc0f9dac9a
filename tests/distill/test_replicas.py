"""Two replicas give the update of one: trainings in a separate process, on two logical processors."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfkd.distill.losses import LOSSES
from tfkd.distill.losses.base import DistillationLoss
from tfkd.distill.replicas import whole_batch

pytestmark = pytest.mark.slow

VECTOR, MAP = (7,), (2, 2, 6)
STEPS = 3
ROOT = Path(__file__).parents[2]


class Pairwise(DistillationLoss):
    """Squared difference of the products of all pairs: the simplest loss that needs the whole batch."""

    def __init__(self) -> None:
        super().__init__("pairwise", dtype="float64")

    def call(self, y_true: Any, y_pred: Any) -> Any:
        teacher, student = whole_batch(y_true), whole_batch(y_pred)
        difference = tf.matmul(teacher, teacher, transpose_b=True) - tf.matmul(student, student, transpose_b=True)
        return tf.fill([tf.shape(y_pred)[0]], tf.reduce_mean(difference**2))


def _named(kind: str, **config: Any) -> Callable[[], DistillationLoss]:
    return lambda: LOSSES[kind](dtype="float64", **config)


# name: the loss, the shape of the teacher's feature, images of a batch (an odd number is cut into unequal pieces)
CASES: dict[str, tuple[Callable[[], DistillationLoss], tuple[int, ...], int]] = {
    "pairwise of unequal pieces": (Pairwise, VECTOR, 7),
    "dist": (_named("dist"), (5,), 8),
    "attention": (_named("attention"), MAP, 8),
    "hint": (_named("hint"), VECTOR, 8),
    "hint of maps": (_named("hint"), MAP, 8),
    "relational": (_named("relational"), VECTOR, 8),
    "contrastive with memories": (_named("contrastive", dimensions=4, negatives=5), VECTOR, 8),
    "contrastive in the batch": (_named("contrastive", dimensions=4, negatives=None), VECTOR, 8),
}


@pytest.fixture(scope="module")
def trained() -> dict[str, Any]:
    """The weights after training on one replica, on two, and the copy of the second replica."""
    command = [sys.executable, "-m", "tests.distill.test_replicas"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("case", CASES)
def test_two_replicas_train_as_one(trained: dict[str, Any], case: str) -> None:
    result = trained[case]
    for name, before in result["before"].items():
        assert not np.allclose(before, result["one"][name], rtol=1e-6, atol=0), f"{name} was never updated"
    for name, expected in result["one"].items():
        np.testing.assert_allclose(result["two"][name], expected, rtol=1e-9, atol=1e-12, err_msg=name)
        np.testing.assert_array_equal(result["second copy"][name], result["two"][name], err_msg=name)


def test_rows_of_all_replicas_come_in_order(trained: dict[str, Any]) -> None:
    rows = [[0, 1], [2, 3], [4, 5], [6, 7], [8, 9]]
    assert trained["rows"] == [rows, rows]


def test_one_replica_needs_no_gathering() -> None:
    values = tf.Variable([[1.0, 2.0]])
    assert whole_batch(values) is values


def _train(strategy: tf.distribute.Strategy, case: str) -> dict[str, Any]:
    """Trains a linear student with momentum, whose update, unlike Adam's, shows the gradient's size."""
    make, shape, batch = CASES[case]
    rng = np.random.default_rng(11)
    data = {
        "image": rng.normal(size=(STEPS * batch, 4, 4, 3)),
        "teacher": rng.normal(size=(STEPS * batch, *shape)) + 1,
        "index": rng.integers(0, 12, STEPS * batch),  # of 12 images: some come twice in a batch
        "weight": rng.uniform(0.5, 1.5, STEPS * batch) if batch % 2 == 0 else np.ones(STEPS * batch),
    }
    with strategy.scope():
        keras.utils.set_random_seed(3)
        layers = [keras.layers.Conv2D(5, 1, dtype="float64", name="student")]
        if len(shape) == 1:
            layers.append(keras.layers.GlobalAveragePooling2D(dtype="float64"))
        student = keras.Sequential([keras.Input((4, 4, 3), dtype="float64"), *layers])
        loss = make()
        loss.build(shape, student.output_shape[1:], 12)
        optimizer = keras.optimizers.SGD(0.05, momentum=0.9)
        trainable = student.trainable_variables + [w for layer in loss.layers for w in layer.trainable_variables]
        optimizer.build(trainable)
    kept = student.weights + [weight for layer in loss.layers for weight in layer.weights]
    names = [f"{number} {weight.name}" for number, weight in enumerate(kept)]
    before = {name: w.numpy().tolist() for name, w in zip(names, kept, strict=True) if "bias" not in name}

    def update(rows: dict[str, Any]) -> None:
        with tf.GradientTape() as tape:
            answer = student(rows["image"], training=True)
            inputs = {"answer": rows["teacher"], "index": rows["index"]} if loss.needs else rows["teacher"]
            value = loss(inputs, answer, sample_weight=rows["weight"])
        gradients = tape.gradient(value, trainable, unconnected_gradients="zero")
        optimizer.apply(gradients, trainable)

    @tf.function
    def step(rows: Any) -> None:
        strategy.run(update, args=(rows,))

    for rows in strategy.experimental_distribute_dataset(tf.data.Dataset.from_tensor_slices(data).batch(batch)):
        step(rows)
    copies = [getattr(weight.value, "values", [weight.value]) for weight in kept]
    return {
        "before": before,
        "first": {name: copy[0].numpy().tolist() for name, copy in zip(names, copies, strict=True)},
        "last": {name: copy[-1].numpy().tolist() for name, copy in zip(names, copies, strict=True)},
    }


def _rows(strategy: tf.distribute.Strategy) -> list[Any]:
    """The rows that each of two replicas gathers from five rows of integers, split into three and two."""
    rows = tf.data.Dataset.from_tensor_slices(tf.reshape(tf.range(10), [5, 2])).batch(5)

    @tf.function
    def gather(values: Any) -> Any:
        return strategy.run(whole_batch, args=(values,))

    (gathered,) = (gather(values) for values in strategy.experimental_distribute_dataset(rows))
    return [values.numpy().tolist() for values in strategy.experimental_local_results(gathered)]


def _main() -> None:
    processor = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(processor, [tf.config.LogicalDeviceConfiguration()] * 2)
    two = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    result: dict[str, Any] = {"rows": _rows(two)}
    for case in CASES:
        alone, pair = _train(tf.distribute.get_strategy(), case), _train(two, case)
        result[case] = {
            "before": alone["before"],
            "one": alone["first"],
            "two": pair["first"],
            "second copy": pair["last"],
        }
    print(json.dumps(result))


if __name__ == "__main__":
    _main()
