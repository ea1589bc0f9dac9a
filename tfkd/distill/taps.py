"""Taps: intermediate outputs of a model, under names that apply to any network.

The model is called once on symbolic inputs, and every output of every layer is recorded in order (`_Recorder`). Names
are resolved from this record alone.
"""

import difflib
from collections import Counter, OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import keras

from tfkd.distill.losses.base import LOGITS
from tfkd.errors import RequestError
from tfkd.models.logits import is_graph, symbolic
from tfkd.models.token_ids import TokenIds

POOLED, PENULTIMATE = "pooled", "penultimate"


def tapped(model: keras.Model, taps: Sequence[str]) -> keras.Model:
    """Returns the model with further outputs: its logits and the taps.

    Both models have the same layers and weights. A tap is one of

    - `logits`: the model's output.
    - `pooled`: the first vector [batch, channels] that all of the network goes through: what the global pooling, or a
      Flatten in its place, gives.
    - `penultimate`: what the last layer with weights takes, before dropout. [batch, channels] where there is a pooling
      before that layer.
    - `stage:S`: the last map [batch, height, width, channels] at stride S that all of the network goes through, so none
      that a residual goes around; after its activation, if it has one. S is the product of the strides up to there,
      by height, however the borders were rounded: the map is about 1/S as high as the image.
    - `stage:S:before`: the same before its activation; the same map where it has none.
    - a layer's name, below nested models with their names before it (`backbone/block_3_add`), or without them where
      only one layer has that name. A layer that is used several times gives `name`, `name#2`, ...; of an operation
      with several outputs the further ones are `name[1]`, ...

    Args:
        model: functional or sequential, with one output; models may be nested in it, to any depth.
        taps: names of the further outputs.

    Returns:
        A model with the same inputs that gives a dict: `logits`, and each tap under its name, in the layers' dtype.

    Raises:
        RequestError: the model has no visible layers, or a tap does not exist, is ambiguous, or is not accessible.
    """
    record = _recorded(model)
    general = _general(record)
    # Keras sorts a plain dict, and orders the weights by the outputs; the logits come first, as in the model itself.
    outputs = OrderedDict(
        (name, general[name] if name in general else _layer(name, record, general)) for name in (LOGITS, *taps)
    )
    inputs = keras.tree.pack_sequence_as(symbolic(model, "inputs"), record.inputs)
    return keras.Model(inputs, outputs, name=model.name)


def available(model: keras.Model) -> list[str]:
    """Returns the names of all taps of a model, general names first.

    Raises:
        RequestError: the model has no visible layers.
    """
    record = _recorded(model)
    return list(dict.fromkeys([*_general(record), *(step.name for step in record.steps)]))


def structure(model: keras.Model) -> list[tuple[str, tuple[int, ...]]]:
    """Returns the layers of a network and their connections, regardless of widths and nesting.

    Layers that do not change their input, rescale it or compute final probabilities are left out.

    Args:
        model: functional or sequential, with one output.

    Returns:
        For each layer in order its kind and the positions of its input layers.

    Raises:
        RequestError: the model has no visible layers.
    """
    steps = _recorded(model).steps
    kept: list[tuple[str, tuple[int, ...]]] = []
    place: dict[int, int] = {}
    for number, step in enumerate(steps):
        sources = tuple(place[source] for source in step.sources if source in place)
        if step.operation is None or isinstance(step.operation, (*_PASSING, *_UNSTRUCTURED)):
            if sources:
                place[number] = sources[0]
        else:
            place[number] = len(kept)
            kept.append((type(step.operation).__name__, sources))
    return kept


@dataclass(frozen=True)
class _Step:
    """An output of one call of a layer.

    Attributes:
        name: name of the layer, after those of the models that contain it.
        operation: the layer or keras.ops function; None at an input or the border of a nested model.
        sources: numbers of the steps that it reads.
        tensor: its symbolic output.
    """

    name: str
    operation: Any
    sources: tuple[int, ...]
    tensor: Any

    @property
    def rank(self) -> int:
        return len(self.tensor.shape)


