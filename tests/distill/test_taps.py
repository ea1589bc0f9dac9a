"""Taps: the same network with more outputs, under names that have the same meaning for every network."""

from collections.abc import Iterable, Sequence
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops

from tests import tiny
from tfkd.distill.losses import SoftTargetsLoss
from tfkd.distill.taps import available, structure, tapped
from tfkd.errors import RequestError
from tfkd.inputs.image.tensors import signature
from tfkd.models import build_student, build_teacher
from tfkd.recipe import Student, Teacher

STUDENTS = (
    "mobilenet_v3_small",
    "mobilenet_v3_large",
    "mobilenet_v2",
    "mobilenet_v4_conv_small",
    "squeezenet_1_0",
    "squeezenet_1_1",
)
ACTIVATIONS = {
    "relu": lambda x: np.maximum(x, 0),
    "relu6": lambda x: np.clip(x, 0, 6),
    "silu": lambda x: x / (1 + np.exp(-x)),
    "hard_swish": lambda x: x * np.clip(x + 3, 0, 6) / 6,
    "linear": lambda x: x,
}


def student(name: str, size: int, **changes: Any) -> keras.Model:
    return build_student(Student(model=name).model_copy(update=changes), signature(size), classes=5, seed=1)


def resized(model: keras.Model, size: int) -> keras.Model:
    """Returns the same layers with another input size, which is faster than building them again."""
    inputs = keras.tree.map_structure(lambda _: keras.Input((size, size, 3)), model.input)

    def call(layer: Any, *args: Any, **kwargs: Any) -> Any:
        return (resized(layer, size) if isinstance(layer, keras.Model) else layer)(*args, **kwargs)

    return keras.models.clone_model(model, inputs, clone_function=lambda layer: layer, call_function=call)


def photos(*size: int) -> np.ndarray:
    return np.random.default_rng(7).uniform(0, 255, (2, *size, 3)).astype(np.float32)


def strides(model: keras.Model) -> list[int]:
    names = [name for name in available(model) if name.startswith("stage:") and not name.endswith(":before")]
    return [int(name.removeprefix("stage:")) for name in names]


def sides(model: keras.Model, strides: Iterable[int]) -> dict[int, int]:
    """Returns the height of the last map of every stride."""
    outputs = tapped(model, [f"stage:{stride}" for stride in strides]).output
    return {stride: outputs[f"stage:{stride}"].shape[1] for stride in strides}


def block(x: Any, filters: int, stride: int, name: str) -> Any:
    x = layers.Conv2D(filters, 3, strides=stride, padding="same", use_bias=False, name=f"{name}_conv")(x)
    return layers.ReLU(name=f"{name}_relu")(layers.BatchNormalization(momentum=0.5, name=f"{name}_bn")(x))


def nested() -> keras.Model:
    """A model three levels deep, with the same names on every level, dropout and BatchNorm."""
    deep = keras.Sequential(
        [keras.Input((8, 8, 4)), layers.Conv2D(6, 3, 2, "same", name="conv"), layers.ReLU()], name="deep"
    )
    inside = keras.Input((16, 16, 3), name="image")
    body = keras.Model(inside, deep(block(inside, 4, 2, "stem")), name="body")
    image = keras.Input((16, 16, 3), name="image")
    x = layers.Rescaling(1 / 128, -1.0, name="conv")(image)
    x = layers.GlobalAveragePooling2D(name="pool")(body(x))
    x = layers.Dropout(0.5, seed=3, name="drop")(x)
    return keras.Model(image, layers.Dense(5, name="head")(x), name="outer")


def assert_same_network(model: keras.Model, taps: Sequence[str]) -> dict[str, np.ndarray]:
    """Checks that logits and weights are exactly those of the model; returns the outputs."""
    extended = tapped(model, taps)
    assert [id(weight) for weight in extended.weights] == [id(weight) for weight in model.weights]
    trainable = [id(weight) for weight in model.trainable_weights]
    assert [id(weight) for weight in extended.trainable_weights] == trainable
    images = photos(*model.input_shape[1:3])
    answers = {name: np.array(value) for name, value in extended(images, training=False).items()}
    assert set(answers) == {"logits", *taps}
    np.testing.assert_array_equal(answers["logits"], model(images, training=False))
    for name, tensor in extended.output.items():
        assert answers[name].shape[1:] == tuple(tensor.shape[1:])
    return answers


