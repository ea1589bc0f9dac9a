"""The graph inside a TFLite file: read, changed operator by operator, and written again."""

from collections.abc import Sequence
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

SIGNATURE = b"serving_default"
_IDENTIFIER = b"TFL3"
_NAMES = {number: name for name, number in vars(schema.BuiltinOperator).items() if isinstance(number, int)}
_LAST_SMALL = schema.BuiltinOperator.PLACEHOLDER_FOR_GREATER_OP_CODES
_DTYPES: dict[int, np.dtype[Any]] = {
    schema.TensorType.FLOAT32: np.dtype(np.float32),
    schema.TensorType.FLOAT16: np.dtype(np.float16),
    schema.TensorType.INT32: np.dtype(np.int32),
    schema.TensorType.UINT8: np.dtype(np.uint8),
    schema.TensorType.INT8: np.dtype(np.int8),
    schema.TensorType.INT16: np.dtype(np.int16),
}
_TYPES = {dtype: number for number, dtype in _DTYPES.items()}


class TfliteNetwork:
    """A TFLite model, as the schema's objects.

    Attributes:
        model: schema.ModelT.
        graph: schema.SubGraphT, the main one; its `operators` are in the order in which they run.
    """

    def __init__(self, content: bytes) -> None:
        """Unpacks a TFLite file that this process itself has made; see tfkd.verification for the files of others."""
        self.model = schema.ModelT.InitFromPackedBuf(content)
        self.graph = self.model.subgraphs[0]

    @property
    def has_loops(self) -> bool:
        """Whether operators run further graphs, as loops of recurrent layers do."""
        return len(self.model.subgraphs) > 1

    def packed(self) -> bytes:
        """Returns the content of the TFLite file; equal networks give equal bytes."""
        builder = _AlignedBuilder(sum(len(_bytes(buffer)) for buffer in self.model.buffers) + 4096)
        builder.Finish(self.model.Pack(builder), _IDENTIFIER)
        return bytes(builder.Output())

    def kind(self, operator: Any) -> str:
        """Returns the schema's name of what an operator does, such as CONV_2D."""
        code = self.model.operatorCodes[operator.opcodeIndex]
        return _NAMES[max(code.builtinCode, code.deprecatedBuiltinCode)]

    def name(self, tensor: int) -> str:
        """Returns the name of a tensor."""
        return self.graph.tensors[tensor].name.decode()

    def dtype(self, tensor: int) -> np.dtype[Any] | None:
        """Returns the type of a tensor; None for one that no image classifier's arithmetic uses."""
        return _DTYPES.get(self.graph.tensors[tensor].type)

    def shape(self, tensor: int) -> tuple[int, ...]:
        """Returns the shape of a tensor."""
        shape = self.graph.tensors[tensor].shape
        return () if shape is None else tuple(int(side) for side in shape)

    def constant(self, tensor: int) -> np.ndarray | None:
        """Returns the value that a tensor always has; None where it is computed or of an unknown type."""
        content = _bytes(self.model.buffers[self.graph.tensors[tensor].buffer]) if tensor >= 0 else b""
        dtype = self.dtype(tensor) if tensor >= 0 else None
        return np.frombuffer(content, dtype).reshape(self.shape(tensor)) if len(content) and dtype else None

    def computed(self) -> list[int]:
        """Returns the float32 tensors that depend on the input, the input first, in the order of the operators."""
        outputs = [int(tensor) for operator in self.graph.operators for tensor in operator.outputs]
        return [tensor for tensor in [int(self.graph.inputs[0]), *outputs] if self.dtype(tensor) == np.float32]

    def consumers(self, tensor: int) -> list[Any]:
        """Returns the operators that read a tensor."""
        return [operator for operator in self.graph.operators if tensor in operator.inputs]

    def add_tensor(
        self, name: str, shape: Sequence[int], dtype: type, scale: float | None = None, zero_point: int = 0
    ) -> int:
        """Adds a tensor that an operator computes, or the caller gives, and returns its number."""
        return self._add(name, shape, np.dtype(dtype), 0, _quantization(scale, zero_point))

    def add_constant(self, name: str, value: np.ndarray) -> int:
        """Adds a tensor with a value and returns its number."""
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(value.tobytes(), np.uint8)
        self.model.buffers.append(buffer)
        return self._add(name, value.shape, value.dtype, len(self.model.buffers) - 1, _quantization(None, 0))

    def operator(self, kind: str, inputs: Sequence[int], outputs: Sequence[int], **options: Any) -> Any:
        """Makes an operator of a kind such as "ADD", to be put among `graph.operators`.

        Args:
            kind: name in the schema.
            inputs: numbers of tensors.
            outputs: numbers of tensors.
            options: fields of the kind's options table, such as `beta` of SOFTMAX.
        """
        operator = schema.OperatorT()
        operator.opcodeIndex = self._code(getattr(schema.BuiltinOperator, kind))
        operator.inputs, operator.outputs = np.array(inputs, np.int32), np.array(outputs, np.int32)
        table = f"{kind.title()}Options"
        operator.builtinOptionsType = getattr(schema.BuiltinOptions, table)
        operator.builtinOptions = getattr(schema, f"{table}T")()
        for field, value in options.items():
            setattr(operator.builtinOptions, field, value)
        return operator

    def sign(self, *names: str) -> None:
        """Names the network's inputs, in order, and its output in its one signature."""
        signature = schema.SignatureDefT()
        signature.signatureKey, signature.subgraphIndex = SIGNATURE, 0
        *inputs, output = names
        signature.inputs = [_named(name, tensor) for name, tensor in zip(inputs, self.graph.inputs, strict=True)]
        signature.outputs = [_named(output, self.graph.outputs[0])]
        self.model.signatureDefs = [signature]

    def tidy(self) -> None:
        """Drops unused operator codes, tensors and buffers, and renumbers the tensors.

        The signature must name tensors that are used: `sign` the network again if its ends have changed. LiteRT
        refuses a file that lists a kind of operator in a version that it lacks, used or not.
        """
        graph, model = self.graph, self.model
        ends = [graph.inputs, graph.outputs]
        lists = ends + [list_ for operator in graph.operators for list_ in (operator.inputs, operator.outputs)]
        graph.tensors, tensors = _kept(graph.tensors, {int(tensor) for list_ in lists for tensor in list_})
        graph.inputs, graph.outputs = ([tensors[int(tensor)] for tensor in end] for end in ends)
        model.operatorCodes, codes = _kept(model.operatorCodes, {operator.opcodeIndex for operator in graph.operators})
        for operator in graph.operators:
            operator.opcodeIndex = codes[operator.opcodeIndex]
            operator.inputs = np.array([tensors.get(int(tensor), -1) for tensor in operator.inputs], np.int32)
            operator.outputs = np.array([tensors[int(tensor)] for tensor in operator.outputs], np.int32)
        for signature in model.signatureDefs or []:
            for entry in (*signature.inputs, *signature.outputs):
                entry.tensorIndex = tensors[entry.tensorIndex]
        users = [*graph.tensors, *(model.metadata or [])]
        model.buffers, buffers = _kept(model.buffers, {0, *(user.buffer for user in users)})
        for user in users:
            user.buffer = buffers[user.buffer]

    def _add(self, name: str, shape: Sequence[int], dtype: np.dtype[Any], buffer: int, quantization: Any) -> int:
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.type = name.encode(), np.array(shape, np.int32), _TYPES[dtype]
        tensor.buffer, tensor.quantization, tensor.hasRank = buffer, quantization, True
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def _code(self, number: int) -> int:
        code = schema.OperatorCodeT()
        code.builtinCode, code.deprecatedBuiltinCode, code.version = number, min(number, _LAST_SMALL), 1
        for index, known in enumerate(self.model.operatorCodes):
            if (known.builtinCode, known.version) == (number, 1):
                return index
        self.model.operatorCodes.append(code)
        return len(self.model.operatorCodes) - 1


class _AlignedBuilder(flatbuffers.Builder):
    """Aligns vectors as the TFLite schema requires for weights (16 bytes); the Python packer ignores `force_align`."""

    def CreateNumpyVector(self, x: np.ndarray) -> Any:  # noqa: N802
        self.Prep(16, x.nbytes)
        return super().CreateNumpyVector(x)


def _kept(entries: list[Any], used: set[int]) -> tuple[list[Any], dict[int, int]]:
    """Returns the entries that are used, and their new numbers by their old ones."""
    order = [number for number in range(len(entries)) if number in used]
    return [entries[number] for number in order], {old: new for new, old in enumerate(order)}


def _bytes(buffer: Any) -> bytes:
    return b"" if buffer.data is None else bytes(buffer.data)


def _quantization(scale: float | None, zero_point: int) -> Any:
    parameters = schema.QuantizationParametersT()
    if scale is not None:
        parameters.scale, parameters.zeroPoint = np.array([scale], np.float32), np.array([zero_point], np.int64)
    return parameters


def _named(name: str, tensor: int) -> Any:
    entry = schema.TensorMapT()
    entry.name, entry.tensorIndex = name.encode(), int(tensor)
    return entry
