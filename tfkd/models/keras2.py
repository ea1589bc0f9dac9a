"""Keras 2 models: opened by tf_keras, and converted to Keras 3 models of the same layers and weights.

tf_keras runs what a file names: functions in Lambda layers, modules to import, any public function of TensorFlow in an
operator layer. Therefore the configuration is checked first (see `tfkd.models.keras2_config`).
"""

import inspect
import operator
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tf_keras

from tfkd.errors import RequestError, cause
from tfkd.kernels.keras_private import keras2_outputs, keras2_uses, layers_of, maker, nodes
from tfkd.models import form, keras2_config
from tfkd.models.file_kind import FileKind, config_of, with_suffix
from tfkd.models.frozen_graph import frozen_model
from tfkd.models.keras2_classes import FUNCTION_LAYERS
from tfkd.quiet import native_logs_silenced

TOLERANCE = 1e-4
_HALF_TOLERANCE = 0.05  # of the range of the outputs, for half precision in Keras 2
_PROBES = 4
_FREE_SIZE = 64  # pixels, for a model with a variable input size


def open_keras2(path: Path, kind: FileKind, size: int | None = None, allow_code: bool = False) -> keras.Model:
    """Returns a Keras 2 model as a Keras 3 model.

    Its layers are recreated in Keras 3 if both libraries give the same outputs; otherwise its frozen graph becomes one
    layer.

    Args:
        path: a `.keras` or HDF5 file.
        kind: which of the two.
        size: side of the square input, pixels, for a graph that takes images of any size.
        allow_code: accept code in the file: Lambda layers, any function of TensorFlow.

    Raises:
        RequestError: the file is damaged, contains code, needs a class that is not imported, or has no fixed input.
    """
    try:
        config = config_of(path)
    except Exception as error:
        raise RequestError(f"{path} is damaged: its configuration cannot be read: {cause(error)}") from error
    if not allow_code:
        keras2_config.check(config, path)
    try:
        with native_logs_silenced(), with_suffix(path, kind) as named:
            model = tf_keras.models.load_model(named, compile=False, safe_mode=not allow_code)
    except Exception as error:  # a damaged or hostile file can raise anything in tf_keras
        raise RequestError(f"{path} cannot be loaded as a Keras 2 model: {cause(error)}") from error
    if not getattr(model, "inputs", None) or not getattr(model, "outputs", None):
        raise RequestError(f"{path} has no fixed input; call the model on one batch of images and save it again.")
    return _converted(model) or _as_graph(model, path.name, size, allow_code)


def keras3_of(model: Any, name: str, size: int | None = None, graph: bool = True) -> keras.Model:
    """Returns a tf_keras model in memory as a Keras 3 model with a copy of its weights.

    Args:
        model: a tf_keras model.
        name: name of the model in messages.
        size: side of the square input, pixels, for a graph that takes images of any size.
        graph: return its frozen graph, which cannot be trained, if Keras 3 does not have its layers.

    Raises:
        RequestError: its input is not known, or it has several inputs or outputs or, without `graph`, layers that
            Keras 3 does not have.
    """
    with native_logs_silenced():
        is_functional = getattr(model, "inputs", None) and getattr(model, "outputs", None)
        converted = _converted(model) if is_functional else None
        if converted is not None:
            return converted
        if not graph:
            raise RequestError(
                f"{name} is a tf_keras (Keras 2) model with layers that Keras 3 does not have or computes otherwise; "
                "build it with `import keras`."
            )
        if is_functional:
            return _as_graph(model, name, size)
        specification = model.save_spec()
        if specification is None:
            raise RequestError(f"{name} does not say what it takes; call the model once before: model(images[:1]).")
        return _traced(model, name, tf.nest.flatten(specification), size)


def _as_graph(model: Any, name: str, size: int | None, allow_code: bool = False) -> keras.Model:
    inputs = [tf.TensorSpec(each.shape, each.dtype, each.name) for each in model.inputs]
    return _traced(model, name, inputs, size, allow_code)