def assert_activated(answers: dict[str, np.ndarray], stage: str, activation: str) -> None:
    before, after = answers[f"{stage}:before"], answers[stage]
    tolerance = 1e-6 * np.abs(before).max()  # maps of an untrained network can be tiny
    np.testing.assert_allclose(after, ACTIVATIONS[activation](before), rtol=1e-5, atol=tolerance)
    assert (activation == "linear") == np.allclose(after, before, rtol=1e-3, atol=tolerance)


# The sizes follow from the papers' tables: 'same' convolutions round up, SqueezeNet's 'valid' ones lose the border.
# Below 64 px the first convolution of a student has stride 1.
SIDES = {
    "mobilenet_v3_small": {
        32: {1: 32, 2: 16, 4: 8, 8: 4, 16: 2},
        96: {2: 48, 4: 24, 8: 12, 16: 6, 32: 3},
        224: {2: 112, 4: 56, 8: 28, 16: 14, 32: 7},
        100: {2: 50, 4: 25, 8: 13, 16: 7, 32: 4},
    },
    "squeezenet_1_0": {
        32: {1: 26, 2: 12, 4: 5, 8: 2},
        96: {2: 45, 4: 22, 8: 10, 16: 4},
        224: {2: 109, 4: 54, 8: 26, 16: 12},
    },
    "squeezenet_1_1": {
        32: {1: 30, 2: 14, 4: 6, 8: 2},
        96: {2: 47, 4: 23, 8: 11, 16: 5},
        224: {2: 111, 4: 55, 8: 27, 16: 13},
    },
    "resnet20": {32: {1: 32, 2: 16, 4: 8}, 96: {1: 96, 2: 48, 4: 24}},
    "teachers": {size: {stride: size // stride for stride in (2, 4, 8, 16, 32)} for size in (32, 96, 224)},
}
SIDES |= dict.fromkeys(("mobilenet_v3_large", "mobilenet_v2", "mobilenet_v4_conv_small"), SIDES["mobilenet_v3_small"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "activation"),
    [
        *[("mobilenet_v3_small", activation) for activation in ("relu", "relu6", "silu", "hard_swish")],
        *[("squeezenet_1_1", activation) for activation in ("relu", "relu6", "silu", "hard_swish")],
        ("mobilenet_v3_large", "hard_swish"),
        ("mobilenet_v2", "relu6"),
        ("mobilenet_v4_conv_small", "relu"),
        ("squeezenet_1_0", "hard_swish"),
    ],
)
def test_students(name: str, activation: str) -> None:
    model = student(name, 32, activation=activation, width=0.25)
    answers = assert_same_network(model, ["pooled", "penultimate", "stage:8", "stage:8:before"])
    assert_activated(answers, "stage:8", activation)
    head = model.get_layer("logits")
    logits = answers["penultimate"] @ head.kernel + head.bias
    np.testing.assert_allclose(answers["logits"], logits, rtol=1e-4, atol=1e-5 * np.abs(logits).max())
    assert strides(model) == list(SIDES[name][32])
    assert sides(model, SIDES[name][32]) == SIDES[name][32]


@pytest.mark.parametrize("name", STUDENTS)
def test_sizes_of_a_students_stages(name: str) -> None:
    model = student(name, 96, width=0.25)
    for size, expected in SIDES[name].items():
        if size >= 64:
            assert sides(resized(model, size), expected) == expected


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "activations"),
    [
        ("efficientnet_lite0", {16: "relu6"}),
        ("efficientnet_b0", {16: "silu"}),
        ("efficientnet_v2_b0", {4: "linear", 16: "silu"}),
        ("resnet50", {16: "relu"}),
        ("resnet50_v2", {16: "linear", 32: "relu"}),
        ("resnet20", {4: "relu"}),
    ],
)
def test_teachers(name: str, activations: dict[int, str]) -> None:
    model = build_teacher(Teacher(model=name, weights="none", image_size=32), classes=5, seed=1)
    taps = [f"stage:{stride}{part}" for stride in activations for part in ("", ":before")]
    answers = assert_same_network(model, ["pooled", "penultimate", "backbone", *taps])
    for stride, activation in activations.items():
        assert_activated(answers, f"stage:{stride}", activation)
    for tap in ("penultimate", "backbone"):
        np.testing.assert_array_equal(answers["pooled"], answers[tap])
    sizes = SIDES[name if name in SIDES else "teachers"]
    assert strides(model) == list(sizes[32])
    for size, expected in sizes.items():
        assert sides(resized(model, size) if size != 32 else model, expected) == expected


