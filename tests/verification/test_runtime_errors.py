"""Files that LiteRT does not load: the message keeps its cause."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf
from ai_edge_litert import schema_py_generated as schema

from tests.verification.conftest import SIZE, Exported
from tfkd.cli import execute
from tfkd.verification import VerifyError, runtime_errors, tflite
from tfkd.writers.flatbuffer import TfliteNetwork


@pytest.fixture(scope="module")
def flex(tmp_path_factory: pytest.TempPathFactory) -> Path:
    specification = tf.TensorSpec([1, SIZE, SIZE, 3], tf.float32)
    function = tf.function(lambda image: tf.image.adjust_hue(image, 0.1)).get_concrete_function(specification)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function])
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS, tf.lite.OpsSet.SELECT_TF_OPS]
    path = tmp_path_factory.mktemp("flex") / "flex.tflite"
    path.write_bytes(converter.convert())
    return path


def test_tensorflows_operator_is_named(flex: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = r"needs TensorFlow's operator AdjustHue \(Flex\), which LiteRT alone does not run"
    with pytest.raises(VerifyError, match=told):
        tflite.load(flex)
    assert execute(["inspect", str(flex)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "needs TensorFlow's operator AdjustHue (Flex)" in line


def newer(code: Any) -> None:
    code.version = 99


def custom(code: Any) -> None:
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM
    code.customCode = b"MyDetector"


def unknown(code: Any) -> None:
    code.builtinCode, code.deprecatedBuiltinCode = 230, 127


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (newer, r"needs version 99 of the operator CONV_2D, .*; the file states TensorFlow Lite [\d.]+ or newer\.$"),
        (custom, r"needs the custom operator MyDetector, which LiteRT does not have; .* custom operators\.$"),
        (unknown, r"needs the operator of number 230, .*; the file states TensorFlow Lite [\d.]+ or newer\.$"),
    ],
)
def test_the_operator_is_named(exported: Exported, tmp_path: Path, change: Callable[[Any], None], told: str) -> None:
    network = TfliteNetwork(exported.path("_fp32.tflite").read_bytes())
    (code,) = (each for each in network.model.operatorCodes if each.builtinCode == schema.BuiltinOperator.CONV_2D)
    change(code)
    path = tmp_path / "x.tflite"
    path.write_bytes(network.packed())
    for read in (tflite.io, tflite.delegation, lambda path: tflite.predict(path, [])):
        with pytest.raises(VerifyError, match=told):
            read(path)


def test_an_unknown_error_keeps_the_runtimes_text() -> None:
    said = "tensorflow/lite/kernels/conv.cc:351 input->type != filter->type. Node number 3 (CONV_2D) failed to prepare."
    assert runtime_errors.reason(said) == f"cannot be loaded by LiteRT: {said.removesuffix('.')}"
