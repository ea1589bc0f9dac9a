"""A network trained with rounding predicts as its int8 file."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter

from tests.compress.conftest import STUDENT, settled_student
from tfkd.compress import qat
from tfkd.compress.tf_keras_copy import copy_layer_by_layer, pass_weights, student_copy
from tfkd.errors import RequestError
from tfkd.inputs.image.tensors import signature
from tfkd.models import build_student
from tfkd.recipe import QuantizationAware, Student
from tfkd.verification.tflite import delegation

pytestmark = pytest.mark.slow

QAT = QuantizationAware()


def converted(network: Any, folder: Path) -> Path:
    qat.save(network, folder / "quantized")
    converter = tf.lite.TFLiteConverter.from_saved_model(str(folder / "quantized"))
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.inference_input_type = converter.inference_output_type = tf.uint8
    (folder / "int8.tflite").write_bytes(converter.convert())
    return folder / "int8.tflite"


@pytest.mark.parametrize(
    "changes",
    [
        {"activation": "hard_swish"},
        {"activation": "silu"},
        # Paddings, and an offset per colour; a dense layer with batch normalisation.
        {"model": "mobilenet_v2", "width": 0.25, "activation": "relu6"},
        {"model": "mobilenet_v4_conv_small", "width": 0.25, "activation": "relu"},
    ],
)
def test_the_int8_file_predicts_as_the_trained_network(
    changes: dict[str, Any], pixels: np.ndarray, train: Callable[..., Any], tmp_path: Path
) -> None:
    recipe = STUDENT.model_copy(update=changes)
    prepared = qat.prepare(student_copy(recipe, settled_student(recipe, pixels)), QAT, 3, ())
    trained = train(prepared, 3)
    file = converted(prepared.network, tmp_path)
    found = delegation(file)
    assert found.partitions == 1
    assert set(found.outside) == {"QUANTIZE"}  # at the ends: uint8 to int8 and back
    interpreter = Interpreter(str(file))
    interpreter.allocate_tensors()
    (image_input,), (made_of,) = interpreter.get_input_details(), interpreter.get_output_details()
    assert image_input["quantization"] == (1 / 128, 128)
    scale, zero = made_of["quantization"]
    for image, expected in zip(pixels, trained(pixels).numpy(), strict=True):
        interpreter.set_tensor(image_input["index"], image[None].astype(np.uint8))
        interpreter.invoke()
        answer = (interpreter.get_tensor(made_of["index"])[0].astype(np.float64) - zero) * scale
        np.testing.assert_allclose(answer, expected, atol=2.01 * scale)


def test_every_tensor_of_the_int8_file_has_one_range(student: Any) -> None:
    outputs = qat._rounded_outputs(student_copy(STUDENT, student))
    fused = {"stem", "expand", "depthwise", "project", "left", "right", "gate_shift", "image", "gate_reshape"}
    assert not fused & outputs.keys()
    assert {"stem_act", "gate_clip", "gate_scale", "excite", "logits", "concatenate"} <= {
        name.rstrip("_0123456789") for name in outputs
    }
    assert outputs["excite"] == pytest.approx(3 / 64)


def test_the_float_weights_are_those_that_were_trained(
    student: Any, pixels: np.ndarray, train: Callable[..., Any]
) -> None:
    before = student(pixels).numpy()
    prepared = qat.prepare(student_copy(STUDENT, student), QAT, 1, ())
    rounded = train(prepared, 1, learning_rate=1e-9)(pixels).numpy()
    pass_weights(prepared.weights(), student)
    np.testing.assert_allclose(student(pixels), before, rtol=1e-3, atol=1e-5)
    noise, signal = (rounded - before).std(), before.std()
    assert 0 < noise < 0.1 * signal


def test_real_students_are_supported() -> None:
    for model in ("mobilenet_v3_small", "mobilenet_v2", "mobilenet_v4_conv_small", "squeezenet_1_1"):
        recipe = Student(model=model, width=0.35)
        copy = student_copy(recipe, build_student(recipe, signature(32), 5, seed=1))
        kernels = [layer for layer in copy.layers if hasattr(layer, "kernel") or hasattr(layer, "depthwise_kernel")]
        assert len(qat._rounded_outputs(copy)) >= len(kernels) // 2


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([keras.layers.Rescaling(1 / 128, -1), keras.layers.Dense(4, activation="tanh", name="odd")], "'tanh'"),
        ([keras.layers.Rescaling(1 / 128, -1), keras.layers.Softmax(name="odd")], "support Softmax .layer 'odd'"),
        ([keras.layers.Rescaling(1 / 255)], "begin with Rescaling"),
        ([keras.layers.Conv2D(4, 1)], "not with Conv2D"),
    ],
)
def test_a_layer_that_int8_does_not_support_is_named(layers: list[Any], message: str) -> None:
    pooled = [keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(2)]
    model = keras.Sequential([keras.Input((32, 32, 3)), *layers, *pooled])
    with pytest.raises(RequestError, match=message):
        qat.prepare(copy_layer_by_layer(model), QAT, 1, ())