def test_a_stage_ends_at_a_layer_that_every_path_passes() -> None:
    """A layer that a shortcut bypasses is not the end of a stage, even if it is the last map of its size."""
    image = keras.Input((16, 16, 3))
    start = layers.Conv2D(4, 3, padding="same", name="start")(image)
    inner = layers.ReLU(name="inner")(layers.Conv2D(2, 1)(start))
    inner = layers.Conv2D(4, 3, strides=2, padding="same")(inner)
    x = layers.Add(name="sum")([layers.MaxPooling2D(1, strides=2)(start), inner])
    model = keras.Model(image, layers.Dense(5)(layers.GlobalAveragePooling2D()(x)))
    answers = assert_same_network(model, ["stage:1", "stage:2", "start", "sum", "inner"])
    np.testing.assert_array_equal(answers["stage:1"], answers["start"])
    np.testing.assert_array_equal(answers["stage:2"], answers["sum"])


def test_training_updates_as_the_model_itself_does() -> None:
    """One call draws one dropout mask and moves the statistics once; all gradients are the model's."""
    results = []
    for extend in (False, True):
        keras.utils.set_random_seed(0)
        model = nested()
        called = tapped(model, ["stage:4", "pooled", "body/stem_bn"]) if extend else model
        with tf.GradientTape() as tape:
            answer = called(photos(16, 16), training=True)
            logits = answer["logits"] if extend else answer
            loss = tf.reduce_sum(logits**2)
        gradients = tape.gradient(loss, model.trainable_weights)
        results.append([logits, *gradients, *model.weights, *model.non_trainable_variables])
    for plain, extended in zip(*results, strict=True):
        np.testing.assert_array_equal(plain, extended)
    batch_norm = model.get_layer("body").get_layer("stem_bn")
    assert not np.allclose(batch_norm.moving_mean, 0)


def test_gradients_flow_through_every_tap() -> None:
    model = nested()
    extended = tapped(model, ["stage:4", "pooled"])
    with tf.GradientTape(persistent=True) as tape:
        answers = extended(photos(16, 16), training=True)
        losses = {name: tf.reduce_sum(answer**2) for name, answer in answers.items()}
    kernel = model.get_layer("body").get_layer("deep").get_layer("conv").kernel
    assert all(np.abs(tape.gradient(loss, kernel)).max() > 0 for loss in losses.values())


def test_frozen_layers_stay_frozen() -> None:
    model = nested()
    model.get_layer("body").get_layer("stem_bn").trainable = False
    flags = [layer.trainable for layer in model._flatten_layers()]
    weights = model.get_weights()
    extended = tapped(model, ["stage:2"])
    extended(photos(16, 16), training=True)
    assert [layer.trainable for layer in model._flatten_layers()] == flags
    for weight, before in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(weight, before)
    model.trainable = False
    assert not extended.trainable_weights


@pytest.mark.parametrize("training", [None, False, True])
def test_a_nested_model_keeps_the_arguments_it_was_called_with(training: bool | None) -> None:
    """`body(x, training=True)` applies when the whole model is called without a mode."""
    image = keras.Input((16, 16, 3))
    body = nested().get_layer("body")
    model = keras.Model(image, layers.Dense(5)(layers.Flatten()(body(image, training=True))))
    extended = tapped(model, ["stem_relu", "pooled"])
    assert extended.output["pooled"].shape == (None, 4 * 4 * 6)
    weights = model.get_weights()
    expected = model(photos(16, 16), training=training)
    moved = body.get_layer("stem_bn").moving_mean.numpy()
    model.set_weights(weights)
    np.testing.assert_array_equal(extended(photos(16, 16), training=training)["logits"], expected)
    np.testing.assert_array_equal(body.get_layer("stem_bn").moving_mean, moved)
    assert np.any(moved != 0) == (training is not False)


def test_the_model_does_not_change(tmp_path: Any) -> None:
    """It saves, loads and predicts as before, and can be tapped again."""
    model = nested()
    expected = model(photos(16, 16))
    config = model.get_config()
    for _ in range(2):
        tapped(model, ["stage:4", "body/stem_conv"])
    assert model.get_config() == config
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(photos(16, 16)), expected)
    np.testing.assert_array_equal(tapped(loaded, ["stage:4"])(photos(16, 16))["logits"], expected)


