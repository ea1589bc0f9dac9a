"""The predictions are read here with LiteRT's bare interpreter and schema, not with tfkd.verification."""

import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

from tests.writers.conftest import CARD, SIGNATURE, SIZE, Exported, make_model
from tfkd.errors import RequestError
from tfkd.verification.tflite import delegation
from tfkd.writers.flatbuffer import TfliteNetwork
from tfkd.writers.tflite import write_quantized, write_tflite

PRECISIONS = ["fp32", "fp16", "dynamic", "int8"]


def softmax(exported: Exported, images: np.ndarray) -> np.ndarray:
    import tensorflow as tf

    return tf.nn.softmax(exported.model(images.astype(np.float32), training=False)).numpy()


def error(exported: Exported, answers: np.ndarray) -> float:
    """Mean difference of uint8 predictions from the Keras model's probabilities."""
    return float(np.abs(answers / 256 - exported.probabilities).mean())


def run(path: Path, images: np.ndarray) -> np.ndarray:
    interpreter = Interpreter(model_path=str(path), num_threads=1)
    signature = interpreter.get_signature_runner("serving_default")
    details = signature.get_input_details()["image"]
    return np.concatenate([signature(image=image[None].astype(details["dtype"]))["probabilities"] for image in images])


@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 1e-5), ("fp16", 2e-3), ("dynamic", 0.03)])
def test_float_files_agree_with_keras(exported: Exported, precision: str, tolerance: float) -> None:
    answers = run(exported.path(f"_{precision}.tflite"), exported.images)
    assert np.abs(answers - exported.probabilities).max() < tolerance
    assert np.ptp(exported.probabilities) > 0.3, "equal predictions would prove nothing"


def test_int8_takes_pixels_as_they_are(exported: Exported) -> None:
    path = exported.path("_int8.tflite")
    interpreter = Interpreter(model_path=str(path))
    (given,), (made,) = interpreter.get_input_details(), interpreter.get_output_details()
    assert (given["dtype"], given["quantization"]) == (np.uint8, (1 / 128, 128)), "the rescale x/128 - 1 is folded in"
    assert (made["dtype"], made["quantization"]) == (np.uint8, (1 / 256, 0))
    answers = run(path, exported.images) / 256
    assert np.abs(answers - exported.probabilities).max() < 0.05


def test_signed_bytes_are_the_unsigned_ones_less_128(exported: Exported, tmp_path: Path) -> None:
    write_tflite(exported.model, "int8", tmp_path / "x.tflite", CARD, exported.images, io="int8")
    interpreter = Interpreter(model_path=str(tmp_path / "x.tflite"))
    (given,), (made,) = interpreter.get_input_details(), interpreter.get_output_details()
    assert (given["dtype"], given["quantization"]) == (np.int8, (1 / 128, 0))
    assert (made["dtype"], made["quantization"]) == (np.int8, (1 / 256, -128))
    signed = run(tmp_path / "x.tflite", exported.images.astype(np.int16) - 128)
    np.testing.assert_array_equal(signed.astype(np.int16) + 128, run(exported.path("_int8.tflite"), exported.images))


def test_16x8_is_closer_to_keras_than_int8(exported: Exported, tmp_path: Path) -> None:
    write_tflite(exported.model, "16x8", tmp_path / "x.tflite", CARD, exported.images)
    wide, narrow = (run(path, exported.images) for path in (tmp_path / "x.tflite", exported.path("_int8.tflite")))
    # What is left of the error is that of rounding to 1/256: a quarter of a step on average.
    assert error(exported, wide) < 1.1 / 1024 < 1.3 / 1024 < error(exported, narrow)
    assert delegation(tmp_path / "x.tflite").partitions > 1, "docs say that XNNPACK has no such operators"


def test_least_squares_clip_rare_values(exported: Exported, tmp_path: Path) -> None:
    noise = np.random.default_rng(3).normal(128, 30, (20, SIZE, SIZE, 3)).clip(0, 255).astype(np.uint8)
    scales = []
    for ranges in ("min_max", "mse"):
        write_tflite(exported.model, "int8", tmp_path / "x.tflite", CARD, noise, ranges=ranges)
        assert np.abs(run(tmp_path / "x.tflite", noise) / 256 - softmax(exported, noise)).max() < 0.05
        tensors = TfliteNetwork((tmp_path / "x.tflite").read_bytes()).graph.tensors
        scales.append(
            {each.name: each.quantization.scale[0] for each in tensors if each.type == schema.TensorType.INT8}
        )
    assert scales[0].keys() == scales[1].keys()
    ratios = [scales[1][name] / scale for name, scale in scales[0].items()]
    assert max(ratios) == pytest.approx(1.0)
    assert min(ratios) < 0.99


