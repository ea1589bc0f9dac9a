"""What the accelerators of a phone would take of a .tflite file, by rules that were published.

No phone is needed and none is simulated: every rule comes from a document or from the source of the delegate, and is
listed with its address. If no published rule mentions an operator, the result is "not stated". XNNPACK is not here,
because it is measured (`tfkd.verification.tflite.delegation`).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tfkd.verification.operators import Operator, read
from tfkd.verification.records import Accelerator

DelegateVerdict = Literal["left out", "not stated"]

_SOURCE = "https://github.com/tensorflow/tensorflow/blob/{}/tensorflow/lite/{}"


@dataclass(frozen=True)
class DelegateFinding:
    """Why a delegate would not take an operator, and what to change.

    Attributes:
        number: of the operator in the file.
        kind: of the operator.
        name: of its output.
        verdict: "left out" by a rule, or "not stated" where there is none.
        reason: the rule.
        change: what to do about it; empty where nothing is known.
    """

    number: int
    kind: str
    name: str
    verdict: DelegateVerdict
    reason: str
    change: str


@dataclass(frozen=True)
class DelegateReport:
    """What one accelerator takes of a file.

    Attributes:
        delegate: its name.
        operators: those of the file that run for every image.
        taken: how many of them the published rules let it take.
        findings: the others.
        sources: addresses of the rules.
        note: what else to know about it.
    """

    delegate: str
    operators: int
    taken: int
    findings: tuple[DelegateFinding, ...]
    sources: tuple[str, ...]
    note: str


Objection = tuple[DelegateVerdict, str, str]


@dataclass(frozen=True)
class Delegate:
    """An accelerator and its rules: `objection` returns (verdict, reason, change), or None for what it takes."""

    name: str
    objection: Callable[[Operator], Objection | None]
    sources: tuple[str, ...]
    note: str


def reports(operators: Sequence[Operator]) -> tuple[DelegateReport, ...]:
    """Judges a file's operators by the rules of every delegate; weights that are prepared once do not count."""
    running = [operator for operator in operators if not operator.prepares_constants]
    return tuple(_report(delegate, running) for delegate in DELEGATES)


def accelerators(path: Path) -> list[Accelerator]:
    """Returns what the manifest says of a .tflite file's operators on every accelerator whose rules are published.

    Raises:
        VerifyError: the file cannot be read.
    """
    return [
        Accelerator(
            name=report.delegate,
            operators=report.operators,
            taken=report.taken,
            left_out=_kinds_found(report, "left out"),
            not_stated=_kinds_found(report, "not stated"),
        )
        for report in reports(read(path))
        if report.taken or _kinds_found(report, "left out")
    ]


def _kinds_found(report: DelegateReport, verdict: DelegateVerdict) -> list[str]:
    return sorted({finding.kind for finding in report.findings if finding.verdict == verdict})


def _report(delegate: Delegate, operators: Sequence[Operator]) -> DelegateReport:
    findings = tuple(_findings(delegate, operators))
    return DelegateReport(
        delegate=delegate.name,
        operators=len(operators),
        taken=len(operators) - len(findings),
        findings=findings,
        sources=delegate.sources,
        note=delegate.note,
    )


def _findings(delegate: Delegate, operators: Sequence[Operator]) -> Iterator[DelegateFinding]:
    for operator in operators:
        objection = delegate.objection(operator)
        if objection:
            yield DelegateFinding(operator.number, operator.kind, operator.name, *objection)


def _kinds(text: str) -> frozenset[str]:
    return frozenset(text.split())


_OF_EVERY_FILE = ("int32", "int64", "bool")  # types of ids and conditions, which no precision changes
_GPU_KINDS = _kinds(
    "ABS ADD ADD_N ATAN2 AVERAGE_POOL_2D BATCH_MATMUL CAST CEIL CONCATENATION CONV_2D COS CUMSUM DENSIFY "
    "DEPTHWISE_CONV_2D DEPTH_TO_SPACE DEQUANTIZE DIV ELU EMBEDDING_LOOKUP EQUAL EXP FLOOR FLOOR_DIV FLOOR_MOD "
    "FULLY_CONNECTED GATHER GELU GREATER GREATER_EQUAL HARD_SWISH LEAKY_RELU LESS LESS_EQUAL LOG LOGICAL_AND LOGISTIC "
    "LSTM MAXIMUM MAX_POOL_2D MEAN MINIMUM MIRROR_PAD MUL NEG NOT_EQUAL ONE_HOT PACK PAD PADV2 POW PRELU QUANTIZE "
    "REDUCE_MAX REDUCE_MIN REDUCE_PROD RELU RELU6 RELU_N1_TO_1 RESHAPE RESIZE_BILINEAR RESIZE_NEAREST_NEIGHBOR RSQRT "
    "SELECT SELECT_V2 SIGN SIN SLICE SOFTMAX SPACE_TO_DEPTH SPLIT SPLIT_V SQRT SQUARE SQUARED_DIFFERENCE "
    "STRIDED_SLICE SUB SUM TANH TILE TRANSPOSE TRANSPOSE_CONV"
)


