"""A Distiller gives the same update in every form of execution: replicas, workers, larger or smaller steps.

The trainings run in separate processes, because strategies need their devices before TensorFlow does any work.
"""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfkd import Distiller
from tfkd.distill.losses import LOSSES
from tfkd.errors import RequestError

pytestmark = pytest.mark.slow

CLASSES, CHANNELS, IMAGES, BATCH = 5, 6, 12, 8
ANSWER = {"logits": (CLASSES,), "pooled": (7,), "maps": (3, 3, 4)}
SETTINGS: dict[str, dict[str, Any]] = {
    "attention": {"teacher_tap": "maps", "student_tap": "maps"},
    "contrastive": {"dimensions": 4, "negatives": 5},
}
ONLINE = ("soft_targets", "relational")
TOGETHER = "the sum of every loss"  # one tracing in place of one per loss; a loss that differs changes the sum
FORMS: dict[str, dict[str, Any]] = {"steps_per_execution": {"steps_per_execution": 2}, "eager": {"run_eagerly": True}}
PRECISIONS = ("mixed_float16", "mixed_bfloat16")
ROOT = Path(__file__).parents[2]


def _run(*arguments: str, **environment: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.distill.test_strategies", *arguments]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **environment}
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def _answer(process: subprocess.Popen[str]) -> Any:
    try:
        output, errors = process.communicate(timeout=900)
    finally:
        process.kill()
    assert process.returncode == 0, errors[-3000:]
    return json.loads(output.splitlines()[-1])


@pytest.fixture(scope="module")
def trained() -> Any:
    """The result of one process: for each case the weights before and after, by form of execution."""
    return _answer(_run("replicas"))


@pytest.fixture(scope="module")
def workers() -> list[Any]:
    """The results of two processes of one training."""
    sockets = [socket.socket() for _ in range(2)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    addresses = [f"127.0.0.1:{each.getsockname()[1]}" for each in sockets]
    for each in sockets:
        each.close()
    tasks = [{"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}} for index in range(2)]
    processes = [_run("worker", TF_CONFIG=json.dumps(task)) for task in tasks]
    try:
        return [_answer(process) for process in processes]
    finally:
        for process in processes:
            process.kill()


def assert_same(actual: list[Any], expected: list[Any]) -> None:
    for number, (one, other) in enumerate(zip(actual, expected, strict=True)):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12, err_msg=f"weight {number}")


def assert_trained(result: dict[str, Any]) -> None:
    for number, (before, after) in enumerate(zip(result["before"], result["after"], strict=True)):
        assert not np.allclose(before, after, rtol=1e-6, atol=0), f"weight {number} was never updated"


@pytest.mark.parametrize("case", [TOGETHER, *(f"online {kind}" for kind in ONLINE)])
def test_two_replicas_fit_as_one(trained: Any, case: str) -> None:
    one, two = trained[case]["one"], trained[case]["two"]
    assert_trained(one)
    assert_same(two["after"], one["after"])
    assert_same(two["copy"], two["after"])
    assert two["metrics"] == pytest.approx(one["metrics"], rel=1e-9)


@pytest.mark.parametrize("form", FORMS)
def test_the_form_of_execution_does_not_change_the_update(trained: Any, form: str) -> None:
    assert_same(trained[form]["after"], trained["all"]["after"])


def test_two_accumulated_batches_are_one_of_twice_the_size(trained: Any) -> None:
    assert_same(trained["accumulated"]["after"], trained["twice the size"]["after"])


@pytest.mark.parametrize("replicas", ["one", "two"])
@pytest.mark.parametrize("policy", PRECISIONS)
def test_mixed_precision_follows_float32(trained: Any, policy: str, replicas: str) -> None:
    single, mixed = trained["float32"], trained[policy][replicas]
    first, second, third = mixed["losses"]
    assert first > second > third
    assert mixed["losses"] == pytest.approx(single["losses"], rel=0.01)
    for before, after, expected in zip(single["before"], mixed["after"], single["after"], strict=True):
        way = np.linalg.norm(np.subtract(expected, before))
        assert np.linalg.norm(np.subtract(after, expected)) < 0.1 * way


def test_accumulating_on_several_replicas_is_refused(trained: Any) -> None:
    assert "gradient_accumulation_steps" in trained["accumulated on two"]


def test_float16_scales_its_loss(trained: Any) -> None:
    assert trained["mixed_float16"]["one"]["optimizer"] == "LossScaleOptimizer"
    assert trained["mixed_bfloat16"]["one"]["optimizer"] == "SGD"


def test_two_workers_fit_as_one_process(trained: Any, workers: list[Any]) -> None:
    assert_trained(trained["all"])
    for worker in workers:
        assert worker["in sync"] == 2
        assert_same(worker["after"], trained["all"]["after"])
        assert worker["metrics"] == pytest.approx(trained["all"]["metrics"], rel=1e-9)
        assert worker["evaluated"] == pytest.approx(trained["all"]["evaluated"], rel=1e-9)


def _network(channels: int, seed: int) -> keras.Model:
    """Without BatchNorm, which sees only the images of its own replica."""
    keras.utils.set_random_seed(seed)
    image = keras.Input((8, 8, 3))
    maps = keras.layers.Conv2D(channels, 3, strides=2, activation="relu", name="maps")(image)
    pooled = keras.layers.GlobalAveragePooling2D()(maps)
    return keras.Model(image, keras.layers.Dense(CLASSES, kernel_regularizer=keras.regularizers.L2(0.1))(pooled))


OF_IMAGES = [kind for kind in LOSSES if kind not in ("attention_maps", "hidden_states")]


def _losses(*kinds: str) -> list[tuple[Any, float]]:
    return [(LOSSES[kind](**SETTINGS.get(kind, {})), 0.6) for kind in kinds]


def _stored(losses: list[tuple[Any, float]]) -> Distiller:
    return Distiller(_network(CHANNELS, 1), losses=losses, label_weight=0.4, answers=[ANSWER], images=IMAGES)


def _all_kinds() -> Distiller:
    """A Distiller with a loss per image, one of all pairs, one with moments and one with memories."""
    return _stored(_losses("soft_targets", "relational", "hint", "contrastive"))


def _per_image() -> Distiller:
    return _stored(_losses("soft_targets"))


def _mixable() -> Distiller:
    return _stored(_losses("soft_targets", "hint"))


def _online(kind: str) -> Distiller:
    return Distiller(_network(CHANNELS, 1), [_network(7, 2)], losses=_losses(kind), label_weight=0.4)


def _batches(size: int = BATCH, steps: int = 2, online: bool = False) -> tf.data.Dataset:
    """Batches of one seed: some images occur twice, some have no label, all have a weight."""
    rng = np.random.default_rng(5)
    count, dtype = size * steps, keras.config.floatx()
    image = rng.normal(size=(count, 8, 8, 3)).astype(dtype)
    answers = ({tap: rng.normal(size=(count, *shape)).astype(dtype) + 1 for tap, shape in ANSWER.items()},)
    index, labels = rng.integers(0, IMAGES, count), rng.integers(-1, CLASSES, count)
    weights = rng.uniform(0.5, 1.5, count).astype(dtype)
    x = image if online else {"image": image, "index": index, "answers": answers}
    return tf.data.Dataset.from_tensor_slices((x, labels, weights)).batch(size)


def _train(
    strategy: tf.distribute.Strategy,
    make: Callable[[], Distiller],
    batches: tf.data.Dataset,
    epochs: int = 1,
    accumulate: int | None = None,
    evaluate: bool = False,
    **form: Any,
) -> dict[str, Any]:
    """Fits with momentum, whose update, unlike Adam's, shows the gradient's size."""
    with strategy.scope():
        distiller = make()
        optimizer = keras.optimizers.SGD(0.05, momentum=0.9, gradient_accumulation_steps=accumulate)
        distiller.compile(optimizer, metrics=["accuracy"], **form)
    before = [weight.tolist() for weight in distiller.get_weights()]
    history = distiller.fit(batches, epochs=epochs, shuffle=False, verbose=0).history
    copies = [getattr(weight.value, "values", [weight.value]) for weight in distiller.weights]
    return {
        "before": before,
        "after": [copy[0].numpy().tolist() for copy in copies],
        "copy": [copy[-1].numpy().tolist() for copy in copies],
        "metrics": {name: values[-1] for name, values in history.items()},
        "losses": history["loss"],
        "optimizer": type(distiller.optimizer).__name__,
        "evaluated": distiller.evaluate(batches, verbose=0, return_dict=True) if evaluate else None,
    }


def _replicas() -> dict[str, Any]:
    processor = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(processor, [tf.config.LogicalDeviceConfiguration()] * 2)
    one, two = tf.distribute.get_strategy(), tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])

    def both(make: Callable[[], Distiller], batches: tf.data.Dataset, **options: Any) -> dict[str, Any]:
        return {"one": _train(one, make, batches, **options), "two": _train(two, make, batches, **options)}

    result: dict[str, Any] = {}
    result["float32"] = _train(one, _mixable, _batches(), epochs=3)
    for policy in PRECISIONS:
        keras.config.set_dtype_policy(policy)
        result[policy] = both(_mixable, _batches(), epochs=3)
    _use_float64()
    result[TOGETHER] = both(lambda: _stored(_losses(*OF_IMAGES)), _batches())
    for kind in ONLINE:
        result[f"online {kind}"] = both(lambda kind=kind: _online(kind), _batches(online=True))
    result["all"] = _train(one, _all_kinds, _batches(), evaluate=True)
    for form, options in FORMS.items():
        result[form] = _train(one, _all_kinds, _batches(), **options)
    result["accumulated"] = _train(one, _per_image, _batches(steps=4), accumulate=2)
    result["twice the size"] = _train(one, _per_image, _batches(size=2 * BATCH))
    try:
        _train(two, _per_image, _batches(steps=4), accumulate=2)
    except RequestError as error:
        result["accumulated on two"] = str(error)
    return result


def _worker() -> dict[str, Any]:
    strategy = tf.distribute.MultiWorkerMirroredStrategy()  # before TensorFlow does anything else
    _use_float64()
    return {"in sync": strategy.num_replicas_in_sync, **_train(strategy, _all_kinds, _batches(), evaluate=True)}


def _use_float64() -> None:
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")


if __name__ == "__main__":
    print(json.dumps({"replicas": _replicas, "worker": _worker}[sys.argv[1]]()))
