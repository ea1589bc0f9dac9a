"""Models with a known graph only: SavedModels, and Keras 2 models that Keras 3 cannot express.

The graph becomes one Keras layer, stored completely in a `.keras` file, so that a run, its workers and the exports need
only that file.
"""

import base64
import re
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorflow.core.framework import graph_pb2, types_pb2
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from tfkd.errors import RequestError, cause
from tfkd.kernels.keras_private import is_unsafe_loading_allowed, layers_of
from tfkd.models import form, operators
from tfkd.models.reachable import free_placeholders, make_portable, reachable
from tfkd.models.saved_model import ONE_OUTPUT, register, serving_graph, signature_name, traced
from tfkd.quiet import native_logs_silenced

TOLERANCE = 1e-3  # of the largest output
_HALF_TOLERANCE = 0.05

_LARGEST_GRAPH = 1 << 31  # bytes, the limit of Protocol Buffers
_HALVES = (types_pb2.DT_HALF, types_pb2.DT_BFLOAT16)
_SMALLEST_WEIGHT = 2  # numbers; single ones are factors and bounds, which converters need as constants


@keras.saving.register_keras_serializable("tfkd")
class FrozenGraph(keras.layers.Layer):
    """A TensorFlow graph from one image tensor to one output, with its weights as the layer's own; it is not trained.

    Args:
        graph: a serialised GraphDef, compressed by zlib, in base64.
        image: name of the placeholder of the images.
        output: name of the output tensor.
        weights: name and shape of each placeholder of a weight, float32.
        output_shape: shape of the output, with the batch; None for a variable dimension.
        batch: the only batch size of the graph, or None.
    """

    def __init__(
        self,
        graph: str,
        image: str,
        output: str,
        weights: Sequence[tuple[str, Sequence[int]]],
        output_shape: Sequence[int | None],
        batch: int | None = None,
        **named: Any,
    ) -> None:
        super().__init__(**named | {"trainable": False, "dtype": "float32"})
        self._weights_taken, self._shape_given, self._batch = weights, list(output_shape), batch
        self._described = {
            "graph": graph,
            "image": image,
            "output": output,
            "weights": weights,
            "output_shape": self._shape_given,
            "batch": batch,
        }
        definition = _definition(graph)
        register(definition)
        self._run = tf.function(
            lambda images, *values: tf.graph_util.import_graph_def(
                definition,
                {image: images, **{name: value for (name, _), value in zip(weights, values, strict=True)}},
                [output],
                name="",
            )[0],
            reduce_retracing=True,
            jit_compile=False,
        )

    def build(self, input_shape: Any) -> None:
        """Creates a variable for each weight; the names are in the configuration."""
        self._values = [
            self.add_weight(name=f"weight_{number}", shape=shape, trainable=False)
            for number, (_, shape) in enumerate(self._weights_taken)
        ]

    def call(self, images: Any) -> Any:
        """Returns the outputs of the graph for images; a graph of a fixed batch runs on one image after another."""
        values = [tf.convert_to_tensor(value) for value in self._values]
        if self._batch is None or images.shape[0] == self._batch:
            return self._run(images, *values)
        return tf.map_fn(lambda image: self._run(image[tf.newaxis], *values)[0], images, fn_output_signature=tf.float32)

    def compute_output_spec(self, images: Any) -> Any:
        """Returns the shape of the output without running the graph."""
        return keras.KerasTensor((images.shape[0], *self._shape_given[1:]), "float32")

    def get_config(self) -> dict[str, Any]:
        """Returns the config for `from_config`."""
        return super().get_config() | self._described

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "FrozenGraph":
        """Returns a layer from its configuration; with safe mode, only of operators that compute.

        Raises:
            RequestError: the graph holds an operator that does more than compute.
        """
        if not is_unsafe_loading_allowed():
            operators.check(_definition(config["graph"]), f"The layer {operators.shown(str(config.get('name')))}")
        return cls(**config)


def _definition(graph: str) -> Any:
    """Returns the GraphDef in the configuration of a layer."""
    content = zlib.decompressobj().decompress(base64.b64decode(graph), _LARGEST_GRAPH)
    return graph_pb2.GraphDef.FromString(content)


