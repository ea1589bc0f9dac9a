"""Whole classifiers, against the Keras models that they were made from."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import coremltools as ct
import keras
import numpy as np
import pytest
import tensorflow as tf
from coremltools.models.neural_network import quantization_utils

from tests.verification.conftest import CARD, SIZE, Exported
from tests.verification.coreml.converted import change, convert
from tfkd.inputs.image.tensors import signature
from tfkd.models import build_student
from tfkd.recipe import Student
from tfkd.verification import VerifyError, coreml
from tfkd.writers.coreml import write_coreml

pytestmark = pytest.mark.slow

KINDS = [".mlmodel", ".mlpackage"]
# An .mlpackage rounds its weights and every intermediate value to float16.
TOLERANCE = {".mlmodel": 1e-5, ".mlpackage": 2e-2}


def answers(model: Any, images: np.ndarray) -> np.ndarray:
    return tf.nn.softmax(model(images.astype(np.float32), training=False)).numpy()


def spread(model: Any, images: np.ndarray) -> Any:
    """Makes an untrained network tell its images apart: the statistics are theirs, the logits spread by 2 around 0."""
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    model(images.astype(np.float32), training=True)
    last = [layer for layer in model.layers if hasattr(layer, "kernel")][-1]
    logits = model(images.astype(np.float32), training=False).numpy()
    scale = 2.0 / logits.std(0).mean()
    last.kernel.assign(last.kernel * scale)
    last.bias.assign(last.bias - logits.mean(0) * scale)
    return model


@pytest.mark.parametrize("kind", KINDS)
def test_the_files_of_an_export(exported: Exported, kind: str) -> None:
    path = exported.path(kind)
    probabilities = coreml.predict(path, [exported.images[:3], exported.images[3:].astype(np.float32)])
    assert (probabilities.dtype, probabilities.shape) == (np.float32, (len(exported.images), 3))
    np.testing.assert_allclose(probabilities, exported.probabilities, atol=TOLERANCE[kind])
    np.testing.assert_array_equal(probabilities.argmax(1), exported.probabilities.argmax(1))
    assert coreml.labels(path) == CARD.classes
    assert coreml.predict(path, []).shape == (0, 3)
    assert coreml.predict(path, [exported.images[:0]]).shape == (0, 3)


@pytest.mark.parametrize(
    ("name", "activation", "kinds"),
    [
        ("mobilenet_v3_small", "hard_swish", KINDS[:1]),
        ("mobilenet_v3_small", "silu", KINDS[1:]),
        ("mobilenet_v2", "relu6", KINDS),
        ("mobilenet_v4_conv_small", "relu", KINDS[1:]),
        ("squeezenet_1_0", "relu", KINDS[:1]),
        ("squeezenet_1_1", "relu6", KINDS[1:]),
    ],
)
def test_students(name: str, activation: str, kinds: list[str], images: np.ndarray, tmp_path: Path) -> None:
    """Each family and each activation once; the benchmark of the evaluator takes every pair."""
    student = Student(model=name, activation=activation, width=0.25)
    model = spread(build_student(student, signature(SIZE), classes=3, seed=1), images)
    expected = answers(model, images)
    assert expected.argmax(1).std() > 0
    for kind in kinds:
        path = tmp_path / f"student{kind}"
        write_coreml(model, kind[1:], path, CARD)
        got = coreml.predict(path, [images])
        assert np.abs(got - expected).max() < (1e-4 if kind == ".mlmodel" else 0.1)
        assert np.mean(got.argmax(1) == expected.argmax(1)) > 0.9


def many_operators() -> keras.Model:
    """A network of what the students do not have."""
    keras.utils.set_random_seed(2)
    layers = keras.layers
    image = keras.Input((SIZE, SIZE, 3))
    x = layers.Normalization(mean=[100.0, 110.0, 120.0], variance=[4000.0, 5000.0, 6000.0])(image)
    x = layers.Conv2D(8, 3, strides=2)(layers.ZeroPadding2D(((0, 1), (1, 0)))(x))
    x = layers.LeakyReLU(negative_slope=0.1)(layers.BatchNormalization()(x))
    x = layers.Concatenate()(
        [
            layers.AveragePooling2D(3, 1, padding="same")(x),
            layers.MaxPooling2D(3, 1, padding="same")(x),
            layers.SeparableConv2D(4, 3, padding="same", activation="elu")(x),
            layers.Conv2D(4, 3, dilation_rate=2, padding="same", activation="softsign")(x),
        ]
    )
    x = layers.Cropping2D(1)(x)
    x = layers.Conv2D(8, (1, 3), padding="same", activation="softplus")(x)
    x = layers.PReLU(shared_axes=[1, 2], alpha_initializer="ones")(x)
    x = layers.Permute((3, 1, 2))(x)
    x = layers.Permute((2, 3, 1))(x)
    gate = layers.Dense(8, activation="hard_sigmoid")(layers.GlobalMaxPooling2D(keepdims=True)(x))
    x = layers.Multiply()([x, gate])
    x = layers.Subtract()([layers.AveragePooling2D(2)(x), layers.MaxPooling2D(2)(x)])
    x = layers.Activation("tanh")(layers.Flatten()(x))
    return keras.Model(image, layers.Dense(3)(x))


def test_a_network_of_many_operators(images: np.ndarray, tmp_path: Path) -> None:
    model = many_operators()
    expected = answers(model, images)
    for target in (
        {"convert_to": "neuralnetwork"},
        {"convert_to": "mlprogram", "compute_precision": ct.precision.FLOAT32},
    ):
        converted = convert(model, CARD, **target)
        kind = ".mlmodel" if target["convert_to"] == "neuralnetwork" else ".mlpackage"
        np.testing.assert_allclose(predicted(converted, tmp_path / f"model{kind}", images), expected, atol=1e-5)


def predicted(model: Any, path: Path, images: np.ndarray) -> np.ndarray:
    """Writes a model of coremltools and evaluates the file."""
    model.save(str(path))
    return coreml.predict(path, [images])


@pytest.mark.parametrize("layout", ["RGB", "BGR"])
@pytest.mark.parametrize("kind", KINDS)
def test_declared_preprocessing(exported: Exported, kind: str, layout: str, images: np.ndarray, tmp_path: Path) -> None:
    """Core ML computes scale * pixel + bias, with the channels in the order that the model asks for."""
    options = {"scale": 0.5, "bias": [3.0, 5.0, 7.0], "color_layout": getattr(ct.colorlayout, layout)}
    target = {"convert_to": "neuralnetwork"} if kind == ".mlmodel" else {"convert_to": "mlprogram"}
    converted = convert(exported.model, CARD, options, **target)
    ordered = images if layout == "RGB" else images[..., ::-1]
    expected = answers(exported.model, 0.5 * ordered + np.array([3.0, 5.0, 7.0]))
    got = predicted(converted, tmp_path / f"model{kind}", images)
    np.testing.assert_allclose(got, expected, atol=TOLERANCE[kind])


def test_biases_belong_to_colours(exported: Exported, images: np.ndarray, tmp_path: Path) -> None:
    """A scaler's biases are named by colour, a mean image lies as the network takes it."""

    def prepare(specification: Any) -> None:
        image = specification.description.input[0].type.imageType
        image.colorSpace = ct.proto.FeatureTypes_pb2.ImageFeatureType.BGR
        (step,) = specification.neuralNetworkClassifier.preprocessing
        step.scaler.channelScale = 0.5
        step.scaler.redBias, step.scaler.greenBias, step.scaler.blueBias = 3.0, 5.0, 7.0
        mean = np.broadcast_to(np.array([1.0, 2.0, 4.0]).reshape(3, 1, 1), (3, SIZE, SIZE))
        specification.neuralNetworkClassifier.preprocessing.add().meanImage.meanImage.extend(mean.reshape(-1))

    path = change(exported.path(".mlmodel"), tmp_path / "prepared.mlmodel", prepare)
    pixels = 0.5 * images[..., ::-1] + np.array([7.0, 5.0, 3.0]) - np.array([1.0, 2.0, 4.0])
    np.testing.assert_allclose(coreml.predict(path, [images]), answers(exported.model, pixels), atol=1e-5)


