"""Classifiers of the user's own: what is taken and refused, and that raw pixels give what the model itself gives."""

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfkd.errors import RequestError
from tfkd.inputs.image import normalization
from tfkd.inputs.image.tensors import signature
from tfkd.verification import tflite
from tfkd.writers import Card, own
from tfkd.writers.tflite import write_tflite

SIZE, CLASSES = 16, 3
PLAIN = ("none", "bgr")
PER_CHANNEL = "123.675,116.28,103.53,58.395,57.12,57.375"


def network(*end: Any, size: int | None = SIZE, **given: Any) -> Any:
    keras.utils.set_random_seed(3)
    image = keras.Input((size, size, 3), **given)
    x = keras.layers.Conv2D(4, 3, strides=2, activation="relu")(image)
    x = keras.layers.GlobalAveragePooling2D()(x)
    for layer in end or (dense(),):
        x = layer(x)
    return keras.Model(image, x)


def dense(units: int = CLASSES, **given: Any) -> Any:
    return keras.layers.Dense(units, kernel_initializer=keras.initializers.RandomNormal(stddev=2.0), **given)


@pytest.fixture
def saved(tmp_path: Path) -> Callable[[Any], Path]:
    def save(model: Any) -> Path:
        path = tmp_path / "mine.keras"
        model.save(path)
        return path

    return save


@pytest.fixture(scope="module")
def photos() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (5, SIZE, SIZE, 3)).astype(np.float32)


def through_the_graph(model: own.OwnModel, images: np.ndarray) -> np.ndarray:
    return np.concatenate([tf.nn.softmax(model(tf.constant(image[np.newaxis]))).numpy() for image in images])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("end", "text"),
    [
        ("logits", "none"),
        ("logits", PER_CHANNEL),
        ("logits", "bgr"),
        ("softmax", "127.5,127.5"),
        ("softmax", "bgr,0,255"),
        ("nested", "0,255"),
        ("nested", "bgr"),
    ],
)
def test_raw_pixels_give_the_predictions_of_normalised_ones(
    saved: Callable[[Any], Path], photos: np.ndarray, end: str, text: str
) -> None:
    body = network(dense(activation="softmax" if end != "logits" else None))
    model = keras.Sequential([keras.Input((SIZE, SIZE, 3)), body]) if end == "nested" else body
    numbers = [float(part) for part in text.removeprefix("bgr").strip(",").split(",")] if text not in PLAIN else [0, 1]
    mean, std = np.split(np.array(numbers), 2)
    ordered = photos[..., ::-1] if text.startswith("bgr") else photos
    expected = body.predict((ordered - mean) / std, verbose=0)
    expected = expected if end != "logits" else np.asarray(keras.ops.softmax(expected))

    loaded = own.load(saved(model), normalization.parse(text))
    assert (loaded.signature, loaded.classes, loaded.parameters) == (signature(SIZE), CLASSES, body.count_params())
    np.testing.assert_allclose(loaded.predict(photos), expected, atol=1e-5)
    np.testing.assert_allclose(through_the_graph(loaded, photos), expected, atol=1e-5)


@pytest.mark.parametrize("batch", [None, 1])
def test_a_saved_model_predicts_as_the_model_it_was_saved_from(
    tmp_path: Path, photos: np.ndarray, batch: int | None
) -> None:
    model = network(dense(), keras.layers.Softmax(), batch_size=batch)
    model.export(tmp_path / "mine", verbose=False)
    loaded = own.load(tmp_path / "mine")
    expected = np.concatenate([model(image[np.newaxis]) for image in photos])
    np.testing.assert_allclose(loaded.predict(photos), expected, atol=1e-5)
    np.testing.assert_allclose(through_the_graph(loaded, photos), expected, atol=1e-5)
    assert loaded.parameters == model.count_params()


def test_half_precision_is_widened(saved: Callable[[Any], Path], photos: np.ndarray) -> None:
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = network(dense(), keras.layers.Softmax())
    finally:
        keras.config.set_dtype_policy("float32")
    loaded = own.load(saved(model))
    assert loaded.predict(photos).dtype == np.float32
    np.testing.assert_allclose(through_the_graph(loaded, photos), loaded.predict(photos), atol=2e-2)