def is_frozen(model: Any) -> bool:
    """Returns whether a model is a frozen graph, which cannot be trained."""
    return any(isinstance(layer, FrozenGraph) for layer in layers_of(model))


def open_saved_model(path: Path, size: int | None = None, allow_code: bool = False) -> keras.Model:
    """Returns the signature of a SavedModel as a Keras model of one layer.

    Args:
        path: a folder with `saved_model.pb`.
        size: side of the square input, pixels, if the SavedModel has a variable one.
        allow_code: load it with TensorFlow's own loader, and let its operators do more than compute.

    Raises:
        RequestError: the folder is damaged, has no signature of one image and one output, or needs an operator that
            does more than compute.
    """
    if not allow_code:
        graph = serving_graph(path)
        with native_logs_silenced():
            function, _variables = traced(graph, str(path))  # keeps the variables alive while freezing
        return frozen_model(function, path.name, size)
    try:
        with native_logs_silenced():
            loaded = tf.saved_model.load(str(path))
    except Exception as error:
        raise RequestError(f"{path} cannot be loaded as a SavedModel: {cause(error)}") from error
    function = loaded.signatures[signature_name(path, loaded.signatures)]
    return frozen_model(function, path.name, size, allow_code=True)


def frozen_model(function: Any, name: str, size: int | None = None, allow_code: bool = False) -> keras.Model:
    """Returns a Keras model of one FrozenGraph layer with the outputs of a concrete function, in float32.

    Args:
        function: a concrete function of one image tensor and one output.
        name: name of the model, for messages and reports.
        size: side of the square input, pixels, if the function has a variable one.
        allow_code: let its operators do more than compute.

    Raises:
        RequestError: the function has several inputs or outputs, takes images of any size, cannot be frozen, or has
            an operator that does more than compute.
    """
    image = form.only(name, "inputs", _inputs(function))
    output = form.only(name, "outputs", _outputs(function), ONE_OUTPUT)
    if not output.dtype.is_floating:
        raise RequestError(f"{name} gives {output.dtype.name}, not a probability or logit for each class.")
    shape = _image_shape(name, image, size)
    with native_logs_silenced():
        try:
            frozen = convert_variables_to_constants_v2(function, lower_control_flow=False)
            ends = [frozen.inputs[0].name, frozen.outputs[0].name]
            definition = reachable(frozen.graph.as_graph_def(), ends, name)
            if not allow_code:
                operators.check(definition, name)
            make_portable(definition)
            _take_float(definition, frozen.inputs[0].op.name)
            values = _take_out_weights(definition)
            free_placeholders(definition)
            is_half = _widen(definition) or (image.dtype.size < 4 and image.dtype.is_floating)
            model = _model_of(_safe(name), definition, frozen, values, shape)
            _check_same(name, function, model, shape, _HALF_TOLERANCE if is_half else TOLERANCE)
        except RequestError:
            raise
        except Exception as error:
            raise RequestError(f"{name}: its graph cannot be frozen: {cause(error)}") from error
    return model


def _model_of(
    name: str, definition: Any, frozen: Any, values: dict[str, np.ndarray], shape: Sequence[int | None]
) -> keras.Model:
    content = zlib.compress(definition.SerializeToString(deterministic=True))
    output = frozen.outputs[0]
    layer = FrozenGraph(
        graph=base64.b64encode(content).decode(),
        image=frozen.inputs[0].name,
        output=output.name,
        weights=[(f"{key}:0", list(value.shape)) for key, value in values.items()],
        output_shape=output.shape.as_list() if output.shape.rank is not None else [None],
        batch=shape[0],
        name="graph",
    )
    image = keras.Input(tuple(shape[1:]), name="image")
    model = keras.Model(image, layer(image), name=name)
    layer.set_weights(list(values.values()))
    return model


def _inputs(function: Any) -> dict[str, Any]:
    specifications = tf.nest.flatten(function.structured_input_signature)
    return {each.name or "image": each for each in specifications if isinstance(each, tf.TensorSpec)}


def _outputs(function: Any) -> dict[str, Any]:
    outputs = function.structured_outputs
    if isinstance(outputs, dict):
        return dict(sorted(outputs.items()))
    return {f"output {number}": each for number, each in enumerate(tf.nest.flatten(outputs))}