def test_programs_of_float16_are_rounded(exported: Exported, images: np.ndarray, tmp_path: Path) -> None:
    converted = convert(exported.model, CARD, convert_to="mlprogram", compute_precision=ct.precision.FLOAT16)
    exact = convert(exported.model, CARD, convert_to="mlprogram", compute_precision=ct.precision.FLOAT32)
    halves = predicted(converted, tmp_path / "halves.mlpackage", images)
    floats = predicted(exact, tmp_path / "floats.mlpackage", images)
    np.testing.assert_allclose(floats, exported.probabilities, atol=1e-6)
    assert 0 < np.abs(halves - floats).max() < TOLERANCE[".mlpackage"]
    np.testing.assert_array_equal(halves, halves.astype(np.float16), "the probabilities are float16 themselves")


def quantize(model: Any, **config: Any) -> Any:
    operation = ct.optimize.coreml.OpLinearQuantizerConfig(weight_threshold=0, **config)
    return ct.optimize.coreml.linear_quantize_weights(model, ct.optimize.coreml.OptimizationConfig(operation))


def palettize(model: Any, **config: Any) -> Any:
    operation = ct.optimize.coreml.OpPalettizerConfig(weight_threshold=0, mode="uniform", **config)
    return ct.optimize.coreml.palettize_weights(model, ct.optimize.coreml.OptimizationConfig(operation))


def prune(model: Any) -> Any:
    operation = ct.optimize.coreml.OpMagnitudePrunerConfig(target_sparsity=0.6, weight_threshold=0)
    return ct.optimize.coreml.prune_weights(model, ct.optimize.coreml.OptimizationConfig(operation))


