"""Runtime families: runtimes whose predictions differ only by rounding, so that they share golden predictions.

LiteRT computes int8 and dynamic files differently under XNNPACK and with its own kernels, and Core ML computes in
float32 or in float16; within a family, versions and processors differ only by rounding. The differences were measured
by tools/benchmarks/runtime_families.py (docs/evidence/runtime_families.json). The tolerances in the records of the
formats are larger; a bundle can only narrow them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

XNNPACK = "xnnpack"
LITERT_KERNELS = "litert_kernels"
LITERT_GPU = "litert_gpu"
LITERT_NPU = "litert_npu"
COREML_FP32 = "coreml_fp32"
COREML_FP16 = "coreml_fp16"
ONNXRUNTIME = "onnxruntime"


@dataclass(frozen=True)
class Family:
    """Runtimes whose predictions differ only by rounding.

    Attributes:
        title: name in sentences.
        options: options of a format's `predict` that make it compute as this family; None if only a device can.
        stands_in: family to compare with if a bundle has no golden predictions of this one.
    """

    title: str
    options: Mapping[str, bool] | None = field(default_factory=lambda: MappingProxyType({}))
    stands_in: str | None = None


FAMILIES: Mapping[str, Family] = MappingProxyType(
    {
        XNNPACK: Family("LiteRT with XNNPACK"),
        LITERT_KERNELS: Family("LiteRT's own kernels", MappingProxyType({"own_kernels": True})),
        LITERT_GPU: Family("LiteRT's GPU accelerator", None, XNNPACK),
        LITERT_NPU: Family("LiteRT's NPU accelerator", None, XNNPACK),
        COREML_FP32: Family("Core ML in float32"),
        COREML_FP16: Family("Core ML in float16", stands_in=COREML_FP32),
        ONNXRUNTIME: Family("ONNX Runtime on the CPU"),
    }
)
"""The one table of families; the formats that a family runs name it in their tolerances."""
