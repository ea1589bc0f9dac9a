"""The files are read here with LiteRT's bare interpreter and schema, not with tfkd.verify."""

import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

from tfkd.errors import RequestError
from tfkd.export.tflite import write_tflite

from .conftest import CARD, SIZE, Exported, make_model

PRECISIONS = ["fp32", "fp16", "dynamic", "int8"]


def run(path: Path, images: np.ndarray) -> np.ndarray:
    interpreter = Interpreter(model_path=str(path), num_threads=1)
    signature = interpreter.get_signature_runner("serving_default")
    details = signature.get_input_details()["image"]
    return np.concatenate([signature(image=image[None].astype(details["dtype"]))["probabilities"] for image in images])


@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 1e-5), ("fp16", 2e-3), ("dynamic", 0.03)])
def test_float_files_agree_with_keras(exported: Exported, precision: str, tolerance: float) -> None:
    answers = run(exported.path(f"_{precision}.tflite"), exported.images)
    assert np.abs(answers - exported.probabilities).max() < tolerance
    assert np.ptp(exported.probabilities) > 0.3, "a model that always answers the same would prove nothing"


def test_int8_takes_pixels_as_they_are(exported: Exported) -> None:
    path = exported.path("_int8.tflite")
    interpreter = Interpreter(model_path=str(path))
    (given,), (made,) = interpreter.get_input_details(), interpreter.get_output_details()
    assert (given["dtype"], given["quantization"]) == (np.uint8, (1.0, 0))
    assert (made["dtype"], made["quantization"]) == (np.uint8, (1 / 256, 0))
    answers = run(path, exported.images) / 256
    assert np.abs(answers - exported.probabilities).max() < 0.05


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
    with pytest.raises(RequestError, match="has 4 outputs for 3 class names"):
        write_tflite(make_model(classes=4), "fp32", tmp_path / "x.tflite", CARD, images)
