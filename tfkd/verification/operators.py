"""The operators of a .tflite file as it stores them: shapes, types, bytes and arithmetic."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tfkd.verification import VerifyError, tflite

_NO_TENSOR = -1  # marks an optional input that is left out


def _names(enumeration: type) -> dict[int, str]:
    return {value: name for name, value in vars(enumeration).items() if isinstance(value, int)}


_KINDS = _names(schema.BuiltinOperator)
_TYPES = {value: name.lower() for value, name in _names(schema.TensorType).items()}


@dataclass(frozen=True)
class Operand:
    """A tensor that an operator reads or writes.

    Attributes:
        index: its number in the file.
        name: as the file has it; for a fused operator the names of all its parts, joined by semicolons.
        shape: of its values; empty for a scalar.
        dtype: float32, int8 …
        stored: bytes of its values in the file; 0 if it is computed.
        scale: of its quantization; None where it has none, or one for each channel.
        zero_point: the same.
    """

    index: int
    name: str
    shape: tuple[int, ...]
    dtype: str
    stored: int
    scale: float | None
    zero_point: int | None

    @property
    def constant(self) -> bool:
        return self.stored > 0

    @property
    def size(self) -> int:
        return math.prod(self.shape)


@dataclass(frozen=True)
class Operator:
    """One operator.

    Attributes:
        number: its place in the file, from 0.
        kind: CONV_2D, MUL …
        version: of the kind; it rises with the types and options that are used.
        inputs: in order, without those left out.
        outputs: in order.
        options: of the schema, by its names: keepDims, fusedActivationFunction …
    """

    number: int
    kind: str
    version: int
    inputs: tuple[Operand, ...]
    outputs: tuple[Operand, ...]
    options: dict[str, Any]

    @property
    def name(self) -> str:
        """The first name of the output: short, and the same in the float and in the quantized file."""
        return self.outputs[0].name.partition(";")[0]

    @property
    def prepares_constants(self) -> bool:
        """Whether it reads nothing but stored values: a weight made float, for example."""
        return all(operand.constant for operand in self.inputs)

    @property
    def multiply_adds(self) -> int:
        """Products that are summed up, of convolutions and dense layers; 0 for every other kind."""
        output = self.outputs[0]
        if self.kind not in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV"):
            return 0
        kernel = self.inputs[1].shape
        match self.kind:
            case "DEPTHWISE_CONV_2D":
                return output.size * kernel[1] * kernel[2]
            case "TRANSPOSE_CONV":
                return self.inputs[2].size * kernel[0] * kernel[1] * kernel[2]
            case _:
                return output.size * math.prod(kernel[1:])


def read(path: Path) -> tuple[Operator, ...]:
    """Returns the operators of a file's main graph in the order in which they run.

    Raises:
        VerifyError: the file cannot be read, or it is not a whole .tflite file.
    """
    model = tflite.model(path)
    try:
        graph = model.subgraphs[0]
        operands = [_operand(model, index, tensor) for index, tensor in enumerate(graph.tensors)]
        return tuple(_operator(model, number, each, operands) for number, each in enumerate(graph.operators))
    except (AttributeError, LookupError, TypeError, ValueError):
        raise VerifyError(f"{path}: its operators point to what is not in the file; export it again.") from None


def _operator(model: Any, number: int, operator: Any, operands: Sequence[Operand]) -> Operator:
    if not len(operator.outputs):
        raise ValueError("an operator without an output")
    code = model.operatorCodes[operator.opcodeIndex]
    builtin = max(code.builtinCode, code.deprecatedBuiltinCode)
    return Operator(
        number=number,
        kind=code.customCode.decode(errors="replace") if code.customCode else _KINDS.get(builtin, str(builtin)),
        version=code.version,
        inputs=tuple(operands[index] for index in operator.inputs if index != _NO_TENSOR),
        outputs=tuple(operands[index] for index in operator.outputs),
        options=dict(vars(operator.builtinOptions)) if operator.builtinOptions else {},
    )


def _operand(model: Any, index: int, tensor: Any) -> Operand:
    scales = _list(tensor.quantization and tensor.quantization.scale)
    zero_points = _list(tensor.quantization and tensor.quantization.zeroPoint)
    data = model.buffers[tensor.buffer].data
    return Operand(
        index=index,
        name=tensor.name.decode(errors="replace") if tensor.name else "",
        shape=tuple(_list(tensor.shape)),
        dtype=_TYPES[tensor.type],
        stored=0 if data is None else len(data),
        scale=scales[0] if len(scales) == 1 else None,
        zero_point=zero_points[0] if len(zero_points) == 1 else None,
    )


def _list(values: Any) -> list[Any]:
    return [] if values is None else np.asarray(values).tolist()
