"""The end of a TensorFlow graph: a softmax, a sigmoid, logits, or an operation that does not decide."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

EndKind = Literal["softmax", "sigmoid", "logits", "input", "unknown"]

_RESHAPES = (
    *("Identity", "IdentityN", "Cast", "Reshape", "Squeeze", "ExpandDims", "EnsureShape", "Snapshot"),
    *("StopGradient", "PreventGradient", "CheckNumerics", "PlaceholderWithDefault"),
)
_MOVES = ("Transpose", "Slice", "StridedSlice", "GatherV2", "ReverseV2")
_REDUCTIONS = ("Mean", "Sum", "Max", "Min")
_CALLS = ("PartitionedCall", "StatefulPartitionedCall")
_ENDS: dict[str, EndKind] = {
    "Softmax": "softmax",
    "Sigmoid": "sigmoid",
    "LogSoftmax": "logits",
    "Log": "logits",
    "BiasAdd": "logits",
}


@dataclass(frozen=True)
class Ending:
    """The operation that computes the output of a graph, before operations that only copy, cast or move values.

    Attributes:
        kind: "input" if the graph computes nothing; "unknown" if the operation does not decide.
        tensor: output of that operation.
        moved: whether later operations reorder or drop values.
        calls: the functions that contain the tensor, each with the operation that calls it.
    """

    kind: EndKind
    tensor: Any
    moved: bool
    calls: tuple[tuple[Any, Any], ...] = ()

    @property
    def argument(self) -> Any:
        """The input of the operation; of a softmax, the logits."""
        return self.tensor.op.inputs[0]

    def before(self, inputs: Sequence[Any]) -> "Ending":
        """Returns the end of the graph before the argument; `inputs` are the placeholders of the whole graph."""
        return ending(self.argument, inputs, self.calls)


def ending(tensor: Any, inputs: Sequence[Any] = (), calls: Sequence[tuple[Any, Any]] = ()) -> Ending:
    """Returns the end of the graph of a symbolic tensor, also inside of functions that the graph calls.

    Args:
        tensor: tensor of a TensorFlow graph.
        inputs: placeholders of that graph.
        calls: as in `Ending`.
    """
    calls = list(calls)
    moved = False
    while True:
        operation = tensor.op
        if calls and (number := _position(tensor, calls[-1][1].inputs)) is not None:
            tensor = calls.pop()[0].inputs[number]
        elif _position(tensor, inputs) is not None:
            return Ending("input", tensor, moved, tuple(calls))
        elif operation.type in _CALLS and (body := _body(operation)) is not None:
            calls.append((operation, body))
            tensor = body.outputs[tensor.value_index]
        elif operation.type in _RESHAPES or (operation.type in _REDUCTIONS and _keeps_all(operation)):
            tensor = operation.inputs[tensor.value_index]
        elif operation.type in _MOVES:
            moved = moved or not _keeps_order(operation)
            tensor = operation.inputs[0]
        else:
            return Ending(_ENDS.get(operation.type, "unknown"), tensor, moved, tuple(calls))


def _position(tensor: Any, tensors: Sequence[Any]) -> int | None:
    return next((number for number, other in enumerate(tensors) if tensor is other), None)


def _body(operation: Any) -> Any:
    """Returns the graph of the function that an operation calls, or None if TensorFlow does not have it."""
    function = operation.graph._get_function(operation.get_attr("f").name)
    return getattr(function, "graph", None)


def _keeps_all(operation: Any) -> bool:
    """Returns whether a reduction is over axes of length 1, as global pooling of a map of one pixel."""
    before, after = operation.inputs[0].shape[1:], operation.outputs[0].shape[1:]
    return bool(before.is_fully_defined() and after.num_elements() == before.num_elements())


def _keeps_order(operation: Any) -> bool:
    """Returns whether an operation transposes an array that has a single axis longer than 1."""
    shape = operation.inputs[0].shape
    return operation.type == "Transpose" and shape.is_fully_defined() and sum(side > 1 for side in shape) <= 1
