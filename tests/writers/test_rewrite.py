from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from tests.writers.conftest import CARD, SIZE
from tfkd.verification.tflite import delegation
from tfkd.writers import rewrite
from tfkd.writers.flatbuffer import TfliteNetwork
from tfkd.writers.graph import frozen
from tfkd.writers.tflite import write_tflite


def converted(model: keras.Model) -> TfliteNetwork:
    with frozen(model, CARD) as graph:
        return TfliteNetwork(tf.lite.TFLiteConverter.from_saved_model(str(graph.saved_model)).convert())


def classifier(*first: Any, activation: str = "relu") -> keras.Model:
    keras.utils.set_random_seed(4)
    image = x = keras.Input((SIZE, SIZE, 3))
    for layer in first:
        x = layer(x)
    x = keras.layers.Conv2D(8, 3, strides=2, padding="same", activation=activation)(x)
    x = keras.layers.DepthwiseConv2D(5, padding="same", depth_multiplier=16)(x)
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Activation(activation)(x))
    return keras.Model(image, keras.layers.Dense(3, kernel_initializer=keras.initializers.RandomNormal(stddev=0.5))(x))


def run(network: TfliteNetwork, images: np.ndarray) -> np.ndarray:
    interpreter = Interpreter(
        model_content=network.packed(), experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    )
    runner = interpreter.get_signature_runner("serving_default")
    return np.concatenate([next(iter(runner(image=image[None]).values())) for image in images])


RESCALES = {
    "the students'": ([keras.layers.Rescaling(1 / 128, offset=-1)], rewrite.PixelQuantization(1 / 128, 128)),
    "EfficientNet-Lite's": (
        [keras.layers.Rescaling(1 / 128, offset=-127 / 128)],
        rewrite.PixelQuantization(1 / 128, 127),
    ),
    "none but the converter's": ([keras.layers.Rescaling(1 / 255)], rewrite.RAW),  # its weights take the factor
    "a difference": ([keras.layers.Rescaling(1.0, offset=-100)], rewrite.PixelQuantization(1.0, 100)),
    "two layers": (
        [keras.layers.Rescaling(0.5), keras.layers.Rescaling(0.02, offset=-1.0)],
        rewrite.PixelQuantization(0.01, 100),
    ),
    "half a pixel off": ([keras.layers.Rescaling(1 / 127.5, offset=-1)], rewrite.RAW),
    "upside down": ([keras.layers.Rescaling(-1 / 128, offset=1)], rewrite.RAW),
    "beyond a byte": ([keras.layers.Rescaling(1 / 128, offset=1)], rewrite.RAW),
    "by channel": ([keras.layers.Rescaling([0.1, 0.2, 0.3])], rewrite.RAW),
    "clipped": (
        [keras.layers.Rescaling(1 / 128, offset=-1), keras.layers.ReLU()],
        rewrite.PixelQuantization(1 / 128, 0),
    ),
    "none": ([], rewrite.RAW),
}


@pytest.mark.parametrize("name", RESCALES)
def test_a_rescale_becomes_the_input_quantization_if_bytes_can_represent_it(name: str, images: np.ndarray) -> None:
    layers, expected = RESCALES[name]
    model = classifier(*layers)
    network = converted(model)
    before = len(network.graph.operators)
    pixels = rewrite.without_ends(network)
    assert pixels == rewrite.PixelQuantization(pytest.approx(expected.scale), expected.zero_point)
    assert (len(network.graph.operators) < before - 1) == (pixels != rewrite.RAW), "only the softmax is always taken"
    numbers = ((images.astype(np.float64) - pixels.zero_point) * pixels.scale).astype(np.float32)
    assert numbers.min() >= pixels.range[0] and numbers.max() <= pixels.range[1]
    np.testing.assert_allclose(run(network, numbers), model(images.astype(np.float32)), rtol=1e-4, atol=1e-4)


def test_hard_swish_is_spelled_out_exactly(images: np.ndarray) -> None:
    network = converted(classifier(keras.layers.Rescaling(1 / 8, offset=-16), activation="hard_silu"))
    pixels = images[:5].astype(np.float32)
    before = run(network, pixels)
    kinds = [network.kind(operator) for operator in network.graph.operators]
    assert kinds.count("HARD_SWISH") == 2
    rewrite.without_hard_swish(network)
    assert "HARD_SWISH" not in [network.kind(operator) for operator in network.graph.operators]
    np.testing.assert_allclose(run(network, pixels), before, atol=1e-6)


@pytest.mark.parametrize("precision", ["fp32", "fp16", "dynamic", "int8"])
def test_no_operator_is_outside(precision: str, images: np.ndarray, tmp_path: Path) -> None:
    """The depthwise convolution is large enough for the converter to make its weights int8 in a dynamic file."""
    model = classifier(keras.layers.Rescaling(1 / 128, offset=-1), activation="hard_silu")
    write_tflite(model, precision, tmp_path / "x.tflite", CARD, images)
    found = delegation(tmp_path / "x.tflite")
    assert (found.partitions, found.outside) == (1, [])
    interpreter = Interpreter(model_path=str(tmp_path / "x.tflite"))
    runner = interpreter.get_signature_runner("serving_default")
    dtype = np.uint8 if precision == "int8" else np.float32
    answers = np.concatenate([runner(image=image[None].astype(dtype))["probabilities"] for image in images])
    expected = tf.nn.softmax(model(images.astype(np.float32))).numpy()
    assert np.abs(answers / (256 if dtype == np.uint8 else 1) - expected).max() < 0.02


def test_weights_of_a_dynamic_depthwise_convolution_stay_int8(images: np.ndarray, tmp_path: Path) -> None:
    write_tflite(classifier(), "dynamic", tmp_path / "x.tflite", CARD, images)
    network = TfliteNetwork((tmp_path / "x.tflite").read_bytes())
    (unpacking,) = [each for each in network.graph.operators if network.kind(each) == "DEQUANTIZE"]
    (weights,) = unpacking.inputs
    assert (network.dtype(weights), network.shape(weights)) == (np.int8, (1, 5, 5, 128))
    assert network.constant(weights) is not None


def test_a_hard_swish_of_hardly_any_range_stays_in_the_delegate(tmp_path: Path, images: np.ndarray) -> None:
    model = classifier(*RESCALES["the students'"][0], activation="hard_swish")
    model.set_weights([weights * 1e-3 for weights in model.get_weights()])
    write_tflite(model, "int8", tmp_path / "faint.tflite", CARD, images[:4])
    found = delegation(tmp_path / "faint.tflite")
    assert (found.partitions, found.outside) == (1, [])