def test_chosen_operators_stay_in_float(exported: Exported, tmp_path: Path) -> None:
    write_tflite(
        exported.model, "int8", tmp_path / "x.tflite", CARD, exported.images, float_layers=["depthwise_conv2d"]
    )
    network = TfliteNetwork((tmp_path / "x.tflite").read_bytes())
    (chosen,) = [each for each in network.graph.operators if network.kind(each) == "DEPTHWISE_CONV_2D"]
    others = [each for each in network.graph.operators if network.kind(each) == "CONV_2D"]
    assert {network.dtype(int(tensor)) for tensor in [*chosen.inputs, *chosen.outputs]} == {np.dtype(np.float32)}
    assert [network.dtype(int(each.outputs[0])) for each in others] == [np.dtype(np.int8)] * 2
    assert error(exported, run(tmp_path / "x.tflite", exported.images)) < 0.05
    assert (delegation(tmp_path / "x.tflite").partitions, delegation(tmp_path / "x.tflite").outside) == (1, [])


def test_a_wrong_operator_is_named(exported: Exported, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"export\.float_layers: no operator .* 'logitz' in its name"):
        write_tflite(exported.model, "int8", tmp_path / "x.tflite", CARD, exported.images, float_layers=["logitz"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ranges": "mean"}, "There are no ranges 'mean'"),
        ({"io": "int9"}, "cannot take 'int9'. Did you mean 'int8'?"),
    ],
)
def test_wrong_options_name_the_nearest(
    exported: Exported, tmp_path: Path, options: dict[str, str], message: str
) -> None:
    with pytest.raises(RequestError, match=re.escape(message)):
        write_tflite(exported.model, "int8", tmp_path / "x.tflite", CARD, exported.images[:1], **options)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_signature_is_named_and_static(exported: Exported, precision: str) -> None:
    interpreter = Interpreter(model_path=str(exported.path(f"_{precision}.tflite")))
    assert interpreter.get_signature_list() == {"serving_default": {"inputs": ["image"], "outputs": ["probabilities"]}}
    assert interpreter.get_input_details()[0]["shape_signature"].tolist() == [1, SIZE, SIZE, 3]
    assert interpreter.get_output_details()[0]["shape_signature"].tolist() == [1, 3]


def test_weights_are_in_the_file(exported: Exported) -> None:
    """Converting a Keras 3 model's concrete function writes READ_VARIABLE and no weights, without an error."""
    path = exported.path("_fp32.tflite")
    interpreter = Interpreter(model_path=str(path))
    names = {operator["op_name"] for operator in interpreter._get_ops_details()}
    assert not names & {"READ_VARIABLE", "VAR_HANDLE"}
    assert path.stat().st_size > 4 * sum(int(np.prod(weight.shape)) for weight in exported.model.trainable_weights)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_labels_are_packed_in(exported: Exported, precision: str) -> None:
    with zipfile.ZipFile(exported.path(f"_{precision}.tflite")) as archive:
        assert archive.namelist() == ["labels.txt"]
        assert archive.read("labels.txt").decode() == "cat\ndog\ngrößerer Hund\n"


def test_buffers_stay_aligned(exported: Exported) -> None:
    """The schema asks for 16 bytes; NEON code may load weights on that promise."""
    content = exported.path("_fp32.tflite").read_bytes()
    model = schema.Model.GetRootAsModel(content, 0)
    base = np.frombuffer(content, np.uint8).ctypes.data
    buffers = [model.Buffers(index) for index in range(model.BuffersLength())]
    offsets = [buffer.DataAsNumpy().ctypes.data - base for buffer in buffers if buffer.DataLength()]
    assert len(offsets) > 5
    assert [offset % 16 for offset in offsets] == [0] * len(offsets)


def test_equal_exports_give_equal_bytes(exported: Exported, tmp_path: Path) -> None:
    write_tflite(exported.model, "int8", tmp_path / "again.tflite", CARD, exported.images)
    assert (tmp_path / "again.tflite").read_bytes() == exported.path("_int8.tflite").read_bytes()


@pytest.mark.parametrize(
    ("calibration", "message"),
    [
        (np.zeros((2, 16, 16, 3), np.uint8), r"uint8 \[n, 32, 32, 3\], not uint8 \(2, 16, 16, 3\)"),
        (np.zeros((2, SIZE, SIZE, 3), np.float32), "not float32"),
        (np.zeros((0, SIZE, SIZE, 3), np.uint8), "at least one calibration image"),
    ],
)
def test_wrong_calibration_is_refused(
    exported: Exported, tmp_path: Path, calibration: np.ndarray, message: str
) -> None:
    with pytest.raises(RequestError, match=message):
        write_tflite(exported.model, "int8", tmp_path / "x.tflite", CARD, calibration)
    assert not list(tmp_path.iterdir())


def test_unknown_precision_names_the_nearest(exported: Exported, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=re.escape("There is no TFLite precision 'int88'. Did you mean 'int8'?")):
        write_tflite(exported.model, "int88", tmp_path / "x.tflite", CARD, exported.images)