def _image_shape(name: str, image: Any, size: int | None) -> tuple[int | None, ...]:
    if image.shape.rank is None:
        raise RequestError(f"{name} takes tensors of any shape; save it with a signature of (None, S, S, 3).")
    if not (image.dtype.is_floating or image.dtype.is_integer):
        raise RequestError(f"{name} takes {image.dtype.name}, not the pixels of an image.")
    return form.fixed_shape(name, tuple(image.shape), size)


def _take_float(definition: Any, image: str) -> None:
    """Lets a graph of integer images accept float32 images, which makes the casts after its placeholder superfluous."""
    waiting = {image}
    for node in definition.node:  # in the order of the frozen graph
        if node.name in waiting:
            node.attr["dtype"].type = types_pb2.DT_FLOAT
        if not any(source.split(":")[0] in waiting for source in node.input):
            continue
        if node.op == "Cast":
            node.attr["SrcT"].type = types_pb2.DT_FLOAT
        elif node.op == "Identity":
            node.attr["T"].type = types_pb2.DT_FLOAT
            waiting.add(node.name)


def _take_out_weights(definition: Any) -> dict[str, np.ndarray]:
    """Replaces large constants of a graph, the weights, by placeholders; returns them by name."""
    weights = {}
    for node in definition.node:
        if node.op != "Const" or node.attr["dtype"].type not in (types_pb2.DT_FLOAT, *_HALVES):
            continue
        value = tf.make_ndarray(node.attr["value"].tensor)
        if value.size < _SMALLEST_WEIGHT:
            continue
        weights[node.name] = value.astype(np.float32)
        node.op = "Placeholder"
        node.ClearField("attr")
        node.attr["dtype"].type = types_pb2.DT_FLOAT
        node.attr["shape"].shape.CopyFrom(tf.TensorShape(value.shape).as_proto())
    return weights


def _widen(definition: Any) -> bool:
    """Converts every half-precision tensor of a graph to float32; returns whether there was one."""
    functions = definition.library.function
    found = False
    for node in [*definition.node, *(node for function in functions for node in function.node_def)]:
        for attribute in node.attr.values():
            found |= _widen_attribute(attribute)
    for argument in (each for f in functions for each in (*f.signature.input_arg, *f.signature.output_arg)):
        if argument.type in _HALVES:
            argument.type = types_pb2.DT_FLOAT
    return found


def _widen_attribute(attribute: Any) -> bool:
    kind = attribute.WhichOneof("value")
    if kind == "type" and attribute.type in _HALVES:
        attribute.type = types_pb2.DT_FLOAT
    elif kind == "tensor" and attribute.tensor.dtype in _HALVES:
        value = tf.make_ndarray(attribute.tensor).astype(np.float32)
        attribute.tensor.CopyFrom(tf.make_tensor_proto(value))
    elif kind == "list" and any(each in _HALVES for each in attribute.list.type):
        types = [types_pb2.DT_FLOAT if each in _HALVES else each for each in attribute.list.type]
        del attribute.list.type[:]
        attribute.list.type.extend(types)
    else:
        return False
    return True


def _check_same(name: str, function: Any, model: keras.Model, shape: Sequence[int | None], tolerance: float) -> None:
    """Compares the layer with the frozen function on noise of whole pixels."""
    (key, image), named = next(iter(_inputs(function).items())), function.structured_input_signature[1]
    pixels = np.random.default_rng(0).integers(0, 256, (shape[0] or 2, *model.input_shape[1:])).astype(np.float32)
    tensor = tf.cast(pixels, image.dtype)
    (expected,) = tf.nest.flatten(function(**{key: tensor}) if named else function(tensor))
    expected = np.asarray(tf.cast(expected, tf.float32))
    error = np.abs(np.asarray(model(pixels, training=False)) - expected)
    if np.isfinite(expected).all() and not (error <= tolerance * max(float(np.abs(expected).max()), 1e-6)).all():
        raise RequestError(
            f"{name} gives other outputs once its graph is frozen; save it in inference mode, without anything random."
        )


def _safe(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]", "_", name)
