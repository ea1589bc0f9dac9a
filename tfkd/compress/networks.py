"""Functional graphs of Keras 3 and tf_keras: traversal in order, and rebuilding with other layers."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import keras
import tf_keras

from tfkd.kernels.keras_private import nodes


@dataclass(frozen=True)
class LayerCall:
    """One call of a layer in a functional model: `output = layer(inputs)`, all of them symbolic tensors."""

    layer: Any
    inputs: list[Any]
    output: Any


def calls(model: Any) -> Iterator[LayerCall]:
    """Yields the calls of a model's layers in topological order, input layers first.

    Args:
        model: functional or sequential, of Keras 3 or tf_keras.
    """
    for node in nodes(model):
        if hasattr(node, "operation"):  # Keras 3
            yield LayerCall(node.operation, list(node.input_tensors), node.output_tensors[0])
        else:
            yield LayerCall(node.layer, list(node.keras_inputs), node.outputs)


def built_with(model: Any, change: Callable[[Any], Callable[[Any], Any] | None], image: Any = None) -> Any:
    """Returns the output of a functional model's graph with replaced layers.

    Args:
        model: functional or sequential, of one input and one output, of Keras 3 or tf_keras.
        change: maps a layer to what is called in its place on one tensor or a list, or to None for nothing.
        image: what the graph starts from; a fresh tf_keras input by default.

    Returns:
        A tf_keras.Model, or the output tensor where an `image` was given.
    """
    start = tf_keras.Input(model.input_shape[1:], name="image") if image is None else image
    replaced: dict[int, Any] = {}  # by layer, so that a shared layer stays shared
    tensors: dict[int, Any] = {id(model.inputs[0]): start}
    for call in calls(model):
        if id(call.output) in tensors:
            continue
        inputs = [tensors[id(tensor)] for tensor in call.inputs]
        if id(call.layer) not in replaced:
            replaced[id(call.layer)] = change(call.layer)
        layer = replaced[id(call.layer)]
        argument = inputs[0] if len(inputs) == 1 else inputs
        tensors[id(call.output)] = argument if layer is None else layer(argument)
    output = tensors[id(model.outputs[0])]
    return tf_keras.Model(start, output, name=model.name) if image is None else output


def weighted_layers(model: Any) -> list[Any]:
    """Returns the layers with weights, including those of nested models, in the order of the graph."""
    found: dict[int, Any] = {}
    for call in calls(model):
        inner = weighted_layers(call.layer) if isinstance(call.layer, keras.Model) else [call.layer]
        found |= {id(layer): layer for layer in inner if getattr(layer, "weights", None)}
    return list(found.values())