def test_an_operator_that_tflite_lacks_is_one_line(tmp_path: Path, images: np.ndarray) -> None:
    import keras

    image = keras.Input((SIZE, SIZE, 3))
    x = keras.layers.GlobalAveragePooling2D()(image)
    model = keras.Model(image, keras.ops.erfinv(keras.layers.Dense(3)(x)))
    with pytest.raises(RequestError, match=r"x\.tflite: TensorFlow cannot convert the model to fp32: ") as caught:
        write_tflite(model, "fp32", tmp_path / "x.tflite", CARD, images)
    assert "\n" not in str(caught.value)


def test_a_model_of_another_shape_is_refused(tmp_path: Path, images: np.ndarray) -> None:
    import keras

    flat = keras.Sequential([keras.Input((8,)), keras.layers.Dense(3)])
    with pytest.raises(RequestError, match="not one square RGB image"):
        write_tflite(flat, "fp32", tmp_path / "x.tflite", CARD, images)
    any_size = keras.Sequential([keras.Input((None, None, 3)), keras.layers.GlobalAveragePooling2D()])
    with pytest.raises(RequestError, match=r"build it for one size: keras\.Input\(\(S, S, 3\)\)"):
        write_tflite(any_size, "fp32", tmp_path / "x.tflite", CARD, images)
    with pytest.raises(RequestError, match="has 4 outputs for 3 class names"):
        write_tflite(make_model(classes=4), "fp32", tmp_path / "x.tflite", CARD, images)


def save_trained_with_quantization(folder: Path, ranges: bool = True, classes: int = 3) -> Any:
    """Saves a network whose weights and activations are rounded as quantization-aware training does it."""
    import tensorflow as tf

    rng = np.random.default_rng(2)
    kernel = rng.normal(0, 0.3, (3, 3, 3, 8)).astype(np.float32)
    head = rng.normal(0, 3, (8, classes)).astype(np.float32)

    def rounded(x: Any, low: float, high: float) -> Any:
        return tf.quantization.fake_quant_with_min_max_args(x, low, high) if ranges else x

    def weights(x: np.ndarray) -> Any:
        limit = np.abs(x).reshape(-1, x.shape[-1]).max(axis=0)
        rounding = tf.quantization.fake_quant_with_min_max_vars_per_channel
        return rounding(x, -limit, limit, narrow_range=True) if ranges else x

    def whole(x: np.ndarray) -> Any:
        limit = np.abs(x).max()
        return tf.quantization.fake_quant_with_min_max_vars(x, -limit, limit, narrow_range=True) if ranges else x

    @tf.function(input_signature=[tf.TensorSpec([1, SIZE, SIZE, 3], tf.float32)])
    def network(image: Any) -> Any:
        x = tf.nn.conv2d(rounded(image, -1.0, 127 / 128), weights(kernel), 2, "SAME")
        x = rounded(tf.nn.relu6(x), 0.0, 6.0)
        x = rounded(tf.reduce_mean(x, [1, 2]), 0.0, 3.0)
        return rounded(tf.matmul(x, whole(head)), -8.0, 8.0)

    module = tf.Module()
    module.network = network
    tf.saved_model.save(module, str(folder), signatures={"serving_default": network})
    return network


def test_trained_ranges_are_kept(tmp_path: Path, images: np.ndarray) -> None:
    network = save_trained_with_quantization(tmp_path / "model")
    write_quantized(tmp_path / "model", tmp_path / "x.tflite", CARD, SIGNATURE)
    (given,) = Interpreter(model_path=str(tmp_path / "x.tflite")).get_input_details()
    assert (given["dtype"], given["quantization"]) == (np.uint8, (1 / 128, 128))
    logits = np.concatenate([network(image[None] / np.float32(128) - 1) for image in images])
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert np.ptp(expected) > 0.2
    # One step of the logits, 16/255, moves a probability by at most a quarter of it.
    assert np.abs(run(tmp_path / "x.tflite", images) / 256 - expected).max() < 16 / 255 / 4 + 1 / 256
    assert (delegation(tmp_path / "x.tflite").partitions, delegation(tmp_path / "x.tflite").outside) == (1, [])


def test_a_wrong_quantized_model_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="There is no SavedModel at"):
        write_quantized(tmp_path / "nothing", tmp_path / "x.tflite", CARD, SIGNATURE)
    save_trained_with_quantization(tmp_path / "float", ranges=False)
    with pytest.raises(RequestError, match="holds no ranges of activations"):
        write_quantized(tmp_path / "float", tmp_path / "x.tflite", CARD, SIGNATURE)
    save_trained_with_quantization(tmp_path / "more", classes=5)
    with pytest.raises(RequestError, match=r"maps \(1, 32, 32, 3\) to \(1, 5\), not \(1, 32, 32, 3\) to \(1, 3\)"):
        write_quantized(tmp_path / "more", tmp_path / "x.tflite", CARD, SIGNATURE)
    assert not (tmp_path / "x.tflite").exists()