def test_names_lead_into_nested_models() -> None:
    model = nested()
    names = available(model)
    assert names[:3] == ["logits", "pooled", "penultimate"]
    assert {"conv", "body/stem_conv", "body/deep", "body/deep/conv", "body", "head", "stage:4:before"} <= set(names)
    answers = assert_same_network(model, names)
    body = model.get_layer("body")
    normalised = photos(16, 16) / 128 - 1
    np.testing.assert_allclose(answers["conv"], normalised, atol=1e-6)
    np.testing.assert_array_equal(answers["body/stem_conv"], body.get_layer("stem_conv")(answers["conv"]))
    np.testing.assert_array_equal(
        answers["body/deep/conv"], body.get_layer("deep").get_layer("conv")(answers["stage:2"])
    )
    np.testing.assert_array_equal(answers["body/deep"], answers["stage:4"])
    np.testing.assert_array_equal(answers["head"], answers["logits"])
    np.testing.assert_array_equal(tapped(model, ["stem_conv"])(photos(16, 16))["stem_conv"], answers["body/stem_conv"])


def test_a_layer_and_a_model_used_twice() -> None:
    conv = layers.Conv2D(3, 3, padding="same", name="conv")
    inside = keras.Input((8, 8, 3))
    twice = keras.Model(inside, layers.ReLU(name="relu")(conv(conv(inside))), name="twice")
    image = keras.Input((8, 8, 3))
    x = layers.GlobalMaxPooling2D()(twice(twice(image)))
    model = keras.Model(image, layers.Dense(5)(x))
    names = [f"twice{use}/{layer}" for use in ("", "#2") for layer in ("conv", "conv#2", "relu")]
    answers = assert_same_network(model, names)
    x = photos(8, 8)
    for name in names:
        x = np.maximum(x, 0) if name.endswith("relu") else np.array(conv(x))
        np.testing.assert_allclose(answers[name], x, rtol=1e-6)
    with pytest.raises(RequestError, match=r"choose one of: twice/relu, twice#2/relu\.$"):
        tapped(model, ["relu"])


def test_models_with_several_inputs_inside() -> None:
    """As in a network of two branches that a nested model brings together."""
    left, right = keras.Input((8, 8, 4), name="left"), keras.Input((8, 8, 4), name="right")
    joined = layers.Subtract(name="subtract")([left, right])
    head = keras.Model(
        {"left": left, "right": right}, [joined, layers.GlobalAveragePooling2D(name="gap")(joined)], name="head"
    )
    image = keras.Input((16, 16, 3))
    branches = {name: block(image, 4, 2, name) for name in ("right", "left")}
    model = keras.Model(image, layers.Dense(5)(head(branches)[1]))
    answers = assert_same_network(model, ["left_relu", "right_relu", "head", "head[1]", "pooled", "stage:2"])
    np.testing.assert_array_equal(answers["head"], answers["left_relu"] - answers["right_relu"])
    np.testing.assert_array_equal(answers["head"], answers["stage:2"])
    np.testing.assert_array_equal(answers["head[1]"], answers["pooled"])


def test_a_sequential_model() -> None:
    body = [keras.Input((16, 16, 3)), layers.Conv2D(4, 3, 2, "same"), layers.ReLU(), layers.MaxPooling2D()]
    head = [layers.Flatten(), layers.Dense(7, "relu"), layers.Dropout(0.5), layers.Dense(5)]
    model = keras.Sequential(body + head)
    answers = assert_same_network(model, ["stage:2", "stage:2:before", "stage:4", "pooled", "penultimate"])
    assert_activated(answers, "stage:2", "relu")
    assert {name: answer.shape[1:] for name, answer in answers.items() if "before" not in name} == {
        "logits": (5,), "stage:2": (8, 8, 4), "stage:4": (4, 4, 4), "pooled": (64,), "penultimate": (7,)
    }  # fmt: skip


def test_activations_of_keras_ops_and_a_head_of_convolutions() -> None:
    """The form of keras.applications' MobileNets: operations, pooling that keeps its axes, 1 x 1 convolutions."""
    image = keras.Input((16, 24, 3))
    x = layers.Conv2D(8, 3, strides=2, padding="same", name="first")(image)
    x = x * ops.sigmoid(x)
    gate = layers.Conv2D(8, 1, name="gate")(layers.GlobalAveragePooling2D(keepdims=True)(x))
    x = layers.Multiply()([ops.sigmoid(gate), x])
    x = ops.relu6(layers.Conv2D(8, 3, strides=2, name="second")(layers.ZeroPadding2D(1)(x)))
    x = ops.relu(layers.Conv2D(6, 1)(layers.GlobalAveragePooling2D(keepdims=True)(x)))
    x = layers.Conv2D(5, 1)(layers.Dropout(0.2)(x))
    model = keras.Model(image, layers.Flatten()(x))
    names = ["stage:4", "stage:4:before", "stage:2", "stage:2:before", "pooled", "penultimate", "first", "second"]
    answers = assert_same_network(model, names)
    assert strides(model) == [2, 4]
    assert sides(model, [2, 4]) == {2: 8, 4: 4}
    assert_activated(answers, "stage:4", "relu6")
    np.testing.assert_array_equal(answers["stage:4:before"], answers["second"])
    # Squeeze-and-excitation weighs a map; it is no activation.
    np.testing.assert_array_equal(answers["stage:2:before"], answers["stage:2"])
    np.testing.assert_allclose(answers["pooled"], answers["stage:4"].mean((1, 2)), rtol=1e-5)
    assert answers["penultimate"].shape == (2, 6)


