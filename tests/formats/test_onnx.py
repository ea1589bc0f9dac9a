"""ONNX's record."""

from tests.formats.facts import FormatFacts
from tfkd.formats.onnx import ONNX

FACTS = FormatFacts(files={"onnx": "onnx/tiny.onnx"}, errors={"onnx": 1e-6}, runtimes={"onnx": None})


def test_only_onnxruntime_runs_it() -> None:
    assert ONNX.stored_families("fp32") == ONNX.accepted_families("fp32", "cpu") == ("onnxruntime",)
    assert ONNX.ios("fp32", 17) is None
