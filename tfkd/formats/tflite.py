"""TensorFlow Lite, which LiteRT runs on Android and elsewhere."""

from types import MappingProxyType

from tfkd.formats.base import FLOAT_GATES, HALF_GATES, QUANTIZED_GATES, AppCode, Format, Precision
from tfkd.formats.families import LITERT_GPU, LITERT_KERNELS, LITERT_NPU, XNNPACK

_ACCELERATED = {LITERT_GPU: 3e-2, LITERT_NPU: 3e-2}  # they compute in float16 where the device has it
_FLOAT = {XNNPACK: 1e-4, LITERT_KERNELS: 1e-4} | _ACCELERATED
_DYNAMIC = {XNNPACK: 4e-2, LITERT_KERNELS: 6e-2} | _ACCELERATED
_INTEGER = {XNNPACK: 2 / 256, LITERT_KERNELS: 2 / 256} | _ACCELERATED
_WHOLE = ("one_partition",)  # what XNNPACK makes of other precisions is reported, not judged

TFLITE = Format(
    name="tflite",
    folder="android",
    recipe_field="tflite",
    precisions=MappingProxyType(
        {
            "fp32": Precision(_FLOAT, FLOAT_GATES + _WHOLE),
            "fp16": Precision(_FLOAT, HALF_GATES + _WHOLE),
            "dynamic": Precision(_DYNAMIC, QUANTIZED_GATES),
            "int8": Precision(
                _INTEGER, QUANTIZED_GATES + _WHOLE, shipped=True, from_qat="tfkd.writers.tflite:write_quantized"
            ),
            "16x8": Precision(_INTEGER, QUANTIZED_GATES),
        }
    ),
    writer="tfkd.writers.tflite:write",
    score_threshold="tfkd.writers.tflite:write_score_threshold",
    check="tfkd.verification.tflite:check",
    predict="tfkd.verification.tflite:predict",
    requirements="tfkd.verification.requirements:of_tflite",
    accelerators="tfkd.verification.delegates:accelerators",
    stored=(XNNPACK, LITERT_KERNELS),
    delegates=MappingProxyType({"xnnpack": (XNNPACK,), "gpu": (LITERT_GPU,), "npu": (LITERT_NPU,)}),
    timed=True,
    code=(
        AppCode("litert", "litert.kt.j2", "{type}Classifier.kt"),
        AppCode("mediapipe", "mediapipe.kt.j2", "{type}Tasks.kt"),
        AppCode("litert", "litert_text.kt.j2", "{type}Classifier.kt", "text"),
        AppCode("mediapipe", "mediapipe_text.kt.j2", "{type}Tasks.kt", "text"),
        AppCode("litert", "litert_table.kt.j2", "{type}Classifier.kt", "table"),
        AppCode("tokenizer", "tokenizer.kt.j2", "{type}Tokenizer.kt", "text"),
        AppCode("counter", "counter.kt.j2", "{type}Counter.kt"),
        AppCode("counter", "counter.kt.j2", "{type}Counter.kt", "text"),
        AppCode("counter", "counter.kt.j2", "{type}Counter.kt", "table"),
    ),
    library="litert",
    tags=("tflite", "litert", "android"),
)