def check_compressed(converted: Any, folder: Path, images: np.ndarray) -> None:
    """Compares a compressed package with the one that coremltools unpacks itself."""
    assert "constexpr_" in str(converted.get_spec())
    unpacked = ct.optimize.coreml.decompress_weights(converted)
    got = predicted(converted, folder / "made.mlpackage", images)
    np.testing.assert_allclose(got, predicted(unpacked, folder / "unpacked.mlpackage", images), atol=2e-3)


@pytest.fixture(scope="module")
def programs(exported: Exported) -> dict[str, Any]:
    return {
        name: convert(exported.model, CARD, convert_to="mlprogram", minimum_deployment_target=target)
        for name, target in (("iOS16", ct.target.iOS16), ("iOS18", ct.target.iOS18))
    }


@pytest.mark.parametrize(
    ("target", "kind", "config"),
    [
        ("iOS16", quantize, {"mode": "linear_symmetric"}),
        ("iOS16", quantize, {"mode": "linear", "dtype": "uint8"}),
        ("iOS16", palettize, {"nbits": 4}),
        ("iOS16", palettize, {"nbits": 6}),
        ("iOS16", palettize, {"nbits": 8}),
        ("iOS16", prune, {}),
        ("iOS18", quantize, {"dtype": "int4", "granularity": "per_block", "block_size": 4}),
        ("iOS18", palettize, {"nbits": 3, "granularity": "per_grouped_channel", "group_size": 4}),
        ("iOS18", prune, {}),
    ],
)
def test_compressed_programs(
    programs: dict[str, Any],
    images: np.ndarray,
    tmp_path: Path,
    target: str,
    kind: Callable[..., Any],
    config: dict[str, Any],
) -> None:
    check_compressed(kind(programs[target], **config), tmp_path, images)


@pytest.mark.parametrize(("bits", "mode", "nearness"), [(16, "linear", 1e-2), (8, "linear", 0.1), (4, "linear", None)])
def test_compressed_networks(
    exported: Exported, images: np.ndarray, tmp_path: Path, bits: int, mode: str, nearness: float | None
) -> None:
    model = ct.models.MLModel(str(exported.path(".mlmodel")), skip_model_load=True)
    specification = quantization_utils.quantize_weights(model, bits, mode).get_spec()
    path, unpacked = tmp_path / "made.mlmodel", tmp_path / "unpacked.mlmodel"
    path.write_bytes(specification.SerializeToString())
    got = coreml.predict(path, [images])
    if nearness is not None:
        np.testing.assert_allclose(got, exported.probabilities, atol=nearness)
    if bits < 16:
        quantization_utils._dequantize_nn_spec(specification.neuralNetworkClassifier)
        unpacked.write_bytes(specification.SerializeToString())
        np.testing.assert_allclose(got, coreml.predict(unpacked, [images]), atol=1e-5)


def test_batches_of_every_size_agree(exported: Exported) -> None:
    evaluator = coreml.load(exported.path(".mlmodel"))
    whole = evaluator(exported.images)
    single = np.concatenate([evaluator(exported.images[k : k + 1]) for k in range(3)])
    np.testing.assert_allclose(single, whole[:3], atol=1e-6)


@pytest.mark.parametrize("shape", [(2, SIZE, SIZE + 1, 3), (SIZE, SIZE, 3), (2, SIZE, SIZE, 1)])
def test_images_of_another_size(exported: Exported, shape: tuple[int, ...]) -> None:
    with pytest.raises(VerifyError, match=r"takes images \(32, 32, 3\), not"):
        coreml.predict(exported.path(".mlmodel"), [np.zeros(shape, np.uint8)])


def test_nan_predictions_are_refused(exported: Exported, images: np.ndarray, tmp_path: Path) -> None:
    def spoil(specification: Any) -> None:
        for layer in specification.neuralNetworkClassifier.layers:
            if layer.WhichOneof("layer") == "convolution":
                layer.convolution.weights.floatValue[0] = float("nan")

    path = change(exported.path(".mlmodel"), tmp_path / "spoilt.mlmodel", spoil)
    with pytest.raises(VerifyError, match="not finite numbers"):
        coreml.predict(path, [images])


def test_a_card_of_other_length(exported: Exported, tmp_path: Path) -> None:
    def drop(specification: Any) -> None:
        del specification.neuralNetworkClassifier.stringClassLabels.vector[-1]

    path = change(exported.path(".mlmodel"), tmp_path / "short.mlmodel", drop)
    assert coreml.labels(path) == CARD.classes[:2]
    with pytest.raises(VerifyError, match="3] probabilities for 2 classes"):
        coreml.load(path)


@pytest.mark.parametrize("kind", KINDS)
def test_labels_that_are_integers(exported: Exported, images: np.ndarray, kind: str, tmp_path: Path) -> None:
    card = dataclasses.replace(CARD, classes=(3, 10, 2))  # type: ignore[arg-type]
    converted = convert(exported.model, card, convert_to="neuralnetwork" if kind == ".mlmodel" else "mlprogram")
    path = tmp_path / f"model{kind}"
    got = predicted(converted, path, images)
    np.testing.assert_allclose(got, exported.probabilities, atol=TOLERANCE[kind])
    assert coreml.labels(path) == ("3", "10", "2")