ENDS: dict[str, Callable[[Any], Any]] = {
    "keras.ops.softmax": keras.ops.softmax,
    "softmax and a linear float32 activation": lambda x: keras.layers.Activation("linear", dtype="float32")(
        keras.layers.Softmax()(x)
    ),
    "softmax of a map, then reshaped": lambda x: keras.layers.Flatten()(
        keras.layers.Softmax()(keras.layers.Reshape((1, CLASSES))(x))
    ),
    "softmax along a first axis": lambda x: keras.layers.Flatten()(
        keras.layers.Softmax(axis=1)(keras.layers.Reshape((CLASSES, 1))(x))
    ),
    "temperature": lambda x: keras.layers.Softmax()(x / 2.5),
    "mean of two softmaxes": lambda x: keras.layers.Average()([keras.ops.softmax(x), keras.ops.softmax(2 * x)]),
    "written by hand": lambda x: keras.ops.exp(x) / keras.ops.sum(keras.ops.exp(x), axis=-1, keepdims=True),
}


@pytest.mark.parametrize("end", ENDS)
def test_probabilities_are_exported_as_they_are(saved: Callable[[Any], Path], photos: np.ndarray, end: str) -> None:
    body = network(dense())
    model = keras.Model(body.input, ENDS[end](body.output))
    loaded = own.load(saved(model), normalization.parse("0,255"))
    expected = model.predict(photos / 255, verbose=0)
    np.testing.assert_allclose(loaded.predict(photos), expected, atol=1e-5)
    np.testing.assert_allclose(through_the_graph(loaded, photos), expected, atol=1e-5)
    graph = tf.function(loaded).get_concrete_function(tf.TensorSpec([1, SIZE, SIZE, 3])).graph
    kinds = [node.op for node in graph.as_graph_def().library.function[0].node_def]
    assert ("Softmax" in kinds) == (end in ("mean of two softmaxes",))


def test_small_logits_of_two_classes_are_no_probabilities(saved: Callable[[Any], Path], photos: np.ndarray) -> None:
    squashed = network(dense(2), keras.layers.Activation("sigmoid"), keras.layers.Dense(2, use_bias=False))
    squashed.layers[-1].set_weights([np.array([[0.6, 0.1], [0.2, 0.3]], np.float32)])
    expected = squashed.predict(photos, verbose=0)
    assert (expected > 0).all() and (expected < 1).all()
    np.testing.assert_allclose(own.load(saved(squashed)).predict(photos), keras.ops.softmax(expected), atol=1e-5)


def two_inputs() -> Any:
    first, second = keras.Input((SIZE, SIZE, 3)), keras.Input((SIZE, SIZE, 3))
    both = keras.layers.Flatten()(keras.layers.add([first, second]))
    return keras.Model([first, second], keras.layers.Dense(CLASSES)(both))


def over_the_batch() -> Any:
    image = keras.Input((SIZE, SIZE, 3))
    return keras.Model(image, keras.ops.mean(network()(image), axis=0, keepdims=True))


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (two_inputs, "has 2 inputs (input_layer"),
        (lambda: keras.Sequential([keras.Input((8,)), dense()]), "takes (None, 8); a classifier here takes RGB images"),
        (lambda: network(size=None), "images of any size"),
        (over_the_batch, "gives (1, 3) for (None, 16, 16, 3)"),
        (lambda: keras.Sequential([keras.Input((8, 16, 3)), keras.layers.Flatten(), dense()]), "8 x 16 pixels"),
        (lambda: keras.Sequential([keras.Input((SIZE, SIZE, 3)), keras.layers.Conv2D(3, 3)]), "gives a row"),
        (lambda: network(dense(1, activation="sigmoid")), "gives one number per image"),
        (lambda: network(dense(activation="sigmoid")), "ends in a sigmoid for each class"),
        (
            lambda: network(dense(4), keras.layers.Reshape((2, 2)), keras.layers.Softmax(), keras.layers.Flatten()),
            "4 outputs sum to 2 and not to 1",
        ),
        (lambda: network(keras.layers.Lambda(lambda x: x), dense()), "--allow-code"),
    ],
)
def test_models_that_are_no_image_classifiers_are_refused_in_one_line(
    saved: Callable[[Any], Path], make: Callable[[], Any], told: str
) -> None:
    with pytest.raises(RequestError) as caught:
        own.load(saved(make()))
    assert told in str(caught.value) and "\n" not in str(caught.value)


def test_a_lambda_that_is_trusted_runs(saved: Callable[[Any], Path], photos: np.ndarray) -> None:
    model = network(keras.layers.Lambda(lambda x: 2 * x, output_shape=(4,)), dense())
    loaded = own.load(saved(model), allow_code=True)
    expected = np.asarray(keras.ops.softmax(model.predict(photos, verbose=0)))
    np.testing.assert_allclose(loaded.predict(photos), expected, atol=1e-5)


