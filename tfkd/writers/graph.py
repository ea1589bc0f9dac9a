"""The one graph that all writers start from: the student with softmax, a batch of one, and its weights inside."""

import contextlib
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from tfkd.errors import RequestError, cause
from tfkd.models.precision import in_float32
from tfkd.quiet import native_logs_silenced
from tfkd.writers import Card
from tfkd.writers.resizing import without_resizers

INPUT = "image"
OUTPUT = "probabilities"

_CALLS = ("PartitionedCall", "StatefulPartitionedCall")
_MARKS = ("_XlaMustCompile", "_noinline")  # of functions that TensorFlow must not write out


@dataclass(frozen=True)
class Graph:
    """A frozen classifier: float32 [1, size, size, 3] raw RGB 0..255 to float32 [1, classes] probabilities."""

    function: Any
    saved_model: Path
    size: int
    classes: int
    _made: dict[str, bytes] = field(default_factory=dict)

    def once(self, name: str, make: Callable[[], bytes]) -> bytes:
        """Returns what several files start from, made for the first of them."""
        if name not in self._made:
            self._made[name] = make()
        return self._made[name]


@contextlib.contextmanager
def frozen(model: keras.Model, card: Card) -> Iterator[Graph]:
    """Traces and freezes a classifier once; the SavedModel beside the graph lasts as long as the block.

    The weights become constants before the SavedModel is written: TFLite's converter loses the variables of a Keras 3
    model without saying so, and Core ML's takes frozen functions only.

    Args:
        model: float32 [None, S, S, 3] raw RGB 0..255 to logits [None, classes], under any dtype policy.
        card: names the classes.

    Raises:
        RequestError: the model has another input or output, not one output a class, or it cannot be traced.
    """
    model = in_float32(model) if isinstance(model, keras.Model) else model
    size, classes = _checked_shapes(model)
    if classes != len(card.classes):
        raise RequestError(
            f"The model {model.name!r} has {classes} outputs for {len(card.classes)} class names; give one each."
        )
    specification = tf.TensorSpec([1, size, size, 3], tf.float32, name=INPUT)
    with tempfile.TemporaryDirectory() as folder:
        with native_logs_silenced():
            constant = _constant(model, specification)
            module = tf.Module()
            module.serve = tf.function(lambda image: {OUTPUT: constant(image)[0]}, input_signature=[specification])
            # Only training needs the gradients that some activations bring along, and silu's cannot be saved.
            options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
            tf.saved_model.save(module, folder, signatures={"serving_default": module.serve}, options=options)
        yield Graph(constant, Path(folder), size, classes)


def _constant(model: keras.Model, specification: tf.TensorSpec) -> Any:
    def probabilities(image: tf.Tensor) -> tf.Tensor:
        return tf.nn.softmax(tf.cast(model(image, training=False), tf.float32), name=OUTPUT)

    try:
        traced = tf.function(probabilities).get_concrete_function(specification)
        return without_resizers(_inlined(convert_variables_to_constants_v2(traced)))
    except Exception as error:
        raise RequestError(f"The model {model.name!r} cannot be traced for export: {cause(error)}") from error


def _inlined(function: Any) -> Any:
    """Writes out the functions that a frozen one calls, such as the grouped convolutions that Keras marks for XLA."""
    definition = function.graph.as_graph_def()
    if not any(node.op in _CALLS for node in definition.node):
        return function
    parts = [definition.node, *(called.node_def for called in definition.library.function)]
    for owner in (*(node for part in parts for node in part), *definition.library.function):
        for mark in _MARKS:
            owner.attr.pop(mark, None)
    (image,), (output,) = function.inputs, function.outputs

    def same(pixels: tf.Tensor) -> tf.Tensor:
        (found,) = tf.graph_util.import_graph_def(definition, {image.name: pixels}, [output.name], name="")
        return found

    specification = tf.TensorSpec(image.shape, image.dtype, name=image.op.name)
    return convert_variables_to_constants_v2(tf.function(same, autograph=False).get_concrete_function(specification))


def _checked_shapes(model: keras.Model) -> tuple[int, int]:
    given, made = model.input_shape, model.output_shape
    if isinstance(given, tuple) and len(given) == 4 and None in given[1:]:
        raise RequestError(
            f"The model {model.name!r} takes images of any size, {given}; build it for one: keras.Input((S, S, 3))."
        )
    if not (isinstance(given, tuple) and len(given) == 4 and given[1] == given[2] and given[1] and given[3] == 3):
        raise RequestError(
            f"The model {model.name!r} takes {given}, not one square RGB image [None, S, S, 3]; export needs that."
        )
    if not (isinstance(made, tuple) and len(made) == 2 and made[1]):
        raise RequestError(f"The model {model.name!r} gives {made}, not logits [None, classes]; export needs that.")
    return given[1], made[1]
