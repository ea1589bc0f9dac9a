"""Core ML's ML program, a folder, from iOS 15 on; with compressed weights from iOS 16 on."""

from types import MappingProxyType

from tfkd.formats import coreml
from tfkd.formats.base import FLOAT_GATES, HALF_GATES, QUANTIZED_GATES, Format, Precision
from tfkd.formats.families import COREML_FP16, COREML_FP32

_PROGRAMS, _COMPRESSED = 15, 16  # the iOS that brought them

MLPACKAGE = Format(
    name="mlpackage",
    folder=coreml.FOLDER,
    recipe_field=coreml.RECIPE_FIELD,
    precisions=MappingProxyType(
        {
            "fp16": Precision(coreml.TOLERANCES, HALF_GATES, oldest_ios=_PROGRAMS, shipped=True),
            "fp32": Precision(coreml.TOLERANCES, FLOAT_GATES, stored=(COREML_FP32,), oldest_ios=_PROGRAMS),
            "int8": Precision(coreml.TOLERANCES, QUANTIZED_GATES, oldest_ios=_COMPRESSED),
            # These change predictions on purpose, so that only their accuracy is judged.
            "palette6": Precision(coreml.TOLERANCES, (), oldest_ios=_COMPRESSED),
            "palette4": Precision(coreml.TOLERANCES, (), oldest_ios=_COMPRESSED),
            "pruned": Precision(coreml.TOLERANCES, (), oldest_ios=_COMPRESSED),
        }
    ),
    usual="fp16",  # the only type that Apple's Neural Engine computes in
    writer=coreml.WRITER,
    check=coreml.CHECK,
    predict=coreml.PREDICT,
    requirements="tfkd.verification.requirements:of_mlpackage",
    stored=(COREML_FP16,),
    is_folder=True,
    code=coreml.CODE,
    library=coreml.LIBRARY,
    tags=coreml.TAGS,
)