def _traced(model: Any, name: str, inputs: list[Any], size: int | None, allow_code: bool = False) -> keras.Model:
    """Returns the frozen graph of a model with one input of a specification."""
    image = form.only(name, "inputs", {each.name or f"input {number}": each for number, each in enumerate(inputs)})
    shape = form.fixed_shape(name, tuple(image.shape), size)
    call = tf.function(lambda images: model(images, training=False))
    try:
        function = call.get_concrete_function(tf.TensorSpec(shape, image.dtype))
    except Exception as error:
        raise RequestError(f"{name} cannot be traced for images {shape}: {cause(error)}") from error
    return frozen_model(function, name, size, allow_code)


def _converted(model: Any) -> keras.Model | None:
    """Returns the same layers and weights in Keras 3, or None if the outputs differ."""
    try:
        copy = _Translation()(model)
        return copy if _agree(model, copy) else None
    except Exception:  # a layer or an argument that Keras 3 does not have; the graph is used instead
        return None


def _agree(model: Any, copy: keras.Model) -> bool:
    """Compares both on images of noise, over the usual ranges of training."""
    rng = np.random.default_rng(0)
    shape = [size or _FREE_SIZE for size in model.inputs[0].shape[1:]]
    batch = model.inputs[0].shape[0] or _PROBES
    is_half = any(str(layer.compute_dtype) in ("float16", "bfloat16") for layer in layers_of(model))
    for low, high in ((0, 255), (-1, 1)):
        images = rng.uniform(low, high, (batch, *shape)).astype(np.float32)
        expected = [np.asarray(each, np.float32) for each in tf.nest.flatten(model(images, training=False))]
        computed = [np.asarray(each, np.float32) for each in tf.nest.flatten(copy(images, training=False))]
        for theirs, ours in zip(expected, computed, strict=True):
            error = np.abs(theirs - ours).max() / max(float(np.abs(theirs).max()), 1e-6)
            if theirs.shape != ours.shape or not error <= (_HALF_TOLERANCE if is_half else TOLERANCE):
                return False
    return True


class _Translation:
    """Keras 3 layers for those of tf_keras, one per layer, so that shared layers stay shared."""

    def __init__(self) -> None:
        self._pairs: dict[int, tuple[Any, Any]] = {}

    def __call__(self, model: Any) -> keras.Model:
        """Returns a functional or sequential model with its weights."""
        copy = self._model(model)
        for theirs, ours in self._pairs.values():
            if isinstance(ours, keras.layers.Layer) and not isinstance(ours, keras.Model):
                _pass_weights(theirs, ours)
        return copy

    def _model(self, theirs: Any) -> keras.Model:
        """Returns the Keras 3 layers, connected like the nodes of tf_keras, in their order."""
        inputs = [
            keras.Input(tuple(each.shape[1:]), batch_size=each.shape[0], name=_named(each.node.layer))
            for each in theirs.inputs
        ]
        uses = keras2_uses(theirs)
        known = {_key(each): [ours] * uses[_key(each)] for each, ours in zip(theirs.inputs, inputs, strict=True)}
        for node in nodes(theirs):
            if not node.is_input:
                arguments, named = node.map_arguments(known)
                tensors = tf.nest.flatten(self._layer(node.layer)(*arguments, **named))
                if type(node.layer).__name__ in FUNCTION_LAYERS:
                    _name_operations(tensors, _named(node.layer))
                known |= {key: [each] * uses[key] for key, each in zip(node.flat_output_ids, tensors, strict=True)}
        outputs = tf.nest.pack_sequence_as(keras2_outputs(theirs), [known[_key(each)][-1] for each in theirs.outputs])
        return keras.Model(inputs if len(inputs) > 1 else inputs[0], outputs, name=_named(theirs))

    def _layer(self, theirs: Any) -> Callable[..., Any]:
        if id(theirs) not in self._pairs:
            self._pairs[id(theirs)] = (theirs, self._translated(theirs))
        return self._pairs[id(theirs)][1]

    def _translated(self, theirs: Any) -> Callable[..., Any]:
        name = type(theirs).__name__
        if isinstance(theirs, tf_keras.Model):
            return self._model(theirs)
        if name in FUNCTION_LAYERS:
            return _OPERATORS[theirs.symbol]
        kind = getattr(keras.layers, name)
        parameters = {*inspect.signature(kind.__init__).parameters, "name", "trainable", "activity_regularizer"}
        # Arguments unknown to Keras 3, such as batch_input_shape, seldom matter; the outputs are compared.
        config = {
            key: value
            for key, value in theirs.get_config().items()
            if key in parameters and not key.endswith(("_initializer", "_constraint"))
        }
        if name == "BatchNormalization" and not isinstance(config["axis"], int):
            (config["axis"],) = config["axis"]
        return kind.from_config(config | {"name": _named(theirs), "dtype": "float32"})


