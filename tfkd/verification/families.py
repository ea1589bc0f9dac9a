"""Runtime families: runtimes that compute a file's probabilities alike, so that the same golden answers hold for them.

LiteRT computes int8 and dynamic files differently under XNNPACK and with its own kernels, and Core ML computes in
float32 or in float16; within a family, versions and processors differ by rounding alone. How far they differ was
measured by tools/benchmarks/runtime_families.py (docs/evidence/runtime_families.json); the tolerances here are larger
than that and are the widest that pass, whatever a bundle says.
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

_OF_DELEGATE = {"xnnpack": (XNNPACK,), "gpu": (LITERT_GPU,), "npu": (LITERT_NPU,)}
_CPU_ONLY = "cpuOnly"  # Core ML runs a neural network in float32 there, and in float16 on the GPU and the Neural Engine


@dataclass(frozen=True)
class Family:
    """Runtimes that compute alike.

    Attributes:
        title: in sentences.
        formats: that they run.
        tolerances: by precision of a file, the largest difference of a probability between two of the runtimes.
        other: the same for precisions that `tolerances` does not name; `dynamic` among those of LiteRT.
        options: of the format's `predict` in tfkd.verification, which make it compute as this family; None where only a
            device can.
        stands_in: the family whose golden answers are compared with where a bundle has none of this one.
    """

    title: str
    formats: tuple[str, ...]
    tolerances: Mapping[str, float]
    other: float
    options: Mapping[str, bool] | None = field(default_factory=lambda: MappingProxyType({}))
    stands_in: str | None = None

    def tolerance(self, precision: str) -> float:
        """Returns the largest difference of a probability that passes for a file of a precision."""
        return self.tolerances.get(precision, self.other)


_LITERT = {"fp32": 1e-4, "fp16": 1e-4, "int8": 2 / 256, "16x8": 2 / 256}

FAMILIES: Mapping[str, Family] = MappingProxyType(
    {
        XNNPACK: Family("LiteRT with XNNPACK", ("tflite",), _LITERT, 4e-2),
        LITERT_KERNELS: Family(
            "LiteRT's own kernels", ("tflite",), _LITERT, 6e-2, MappingProxyType({"own_kernels": True})
        ),
        # Computes in float16 where the device has it.
        LITERT_GPU: Family("LiteRT's GPU accelerator", ("tflite",), {}, 3e-2, None, XNNPACK),
        LITERT_NPU: Family("LiteRT's NPU accelerator", ("tflite",), {}, 3e-2, None, XNNPACK),
        COREML_FP32: Family("Core ML in float32", ("mlmodel", "mlpackage"), {}, 1e-4),
        COREML_FP16: Family("Core ML in float16", ("mlmodel", "mlpackage"), {}, 3e-2, stands_in=COREML_FP32),
        ONNXRUNTIME: Family("ONNX Runtime on the CPU", ("onnx",), {}, 1e-4),
    }
)
"""The one table of families: a new one is a row here, and a branch in `stored` where bundles hold its answers."""


def stored(format: str, precision: str) -> tuple[str, ...]:
    """Returns the families whose golden answers a bundle holds of a file, the reference first."""
    if format == "tflite":
        return (XNNPACK, LITERT_KERNELS)
    if format == "onnx":
        return (ONNXRUNTIME,)
    return (COREML_FP32,) if format == "mlmodel" or precision == "fp32" else (COREML_FP16,)


def accepted(format: str, precision: str, delegate: str) -> tuple[str, ...]:
    """Returns the families that a device's runtime can be, the likeliest first.

    Args:
        format: of the file.
        precision: of the file.
        delegate: what runs the graph, as in results of `tfkd bench`: xnnpack, cpu, gpu, npu, or Core ML's units.
    """
    if format == "tflite":
        return _OF_DELEGATE.get(delegate, (XNNPACK, LITERT_KERNELS))
    if format == "mlmodel" and delegate != _CPU_ONLY:
        return (COREML_FP32, COREML_FP16)
    return stored(format, precision)


def tolerances(format: str, precision: str) -> dict[str, float]:
    """Returns what the manifest states of a file: by family, the largest difference of a probability that passes."""
    return {name: family.tolerance(precision) for name, family in FAMILIES.items() if format in family.formats}