def test_a_weight_that_a_relu_hides_is_named(saved: Callable[[Any], Path]) -> None:
    model = network()
    first, *others = model.get_weights()
    first.flat[0] = np.nan
    model.set_weights([first, *others])
    with pytest.raises(RequestError, match=r"the weights \S+/kernel hold numbers that are not finite"):
        own.load(saved(model))


def test_weights_that_are_no_numbers_are_refused(saved: Callable[[Any], Path]) -> None:
    model = network()
    model.set_weights([np.full_like(value, np.nan) for value in model.get_weights()])
    with pytest.raises(RequestError, match="not finite"):
        own.load(saved(model))


class Reaching(tf.Module):
    """A SavedModel that writes a file when it is asked."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path

    @tf.function(input_signature=[tf.TensorSpec([None, SIZE, SIZE, 3], tf.float32)])
    def serve(self, image: Any) -> Any:
        tf.io.write_file(self.path, "seen")
        return tf.reduce_mean(image, axis=[1, 2])


def test_a_saved_model_that_writes_files_is_refused_unread(tmp_path: Path) -> None:
    module = Reaching(str(tmp_path / "written"))
    tf.saved_model.save(module, str(tmp_path / "mine"), signatures={"serving_default": module.serve})
    with pytest.raises(RequestError, match=r"it needs the operator 'WriteFile'.*--allow-code"):
        own.load(tmp_path / "mine")
    assert not (tmp_path / "written").exists()


def test_a_saved_model_needs_the_usual_signature(tmp_path: Path) -> None:
    tf.saved_model.save(tf.Module(), str(tmp_path / "mine"))
    with pytest.raises(RequestError, match="has no signature 'serving_default'"):
        own.load(tmp_path / "mine")


@pytest.mark.parametrize("damage", ["absent", "no zip", "cut", "no config", "other format"])
def test_damaged_files_are_one_line(tmp_path: Path, saved: Callable[[Any], Path], damage: str) -> None:
    path = saved(network())
    if damage == "absent":
        path.unlink()
    elif damage == "no zip":
        path.write_bytes(b"not a model")
    elif damage == "cut":
        path.write_bytes(path.read_bytes()[:-300])
    elif damage == "no config":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("config.json", json.dumps({"class_name": "Functional"}))
    else:
        path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    with pytest.raises(RequestError) as caught:
        own.load(path)
    assert "mine" in str(caught.value) and "\n" not in str(caught.value)


def test_a_damaged_folder_is_one_line(tmp_path: Path) -> None:
    network().export(tmp_path / "mine", verbose=False)
    content = (tmp_path / "mine" / "saved_model.pb").read_bytes()
    for damaged in (b"", content[:-50], b"\xff" * 64):
        (tmp_path / "mine" / "saved_model.pb").write_bytes(damaged)
        with pytest.raises(RequestError, match="mine") as caught:
            own.load(tmp_path / "mine")
        assert "\n" not in str(caught.value)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("precision", "tolerance", "text"),
    [
        ("fp32", 1e-4, "caffe"),
        ("fp16", 1e-2, "bgr,0,255"),
        ("int8", 0.05, "caffe"),
        ("int8", 0.05, "bgr,0,255"),
        ("int8", 0.05, PER_CHANNEL),
    ],
)
def test_files_hold_the_normalization_in_one_partition(
    tmp_path: Path, saved: Callable[[Any], Path], photos: np.ndarray, precision: str, tolerance: float, text: str
) -> None:
    spread = 0.02 if text == "caffe" else 2.0  # its pixels are as large
    model = network(keras.layers.Dense(CLASSES, kernel_initializer=keras.initializers.RandomNormal(stddev=spread)))
    loaded = own.load(saved(model), normalization.parse(text))
    images = np.concatenate([photos, np.full_like(photos, [220, 20, 20]), np.full_like(photos, [20, 20, 220])])
    card = Card("mine", ("a", "b", "c"), "", "", "1", "")
    write_tflite(loaded, precision, tmp_path / "x.tflite", card, images.astype(np.uint8))
    expected = loaded.predict(images)
    assert np.ptp(expected, axis=0).max() > 0.1, "red and blue must differ, or the order of channels does not matter"
    given = tflite.predict(tmp_path / "x.tflite", [images])
    assert np.abs(given - expected).max() < tolerance
    found = tflite.delegation(tmp_path / "x.tflite")
    assert (found.partitions, found.outside) == (1, [])