def _named(layer: Any) -> str:
    """Returns a layer's name without slashes, which Keras 3 does not allow, as in Keras 2's MobileNetV3."""
    return str(layer.name).replace("/", "_")


def _name_operations(tensors: list[Any], name: str) -> None:
    """Restores the names of operations, because a name that Keras 3 invents may be that of a layer."""
    for tensor in tensors:
        maker(tensor).name = name


def _key(tensor: Any) -> str:
    return str(id(tensor))


def _pass_weights(theirs: Any, ours: keras.layers.Layer) -> None:
    values = [value for value in theirs.get_weights() if value.dtype.kind != "i" or len(ours.weights) == 3]
    if ours.weights:
        ours.set_weights([value.astype(np.float32) for value in values])
    if isinstance(ours, keras.layers.Normalization):
        ours.finalize_state()


def _positional(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *values, **named: function(*values, *(value for key, value in named.items() if key != "name"))


def _reduction(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda input_tensor, axis=None, keepdims=False, name=None: function(input_tensor, axis, keepdims=keepdims)


def _to_float(value: Any, dtype: Any, name: str | None = None) -> Any:
    if not tf.as_dtype(dtype).is_floating:
        raise TypeError(f"a cast to {dtype} is no float32")
    return value


def _items(value: Any, slice_spec: Any) -> Any:
    def sliced(part: Any) -> Any:
        return slice(part["start"], part["stop"], part["step"]) if isinstance(part, dict) else part

    return value[tuple(map(sliced, slice_spec)) if isinstance(slice_spec, list | tuple) else sliced(slice_spec)]


_OPERATORS: dict[str, Callable[..., Any]] = {
    **{
        f"{part}.{name}": _positional(function)
        for part in ("math", "__operators__")
        for name, function in {
            **{"add": operator.add, "subtract": operator.sub, "sub": operator.sub, "multiply": operator.mul},
            **{"mul": operator.mul, "divide": operator.truediv, "truediv": operator.truediv, "pow": operator.pow},
            **{"radd": lambda x, y: y + x, "rsub": lambda x, y: y - x, "rmul": lambda x, y: y * x},
            **{"maximum": keras.ops.maximum, "minimum": keras.ops.minimum, "negative": operator.neg},
            **{"sqrt": keras.ops.sqrt, "square": keras.ops.square, "exp": keras.ops.exp, "abs": keras.ops.abs},
            **{"sigmoid": keras.ops.sigmoid, "tanh": keras.ops.tanh, "rsqrt": keras.ops.rsqrt},
        }.items()
    },
    **{
        f"math.reduce_{name}": _reduction(function)
        for name, function in {"mean": keras.ops.mean, "sum": keras.ops.sum, "max": keras.ops.max}.items()
    },
    **{f"nn.{name}": _positional(getattr(keras.ops, name)) for name in ("relu", "relu6", "silu", "sigmoid", "tanh")},
    "nn.swish": _positional(keras.ops.silu),
    "nn.gelu": lambda features, approximate=False, name=None: keras.ops.gelu(features, approximate),
    "nn.softmax": lambda logits, axis=-1, name=None: keras.ops.softmax(logits, -1 if axis is None else axis),
    "nn.bias_add": lambda value, bias, data_format=None, name=None: value + np.asarray(bias, np.float32),
    "cast": _to_float,
    "reshape": _positional(keras.ops.reshape),
    "concat": _positional(keras.ops.concatenate),
    "clip_by_value": _positional(keras.ops.clip),
    "expand_dims": _positional(keras.ops.expand_dims),
    "image.resize": lambda images, size, method="bilinear", **named: keras.ops.image.resize(images, size, method),
    "compat.v1.transpose": lambda a, perm=None, **named: keras.ops.transpose(a, perm),
    "__operators__.getitem": _items,
}