def test_strides_go_by_the_height() -> None:
    image = keras.Input((32, 128, 3))
    x = layers.Conv2D(4, 3, strides=(2, 4), padding="same")(image)
    x = layers.UpSampling2D(2)(layers.Conv2DTranspose(4, 3, strides=2, padding="same")(layers.MaxPooling2D(4)(x)))
    model = keras.Model(image, layers.Dense(5)(layers.GlobalAveragePooling2D()(x)))
    outputs = tapped(model, ["stage:2", "stage:4", "stage:8"]).output
    assert [outputs[f"stage:{stride}"].shape[1:3] for stride in (2, 4, 8)] == [(16, 32), (8, 16), (4, 8)]


def test_a_size_that_is_not_fixed() -> None:
    image = keras.Input((None, None, 3))
    x = layers.GlobalAveragePooling2D()(block(block(image, 4, 2, "a"), 4, 2, "b"))
    answer = tapped(keras.Model(image, layers.Dense(5)(x)), ["stage:4"])(photos(20, 12))
    assert answer["stage:4"].shape == (2, 5, 3, 4)


def test_a_compiled_model() -> None:
    """A loss that Keras cannot recreate from its configuration does not matter."""
    model = tiny.build_teacher(image_size=16, classes=5)
    model.compile("sgd", SoftTargetsLoss(2.0))
    assert not tapped(model, ["pooled"]).compiled


@pytest.mark.parametrize(
    ("tap", "message"),
    [
        ("body/steam_conv", "'outer' has no 'body/steam_conv' to tap. The closest name is 'body/stem_conv'"),
        ("pool2d", "The closest name is 'pooled'"),
        ("stage:64", "beside its layers there are logits, pooled, penultimate, stage:2, stage:2:before, stage:4"),
        ("stage:2:after", "The closest name is 'stage:2:before'"),
        ("", "has no '' to tap"),
        ("%", "has no '%' to tap"),
    ],
)
def test_a_tap_that_does_not_exist_is_refused(tap: str, message: str) -> None:
    with pytest.raises(RequestError) as error:
        tapped(nested(), [tap])
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_impossible_taps_are_refused() -> None:
    image = keras.Input((16, 16, 3))
    x = layers.Conv2D(4, 3, strides=2, activation="relu")(image)
    model = keras.Model(image, layers.Dense(5)(layers.Flatten()(x)), name="fused")
    assert "stage:2" in available(model)
    assert "stage:2:before" not in available(model)
    with pytest.raises(RequestError, match="'fused' has no 'stage:2:before': the layer applies its activation itself"):
        tapped(model, ["stage:2:before"])
    with pytest.raises(RequestError, match="'two' has 2 outputs"):
        tapped(keras.Model(image, [x, x], name="two"), [])

    class Opaque(keras.Model):
        def call(self, inputs: Any) -> Any:
            return inputs

    with pytest.raises(RequestError, match="'opaque' has no visible layers"):
        available(Opaque(name="opaque"))


def test_structure_is_of_kinds_and_connections_only() -> None:
    def network(width: int, residual: bool = False, nested: bool = False) -> keras.Model:
        image = keras.Input((16, 16, 3))
        x = keras.layers.Conv2D(width, 3, padding="same")(keras.layers.Rescaling(1 / 255)(image))
        y = keras.layers.Conv2D(width, 3, padding="same")(x)
        y = keras.layers.Add()([x, y]) if residual else keras.layers.Add()([y, y])
        model = keras.Model(image, keras.layers.GlobalAveragePooling2D()(keras.layers.Dropout(0.1)(y)))
        outer = keras.Input((16, 16, 3))
        return keras.Model(outer, model(outer)) if nested else model

    assert structure(network(4)) == structure(network(8)) == structure(network(8, nested=True))
    assert structure(network(4)) != structure(network(4, residual=True)), "other connections"
    assert [kind for kind, _ in structure(network(4))] == ["Conv2D", "Conv2D", "Add", "GlobalAveragePooling2D"]