def _gpu(operator: Operator) -> Objection | None:
    if operator.kind not in _GPU_KINDS:
        return _no_such_operator(operator)
    wrong = _other_types(operator, ("float32", "float16", "int8", "uint8"))
    if wrong:
        return _wrong_type(wrong, "ship the fp16 or the int8 file to GPUs")
    if _mixed(operator):
        return "not stated", "no rule speaks of quantized weights on float values", "ship the fp16 file to GPUs"
    return _softmax(operator)


def _softmax(operator: Operator) -> Objection | None:
    if operator.kind != "SOFTMAX" or operator.options.get("beta", 1) == 1:
        return None
    return "left out", "the softmax must have beta 1", "take the temperature out of the exported softmax"


_ANY_VERSION = 1_000
_NNAPI_VERSIONS = {
    kind: version
    for version, kinds in {
        1: "RESHAPE SQUEEZE DIV FLOOR ELU SQRT RSQRT EXP LOG ABS POW LEAKY_RELU PRELU SUM",
        2: "ADD AVERAGE_POOL_2D MAX_POOL_2D SOFTMAX CONCATENATION RELU RELU6 RELU_N1_TO_1 LOGISTIC TANH PAD PADV2 MEAN "
        "TRANSPOSE STRIDED_SLICE SLICE QUANTIZE DEQUANTIZE",
        3: "MUL SUB DEPTHWISE_CONV_2D RESIZE_BILINEAR RESIZE_NEAREST_NEIGHBOR MAXIMUM MINIMUM TRANSPOSE_CONV",
        5: "CONV_2D FULLY_CONNECTED",
        _ANY_VERSION: "HARD_SWISH",
    }.items()
    for kind in kinds.split()
}
_NNAPI_FLOAT_ONLY = _kinds("DIV EXP LOG ABS POW SQRT RSQRT ELU SUM")


def _nnapi(operator: Operator) -> Objection | None:
    if operator.kind not in _NNAPI_VERSIONS:
        return _no_such_operator(operator)
    wrong = _other_types(operator, ("float32",) if operator.kind in _NNAPI_FLOAT_ONLY else _BYTES_AND_FLOAT)
    if wrong:
        return _wrong_type(wrong, "ship the fp32 or the int8 file")
    if operator.version > _NNAPI_VERSIONS[operator.kind]:
        change = "ship the int8 file: its weights and values are both quantized" if _mixed(operator) else ""
        return _too_new(operator, _NNAPI_VERSIONS[operator.kind], change)
    if operator.kind == "CONCATENATION" and operator.options.get("fusedActivationFunction", 0):
        return _FUSED
    if operator.kind == "MEAN" and not operator.outputs[0].shape:
        return "left out", "the result must not be a scalar", ""
    return None


_FUSED: Objection = ("left out", "no activation may be fused into it", "put the activation into a layer of its own")
_BYTES_AND_FLOAT = ("float32", "int8", "uint8")

_COREML_VERSIONS = {"DEPTHWISE_CONV_2D": 2, "FULLY_CONNECTED": 6}
_COREML_KINDS = _kinds(
    "ADD AVERAGE_POOL_2D CONCATENATION CONV_2D DEPTHWISE_CONV_2D FULLY_CONNECTED HARD_SWISH LOGISTIC MAX_POOL_2D "
    "MIRROR_PAD MEAN MUL PAD PADV2 RELU RELU_N1_TO_1 RELU6 RESHAPE RESIZE_BILINEAR SOFTMAX TANH TRANSPOSE_CONV"
)


def _coreml(operator: Operator) -> Objection | None:
    wrong = _other_types(operator, ("float32",))
    if wrong in _OF_EVERY_FILE:
        return "left out", f"{wrong} values are not taken", "ship the .mlpackage"
    if wrong:
        return "left out", "quantized models are not taken", "ship the .mlpackage, or the fp32 or fp16 .tflite"
    if operator.kind not in _COREML_KINDS:
        return _no_such_operator(operator)
    newest = _COREML_VERSIONS.get(operator.kind, 1)
    if operator.version > newest:
        return _too_new(operator, newest, "ship the .mlpackage, or the fp32 or fp16 .tflite")
    if operator.kind == "MEAN" and not operator.options.get("keepDims"):
        return "left out", "a mean must keep its dimensions", "keepdims=True in the mean, or the .mlpackage"
    if operator.kind in ("ADD", "MUL") and not _broadcasts_over_the_map(operator):
        return "left out", "its shapes do not broadcast over height and width or channels", "ship the .mlpackage"
    if operator.kind in ("AVERAGE_POOL_2D", "MAX_POOL_2D") and operator.options.get("fusedActivationFunction", 0):
        return _FUSED
    return _softmax(operator)


