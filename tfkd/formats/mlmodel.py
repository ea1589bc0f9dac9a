"""Core ML's neural network, one file, from iOS 13 on."""

from types import MappingProxyType

from tfkd.formats import coreml
from tfkd.formats.base import FLOAT_GATES, HALF_GATES, QUANTIZED_GATES, Format, Precision
from tfkd.formats.families import COREML_FP16, COREML_FP32

_OLDEST = 13  # iOS

MLMODEL = Format(
    name="mlmodel",
    folder=coreml.FOLDER,
    recipe_field=coreml.RECIPE_FIELD,
    precisions=MappingProxyType(
        {
            "fp32": Precision(coreml.TOLERANCES, FLOAT_GATES, oldest_ios=_OLDEST),
            "fp16": Precision(coreml.TOLERANCES, HALF_GATES, oldest_ios=_OLDEST),
            "int8": Precision(coreml.TOLERANCES, QUANTIZED_GATES, oldest_ios=_OLDEST),
        }
    ),
    usual="fp32",
    writer=coreml.WRITER,
    check=coreml.CHECK,
    predict=coreml.PREDICT,
    requirements="tfkd.verification.requirements:of_mlmodel",
    stored=(COREML_FP32,),
    # A neural network is run in float32 on the CPU, and in float16 on the GPU and the Neural Engine.
    delegates=MappingProxyType({"cpuOnly": (COREML_FP32,)}),
    any_delegate=(COREML_FP32, COREML_FP16),
    newest_ios=14,
    code=coreml.CODE,
    library=coreml.LIBRARY,
    tags=coreml.TAGS,
)
