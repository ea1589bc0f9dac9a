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
from tfkd.inputs import signature_of
from tfkd.models.precision import in_float32
from tfkd.models.tree_arrays import Trees
from tfkd.models.trees import trees_of
from tfkd.quiet import native_logs_silenced
from tfkd.signature import Signature
from tfkd.writers import Card
from tfkd.writers.resizing import without_resizers

OUTPUT = "probabilities"

_CALLS = ("PartitionedCall", "StatefulPartitionedCall")
_MARKS = ("_XlaMustCompile", "_noinline")  # of functions that TensorFlow must not write out


@dataclass(frozen=True)
class Graph:
    """A frozen classifier: one raw example to float32 [1, classes] probabilities.

    Attributes:
        function: the concrete function.
        saved_model: folder of the same.
        signature: what goes in, of one tensor; the files name their input after it.
        classes: how many.
        trees: of a model that consists of trees.
    """

    function: Any
    saved_model: Path
    signature: Signature
    classes: int
    trees: Trees | None = None
    _cache: dict[str, bytes] = field(default_factory=dict)

    def once(self, name: str, make: Callable[[], bytes]) -> bytes:
        """Returns what several files start from; it is made once."""
        if name not in self._cache:
            self._cache[name] = make()
        return self._cache[name]


@contextlib.contextmanager
def frozen(model: keras.Model, card: Card) -> Iterator[Graph]:
    """Traces and freezes a classifier once; the SavedModel beside the graph lasts as long as the block.

    The weights become constants before the SavedModel is written: TFLite's converter loses the variables of a Keras 3
    model without saying so, and Core ML's takes frozen functions only.

    Args:
        model: an input of a kind of `tfkd.inputs` to logits [None, classes], under any dtype policy; a keras.Model, or
            another model that states its `signature`.
        card: names the classes.

    Raises:
        RequestError: the model has another input or output, not one output a class, or it cannot be traced.
    """
    model = in_float32(model) if isinstance(model, keras.Model) else model
    trees = trees_of(model) if isinstance(model, keras.Model) else None
    signature = signature_of(model) if isinstance(model, keras.Model) else model.signature
    classes = _classes_of(model)
    if classes != len(card.classes):
        raise RequestError(
            f"The model {model.name!r} has {classes} outputs for {len(card.classes)} class names; give one each."
        )
    specification = signature.spec(1)
    with tempfile.TemporaryDirectory() as folder:
        with native_logs_silenced():
            constant = _constant(model, specification)
            module = tf.Module()
            module.serve = tf.function(lambda image: {OUTPUT: constant(image)[0]}, input_signature=[specification])
            # Only training needs the gradients that some activations bring along, and silu's cannot be saved.
            options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
            tf.saved_model.save(module, folder, signatures={"serving_default": module.serve}, options=options)
        yield Graph(constant, Path(folder), signature, classes, trees)


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


def _classes_of(model: keras.Model) -> int:
    shape = model.output_shape
    if not (isinstance(shape, tuple) and len(shape) == 2 and shape[1]):
        raise RequestError(f"The model {model.name!r} gives {shape}, not logits [None, classes]; export needs that.")
    return int(shape[1])
