"""Signatures: the kind of input of a model and its raw tensors.

Every model, exported file, golden example and benchmark has a signature. It describes only the tensors; everything else
about a kind of input is in `tfkd.inputs`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import Field
from pydantic.json_schema import SkipJsonSchema

from tfkd.errors import RequestError

Range = tuple[float, float]

_FLOATS = ("float16", "bfloat16", "float32", "float64")  # a model casts any of them to its own dtype


@dataclass(frozen=True)
class InputTensor:
    """One raw tensor of an input.

    Attributes:
        name: name in mappings of inputs and in exported files.
        shape: shape without the batch; None for a variable dimension.
        dtype: NumPy's name of the dtype of raw values, or "string".
        range: smallest and largest raw value; None for any value.
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: str
    range: Range | None = None

    def __str__(self) -> str:
        limits = "" if self.range is None else f", {self.range[0]:g} to {self.range[1]:g}"
        return f"{self.name}: {self.dtype} {_written(self.shape)}{limits}"

    def fits(self, shape: Sequence[int | None], dtype: str) -> bool:
        """Returns whether a model's input accepts this tensor; a variable dimension accepts any size.

        Args:
            shape: shape of the model's input, without the batch.
            dtype: dtype of the model's input.
        """
        same_rank = len(shape) == len(self.shape)
        sides = same_rank and all(theirs in (None, own) for own, theirs in zip(self.shape, shape, strict=True))
        return sides and (dtype == self.dtype or {dtype, self.dtype} <= set(_FLOATS))


@dataclass(frozen=True)
class Column:
    """One column of a table, a number of its row.

    Attributes:
        name: as in the table's header.
        categories: texts that it holds, whose numbers rows hold, and for any other text how many they are; empty for a
            column of numbers.
        mean: of its numbers in the training rows.
        deviation: standard deviation of these numbers, above 0.
        lowest: of these numbers.
        highest: of these numbers.
        whole: they are whole numbers.
    """

    name: str
    categories: tuple[str, ...] = ()
    mean: float = 0.0
    deviation: float = 1.0
    lowest: float = 0.0
    highest: float = 0.0
    whole: bool = False


@dataclass(frozen=True)
class Signature:
    """The raw inputs of a model, which the model normalises itself.

    A text has one tensor, int32 [length] of ids of pieces; a row of a table one, float32 [columns]; a sound one,
    float32 [samples] or [samples, channels].

    Attributes:
        kind: a name of `tfkd.inputs.KINDS`.
        tensors: tensors in the order of the model's inputs.
        pieces: the vocabulary of a text, in the order of the ids; a bundle holds it in a file of its own.
        columns: of a table, in the order of a row; a bundle holds them in a file of their own.
    """

    kind: str
    tensors: tuple[InputTensor, ...]
    pieces: Annotated[tuple[str, ...], Field(exclude=True), SkipJsonSchema()] = field(default=(), repr=False)
    columns: Annotated[tuple[Column, ...], Field(exclude=True), SkipJsonSchema()] = field(default=(), repr=False)

    def __str__(self) -> str:
        return f"{self.kind} ({'; '.join(map(str, self.tensors))})"

    @property
    def single(self) -> InputTensor:
        """The only tensor.

        Raises:
            RequestError: there are several, which students do not support yet.
        """
        if len(self.tensors) != 1:
            names = ", ".join(tensor.name for tensor in self.tensors)
            raise RequestError(f"An input of {len(self.tensors)} tensors ({names}) is not supported here; give one.")
        return self.tensors[0]

    def structured(self, values: Sequence[Any]) -> Any:
        """Returns values in the structure of a model's inputs.

        Args:
            values: one value per tensor, in order.

        Returns:
            The value itself for one tensor, else a dictionary by the tensors' names.
        """
        if len(self.tensors) == 1:
            return values[0]
        return {tensor.name: value for tensor, value in zip(self.tensors, values, strict=True)}

    def spec(self, batch: int | None = None) -> Any:
        """Returns the `tf.TensorSpec` of a batch, or a dictionary of them by name for several tensors.

        Args:
            batch: number of examples; None for any.
        """
        import tensorflow as tf

        return self.structured(
            [tf.TensorSpec((batch, *tensor.shape), tensor.dtype, name=tensor.name) for tensor in self.tensors]
        )

    def require_taken_by(self, model: Any, subject: str) -> None:
        """Refuses a model with other inputs.

        Args:
            model: a keras.Model with known inputs.
            subject: name of the model in messages.

        Raises:
            RequestError: the number, the names (of several), a shape or a dtype differs.
        """
        inputs = {tensor.name: tensor for tensor in model.inputs}
        several = len(self.tensors) > 1
        for tensor in self.tensors:
            model_input = inputs.get(tensor.name) if several else model.inputs[0]
            if (
                len(inputs) != len(self.tensors)
                or model_input is None
                or not tensor.fits(model_input.shape[1:], str(model_input.dtype))
            ):
                inputs_text = "; ".join(
                    f"{name}: {each.dtype} {_written(each.shape[1:])}" for name, each in inputs.items()
                )
                raise RequestError(f"{subject} takes {inputs_text}, not {self}. Use a model with these inputs.")


def _written(shape: Sequence[int | None]) -> str:
    return f"[{', '.join('any' if side is None else str(side) for side in shape)}]"
