"""ONNX, from which TensorRT builds engines for NVIDIA GPUs."""

from types import MappingProxyType

from tfkd.formats.base import FLOAT_GATES, Format, Precision
from tfkd.formats.families import ONNXRUNTIME

ONNX = Format(
    name="onnx",
    folder="onnx",
    recipe_field="onnx",
    precisions=MappingProxyType({"fp32": Precision({ONNXRUNTIME: 1e-4}, FLOAT_GATES)}),
    usual="fp32",
    writer="tfkd.writers.onnx:write",
    check="tfkd.verification.onnx:check",
    predict="tfkd.verification.onnx:predict",
    stored=(ONNXRUNTIME,),
    modules=("onnx", "onnxruntime", "tf2onnx"),
    extra="onnx",
    library="onnx",
    tags=("onnx",),
)