def _broadcasts_over_the_map(operator: Operator) -> bool:
    """The delegate's rule for two shapes, both padded with ones to batch, height, width, channels."""
    (batch, *plane, depth), (other_batch, *other_plane, other_depth) = (
        (1,) * (4 - len(operand.shape)) + operand.shape for operand in operator.inputs
    )
    scalar = any(operand.constant and operand.size == 1 for operand in operator.inputs)
    planes_fit = plane == other_plane or [1, 1] in (plane, other_plane)
    return (batch == other_batch or scalar) and planes_fit and (depth == other_depth or 1 in (depth, other_depth))


def _neural_engine(_: Operator) -> Objection:
    return "not stated", "Apple publishes no list by operator", "ship the .mlpackage and measure it in Xcode"


def _wrong_type(found: str, change: str) -> Objection:
    return "left out", f"{found} values are not taken", "" if found in _OF_EVERY_FILE else change


def _no_such_operator(operator: Operator) -> Objection:
    return "left out", "the delegate has no such operator", replacement(operator.kind)


def _too_new(operator: Operator, newest: int, change: str) -> Objection:
    return "left out", f"version {operator.version} of the operator, {newest} is the newest it takes", change


def _other_types(operator: Operator, known: tuple[str, ...]) -> str:
    """Returns the first type among the values that are computed which is not known; empty when all are."""
    computed = [operand for operand in (*operator.inputs, *operator.outputs) if not operand.constant]
    return next((operand.dtype for operand in computed if operand.dtype not in known), "")


def _mixed(operator: Operator) -> bool:
    """Whether quantized weights meet float values, as in dynamic-range files."""
    weights = [operand.dtype for operand in operator.inputs if operand.constant and len(operand.shape) > 1]
    return operator.outputs[0].dtype == "float32" and any(dtype.startswith("int") for dtype in weights[:1])


def replacement(kind: str) -> str:
    """Returns what to write instead of an operator that an accelerator leaves out; empty where nothing is known."""
    return _REPLACEMENTS.get(kind, "")


_REPLACEMENTS = {
    **dict.fromkeys(("HARD_SWISH", "GELU", "ELU"), "student.activation=relu6"),
    **dict.fromkeys(("SHAPE", "PACK", "STRIDED_SLICE"), "export with a static input shape"),
}


DELEGATES = (
    Delegate(
        "GPU delegate (Android, iOS)",
        _gpu,
        (
            _SOURCE.format("03a5e4e19a9c8200e13c85f1c637877fdf589be6", "tools/versioning/gpu_compatibility.cc"),
            _SOURCE.format("9a5c30170e25d007fee6f7176d12b42438805d0b", "delegates/gpu/common/model_builder.cc"),
            "https://ai.google.dev/edge/litert/performance/gpu",
        ),
        "Quantized files are taken, but computed in float: on a GPU int8 saves bytes, not time.",
    ),
    Delegate(
        "NNAPI (Android 11 to 14)",
        _nnapi,
        (
            _SOURCE.format("acdcab508aba594419934b482957e13d4f5b2455", "delegates/nnapi/nnapi_delegate.cc"),
            "https://developer.android.com/ndk/guides/neuralnetworks/migration-guide",
        ),
        "Deprecated since Android 15; what the accelerator behind it takes is up to the phone's driver.",
    ),
    Delegate(
        "Core ML delegate (.tflite on Apple's Neural Engine)",
        _coreml,
        (
            _SOURCE.format("64eff6b5366e4055b80dbbff148bd94c66fe83fd", "delegates/coreml/coreml_delegate.mm"),
            _SOURCE.format("ce294caf8b5693062ea3c569e3fe49630f0572d8", "delegates/coreml/builders"),
            "https://www.tensorflow.org/lite/performance/coreml_delegate",
        ),
        "For float .tflite files on iPhones since the A12; the .mlpackage needs no delegate.",
    ),
    Delegate(
        "Apple Neural Engine (.mlpackage)",
        _neural_engine,
        ("https://developer.apple.com/documentation/coreml/mlcomputeunits",),
        "Core ML chooses the unit for each operation by itself; an Xcode performance report shows its choice.",
    ),
)