class _Recorder:
    """Runs a model on new inputs and records every step, sources first.

    Attributes:
        name: name of the model.
        inputs: symbolic inputs.
        steps: the inputs, followed by all other steps.
        outputs: numbers of the output steps of the model.
    """

    def __init__(self, model: Any) -> None:
        self.name = model.name
        self.inputs = [keras.Input(batch_shape=x.shape, dtype=x.dtype, name=x.name) for x in model.inputs]
        self.steps: list[_Step] = []
        self._numbers: dict[int, int] = {}  # number of the step of each tensor, by the tensor's id
        self._uses: Counter[str] = Counter()
        self._nested: dict[int, _Recorder] = {}
        for tensor in self.inputs:
            self._write(_Step(tensor.name, None, (), tensor))
        # Recreated, so that a sequential model becomes functional, and uncompiled, because a clone compiles again.
        plain = keras.Model(model.inputs, model.outputs)
        clone = keras.models.clone_model(
            plain, input_tensors=self.inputs, clone_function=lambda layer: layer, call_function=self._call
        )
        self.outputs = [self._numbers[id(tensor)] for tensor in clone.outputs]

    @cached_property
    def in_full(self) -> Any:
        """The model with all of its steps as further outputs."""
        numbers = [*self.outputs, *range(len(self.steps))]
        return keras.Model(self.inputs, [self.steps[number].tensor for number in numbers], name=self.name)

    def _call(self, operation: Any, *args: Any, **kwargs: Any) -> Any:
        self._uses[operation.name] += 1
        uses = self._uses[operation.name]
        name = operation.name if uses == 1 else f"{operation.name}#{uses}"
        if is_graph(operation):
            return self._call_nested(name, operation, *args, **kwargs)
        outputs = operation(*args, **kwargs)
        sources = self._sources((args, kwargs))
        for number, tensor in enumerate(keras.tree.flatten(outputs)):
            if isinstance(tensor, keras.KerasTensor):
                self._write(_Step(_part(name, number), operation, sources, tensor))
        return outputs

    def _call_nested(self, name: str, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> list[Any]:
        """Calls a model without flattening it, because layers of two models may have the same name."""
        if id(model) not in self._nested:
            self._nested[id(model)] = _Recorder(model)
        inside = self._nested[id(model)]
        flat_inputs = keras.tree.flatten(inputs)
        tensors = inside.in_full(flat_inputs, *args, **kwargs)
        outputs, tensors = tensors[: len(inside.outputs)], tensors[len(inside.outputs) :]
        first = len(self.steps)
        for number, (step, tensor) in enumerate(zip(inside.steps, tensors, strict=True)):
            outer = self._sources(flat_inputs[number]) if number < len(flat_inputs) else ()
            sources = outer + tuple(first + source for source in step.sources)
            self._write(replace(step, name=f"{name}/{step.name}", sources=sources, tensor=tensor))
        for number, (source, tensor) in enumerate(zip(inside.outputs, outputs, strict=True)):
            self._write(_Step(_part(name, number), None, (first + source,), tensor))
        return outputs

    def _sources(self, arguments: Any) -> tuple[int, ...]:
        numbers = (self._numbers.get(id(value)) for value in keras.tree.flatten(arguments))
        return tuple(number for number in numbers if number is not None)

    def _write(self, step: _Step) -> None:
        self._numbers[id(step.tensor)] = len(self.steps)
        self.steps.append(step)


def _part(name: str, number: int) -> str:
    return f"{name}[{number}]" if number else name


def _recorded(model: keras.Model) -> _Recorder:
    if not is_graph(model):
        raise RequestError(_no_layers(model.name))
    if len(model.outputs) != 1:
        raise RequestError(
            f"{model.name!r} has {len(model.outputs)} outputs; taps need a model with logits as its only output."
        )
    return _Recorder(model)


def _opaque(record: _Recorder) -> str | None:
    """Returns the name of a nested subclassed model, whose layers are not visible."""
    return next((step.operation.name for step in record.steps if isinstance(step.operation, keras.Model)), None)


def _no_layers(name: str) -> str:
    return (
        f"{name!r} has no visible layers between its input and its output; build it as a functional or a sequential "
        "Keras model with an Input."
    )


def _general(record: _Recorder) -> dict[str, Any]:
    """Returns the symbolic tensors of the general taps that this model has."""
    steps, output = record.steps, record.outputs[0]
    taps = {LOGITS: steps[output].tensor}
    if _opaque(record):
        return taps
    for name, number in ((POOLED, _pooled(steps, output)), (PENULTIMATE, _penultimate(steps, output))):
        if number is not None:
            taps[name] = _vector(steps[number].tensor, name)
    for stride, number in _stages(steps, output).items():
        taps[f"stage:{stride}"] = steps[number].tensor
        before = _before(steps, number)
        if before is not None:
            taps[f"stage:{stride}:before"] = before
    return taps


def _layer(tap: str, record: _Recorder, general: dict[str, Any]) -> Any:
    """Returns the symbolic tensor of a layer by its name."""
    steps = record.steps
    matches = [step for step in steps if step.name == tap] or [s for s in steps if s.name.endswith(f"/{tap}")]
    if len(matches) == 1:
        return matches[0].tensor
    if matches:
        raise RequestError(
            f"{tap!r} is a layer of several models inside {record.name!r}; choose one of: "
            f"{', '.join(step.name for step in matches)}."
        )
    if tap.removesuffix(":before") in general:
        raise RequestError(
            f"{record.name!r} has no {tap!r}: the layer applies its activation itself. Make the activation a layer of "
            f"its own, or tap {tap.removesuffix(':before')!r}."
        )
    opaque = _opaque(record)
    if opaque:
        raise RequestError(_no_layers(opaque))
    (close,) = difflib.get_close_matches(tap, [*general, *(step.name for step in steps)], n=1, cutoff=0.0)
    raise RequestError(
        f"{record.name!r} has no {tap!r} to tap. The closest name is {close!r}; beside its layers there are "
        f"{', '.join(general)}."
    )


# Layers that do not change a map, except for noise and its border; ids are no features.
_PASSING = (
    TokenIds,
    keras.layers.Dropout,
    keras.layers.SpatialDropout2D,
    keras.layers.GaussianDropout,
    keras.layers.GaussianNoise,
    keras.layers.AlphaDropout,
    keras.layers.Identity,
    keras.layers.ZeroPadding2D,
    keras.layers.Cropping2D,
)
_UNSTRUCTURED = (keras.layers.Rescaling, keras.layers.Normalization, keras.layers.Softmax)
_GLOBAL_POOLING = (keras.layers.GlobalAveragePooling2D, keras.layers.GlobalMaxPooling2D)
_ACTIVATIONS = {name.replace("_", "") for name in dir(keras.activations)} - {"linear"} | {"prelu"}


def _passes(step: _Step) -> bool:
    return step.operation is None or isinstance(step.operation, _PASSING)


def _maker(steps: list[_Step], number: int) -> int:
    """Returns the step that computed the value of a step that only passes it on."""
    while _passes(steps[number]) and steps[number].sources:
        number = steps[number].sources[0]
    return number


def _waists(steps: list[_Step], output: int) -> list[int]:
    """Returns the waists of the network in order: steps that no connection bypasses."""
    waists: list[int] = []
    needed, earliest = {output}, output
    for number in range(output, -1, -1):
        if number in needed:
            if earliest >= number:
                waists.append(number)
            needed.update(steps[number].sources)
            earliest = min([earliest, *steps[number].sources])
    return waists[::-1]


def _pooled(steps: list[_Step], output: int) -> int | None:
    """Returns the first waist without height and width."""
    for number in _waists(steps, output):
        step = steps[number]
        if not _passes(step) and (step.rank == 2 or isinstance(step.operation, _GLOBAL_POOLING)):
            return number
    return None


def _penultimate(steps: list[_Step], output: int) -> int | None:
    """Returns the step that computed the input of the last layer with weights."""
    number = output
    while not getattr(steps[number].operation, "weights", None):
        if not steps[number].sources:
            return None
        number = steps[number].sources[0]
    return _maker(steps, steps[number].sources[0])


def _vector(tensor: Any, tap: str) -> Any:
    """Removes height and width of a map with a single position, as after some poolings."""
    if tuple(tensor.shape[1:-1]) == (1, 1):
        return keras.layers.Flatten(name=f"tapped_{tap}")(tensor)
    return tensor


def _stages(steps: list[_Step], output: int) -> dict[int, int]:
    """Returns the number of the last waist of every stride, from the first convolution or pooling."""
    first = next((n for n, step in enumerate(steps) if hasattr(step.operation, "strides")), len(steps))
    strides = _strides(steps)
    return {
        int(strides[number]): number
        for number in _waists(steps, output)
        if number >= first and strides[number] >= 1 and not _passes(steps[number])
    }


def _strides(steps: list[_Step]) -> list[float]:
    """Returns the stride of each step relative to the input; 0 without height and width."""
    strides: list[float] = []
    for step in steps:
        if step.rank != 4 or isinstance(step.operation, _GLOBAL_POOLING):
            strides.append(0)
        elif not step.sources:
            strides.append(1)
        else:
            # The source of a step may also be a single position from a vector, as in squeeze-and-excitation.
            strides.append(min((strides[n] * _factor(steps[n], step) for n in step.sources if strides[n]), default=0))
    return strides


def _factor(source: _Step, step: _Step) -> float:
    """Returns the stride of a step relative to its source."""
    input_side, output_side = source.tensor.shape[1], step.tensor.shape[1]
    strides = getattr(step.operation, "strides", None)
    if strides and not (input_side and output_side and output_side > input_side):
        return float(keras.tree.flatten(strides)[0])
    # Without strides, or transposed: only a whole multiple is a change of scale, everything else one of the border.
    resized = (
        not _passes(step)
        and input_side
        and output_side
        and (input_side % output_side == 0 or output_side % input_side == 0)
    )
    return input_side / output_side if resized else 1.0


def _before(steps: list[_Step], number: int) -> Any:
    """Returns a map before its activation; the map itself without one, or None if they are one layer."""
    step = steps[_maker(steps, number)]
    activated = _activated(steps, step)
    if activated is not None:
        return steps[activated].tensor
    if getattr(step.operation, "activation", None) not in (None, keras.activations.linear):
        return None
    if isinstance(step.operation, keras.layers.Concatenate):
        return _concatenated_before(steps, step, f"tapped_{number}_before")
    return step.tensor


def _concatenated_before(steps: list[_Step], step: _Step, name: str) -> Any:
    parts = [_before(steps, source) for source in step.sources]
    if any(part is None for part in parts):
        return None
    if all(part is steps[source].tensor for part, source in zip(parts, step.sources, strict=True)):
        return step.tensor
    return keras.layers.Concatenate(step.operation.axis, name=name)(parts)


def _activated(steps: list[_Step], step: _Step) -> int | None:
    """Returns the source that an activation is applied to, or None if the step is no activation."""
    operation, kind = step.operation, type(step.operation).__name__.lower()
    if isinstance(operation, keras.layers.Activation):
        return None if operation.activation is keras.activations.linear else step.sources[0]
    if kind in _ACTIVATIONS:
        return step.sources[0]
    if kind == "multiply" and len(step.sources) == 2:
        for value, gate in (step.sources, step.sources[::-1]):
            if _is_gate(steps, gate, value):
                return value
    return None


def _is_gate(steps: list[_Step], number: int, value: int) -> bool:
    """Returns whether a step depends on the value alone, by position and without weights, as hard-swish's gate."""
    while number != value:
        step = steps[number]
        if len(step.sources) != 1 or getattr(step.operation, "weights", None):
            return False
        if step.tensor.shape != steps[value].tensor.shape:
            return False
        number = step.sources[0]
    return True
