"""Logits and probabilities: which of the two a classifier outputs, and its conversion to float32 logits.

The graph decides if it can: the last operation, before those that only copy, cast or move values, is a softmax, a
sigmoid, a bias or a logarithm. If it cannot (a mean of several softmaxes, a hand-written normalisation), the values
decide: numbers from 0 to 1 whose rows sum to 1 are probabilities. This is wrong only for a classifier whose logits
have this property for each of the different test images.

A softmax is removed, which gives the exact logits. If it is not accessible, as inside a subclassed model, the logits
are the logarithms of the probabilities.
"""

from dataclasses import dataclass, replace
from typing import Any, Literal

import keras
import numpy as np
import tensorflow as tf

from tfkd.errors import RequestError, cause
from tfkd.kernels.keras_private import call_behind, forget_calls, maker, output_number, structure
from tfkd.models.graph_end import EndKind, ending

ROUNDED = 1e-2  # error of a sum of probabilities rounded to half precision or to a few decimals
_PROBES = 8
_FREE_SIDE = 64  # for an input of variable size


@dataclass(frozen=True)
class Classifier:
    """A model and the kind of its outputs.

    Attributes:
        logits: a model of float32 logits [batch, classes], with the layers and weights of the model.
        probabilities: whether the model itself outputs probabilities.
    """

    logits: keras.Model
    probabilities: bool


def with_logits(
    model: Any, name: str, input_shape: tuple[int | None, ...] | None = None, exact: bool = False
) -> keras.Model:
    """Returns a classifier with float32 logits; see `classifier`."""
    return classifier(model, name, input_shape, exact).logits


def classifier(
    model: Any, name: str, input_shape: tuple[int | None, ...] | None = None, exact: bool = False
) -> Classifier:
    """Returns a model, and one with its float32 logits, which is the same if it outputs them already.

    The model itself is not changed.

    Args:
        model: a Keras model with one output [batch, classes].
        name: name of the model in messages.
        input_shape: shape with the batch; needed for a subclassed model that has never been called.
        exact: refuse a softmax that cannot be removed, instead of taking the logarithm of the probabilities.

    Raises:
        RequestError: it is not a Keras 3 model of one output, it outputs one number per image, it ends in a sigmoid per
            class, or its softmax is not over all classes.
    """
    graph = as_graph(model, name, input_shape)
    (output,) = graph.outputs
    if output.shape[-1] == 1:
        raise RequestError(single_message(name))
    end = _end(output)
    if end.kind == "sigmoid":
        raise RequestError(sigmoid_message(name))
    if end.kind == "logits":
        return Classifier(_in_float32(graph, output), probabilities=False)
    tolerance = 1e-3 if end.dtype == "float32" else ROUNDED
    predictions = _test_predictions(graph, [output] if end.logits is None else [output, end.logits])
    if end.kind != "softmax" and not (predictions and are_probabilities(predictions[0], tolerance)):
        return Classifier(_in_float32(graph, output), probabilities=False)
    if end.logits is not None and (not predictions or _agree(predictions[0], predictions[1], tolerance)):
        return Classifier(_in_float32(graph, end.logits), probabilities=True)
    if predictions and predictions[0].sum(axis=-1).max() > 1 + tolerance:
        raise RequestError(
            f"{name} ends in a softmax that is not over all of its {output.shape[-1]} outputs: they sum to "
            f"{predictions[0].sum(axis=-1).max():.3g}.  Train it with one softmax over all classes."
        )
    if exact:
        raise RequestError(
            f"{name} ends in a softmax inside {_maker(output)}, from which it cannot be removed; end the model in "
            "its logits, or in keras.layers.Softmax."
        )
    return Classifier(_in_float32(graph, _logarithm(output, end.dtype)), probabilities=True)


def as_graph(model: Any, name: str, input_shape: tuple[int | None, ...] | None = None) -> keras.Model:
    """Returns a model as a functional graph of one output tensor; a subclassed model becomes a single layer of it.

    Raises:
        RequestError: it is no Keras 3 model, has several outputs, or its input is not known.
    """
    if not isinstance(model, keras.Model):
        raise RequestError(_no_model(model, name))
    inputs = symbolic(model, "inputs") if is_graph(model) else _inputs(model, name, input_shape)
    if not is_graph(model):
        try:
            outputs = model(inputs)
        except Exception as error:
            raise RequestError(f"{name} cannot be called on an input {input_shape}: {cause(error)}") from error
    if is_graph(model):  # a sequential model becomes one when it is called
        inputs, outputs = symbolic(model, "inputs"), symbolic(model, "outputs")
    tensors = keras.tree.flatten(outputs)
    if len(tensors) != 1:
        raise RequestError(
            f"{name} has {len(tensors)} outputs, and tfkd needs one; choose it by its number: "
            "keras.Model(model.inputs, model.outputs[0])."
        )
    if is_graph(model) and isinstance(outputs, keras.KerasTensor):
        return model
    return keras.Model(inputs, tensors[0], name=model.name)


def is_graph(operation: Any) -> bool:
    """Returns whether a layer is a functional or sequential model that computes what its graph of layers says."""
    if not isinstance(operation, keras.Model) or not getattr(operation, "built", False):
        return False
    plain = type(operation).call.__qualname__ in ("Functional.call", "Sequential.call")
    return plain and bool(getattr(operation, "outputs", None))


def symbolic(model: keras.Model, which: Literal["inputs", "outputs"]) -> Any:
    """Returns the symbolic inputs or outputs of a graph in the structure of the model."""
    return structure(model, which)


def are_probabilities(values: np.ndarray, tolerance: float = ROUNDED) -> bool:
    """Returns whether rows [n, classes] are probabilities: none is negative, and each sums to 1 within a tolerance."""
    values = np.asarray(values, np.float64)
    return bool((values >= 0).all() and (np.abs(values.sum(axis=-1) - 1) < tolerance).all())


def logits_of(values: Any) -> Any:
    """Returns a batch of predictions, float [batch, classes], as logits: probabilities become their logarithms.

    The values of this batch decide, in the graph: see `are_probabilities`.
    """
    wide = values if values.dtype == tf.float64 else tf.cast(values, tf.float32)
    near = tf.abs(tf.reduce_sum(wide, axis=-1) - 1.0) < ROUNDED
    certain = tf.reduce_all(wide >= 0) & tf.reduce_all(near)
    return tf.where(certain, logarithm(wide, values.dtype), wide)


def logarithm(probabilities: Any, dtype: Any = "float32") -> Any:
    """Returns finite logits of probabilities: their logarithm in float32 (float64 where they are).

    Args:
        probabilities: float [..., classes].
        dtype: dtype of their computation; 0 is replaced by its smallest positive number.
    """
    wide = probabilities if probabilities.dtype == tf.float64 else tf.cast(probabilities, tf.float32)
    return tf.math.log(tf.maximum(wide, smallest(dtype)))


def smallest(dtype: Any) -> float:
    """Returns the smallest positive probability of a dtype, without float32's subnormals."""
    return 6e-8 if tf.as_dtype(dtype) == tf.float16 else float(np.finfo(np.float32).tiny)


def sigmoid_message(name: str) -> str:
    """Returns why a model that ends in a sigmoid is refused."""
    return (
        f"{name} ends in a sigmoid for each class, so that several may be true; train it with one softmax over all "
        "classes."
    )


def single_message(name: str, kind: str = "image") -> str:
    """Returns why a model that gives one number per example of a kind of input is refused."""
    return (
        f"{name} gives one number per {kind}, as a sigmoid for two classes does; give it an output for each of its two "
        "classes: keras.layers.Dense(2)."
    )


@dataclass(frozen=True)
class FrozenLogits:
    """A frozen TensorFlow classifier with accessible logits.

    Attributes:
        function: frozen, one image to [values].
        classes: number of outputs.
        probabilities: whether the classifier itself outputs probabilities.
        logarithm: whether the function outputs them too, so that their logarithm is needed.
    """

    function: Any
    classes: int
    probabilities: bool
    logarithm: bool = False

    def __call__(self, image: Any) -> Any:
        """Returns float32 logits [1, classes] of one image."""
        values = tf.reshape(tf.cast(self.function(image)[0], tf.float32), [1, self.classes])
        # Smaller values are rounding in an exported file, and would widen the range of an int8 file.
        return tf.math.log(tf.maximum(values, 1e-7)) if self.logarithm else values


def frozen_logits(whole: Any, name: str, predictions: np.ndarray) -> FrozenLogits:
    """Returns the logits of a frozen TensorFlow graph; a softmax that is its last operation is cut off.

    Args:
        whole: frozen concrete function of one image to [values], shape [1, classes].
        name: name of the model in messages.
        predictions: outputs of the classifier for different images, float [n, classes], to judge the values.

    Raises:
        RequestError: it ends in a sigmoid for each class, or in a softmax that is not over all classes.
    """
    end, classes = ending(whole.outputs[0], whole.inputs), predictions.shape[-1]
    if end.kind == "sigmoid":
        raise RequestError(sigmoid_message(name))
    if end.kind == "logits":
        return FrozenLogits(whole, classes, probabilities=False)
    finite = predictions[np.isfinite(predictions).all(axis=-1)]
    probabilities = bool(len(finite)) and are_probabilities(finite)
    if end.kind != "softmax":
        return FrozenLogits(whole, classes, probabilities, logarithm=probabilities)
    if len(finite) and not probabilities:
        sums = finite.sum(axis=-1)
        raise RequestError(
            f"{name} ends in a softmax, but its {classes} outputs sum to {sums[np.abs(sums - 1).argmax()]:.3g} "
            "and not to 1; end it in one softmax over all classes."
        )
    if end.moved or end.tensor.shape[-1] != classes:
        return FrozenLogits(whole, classes, probabilities=True, logarithm=True)
    return FrozenLogits(whole.prune(whole.inputs, [end.argument]), classes, probabilities=True)


@dataclass(frozen=True)
class _OutputEnd:
    """The end of a Keras graph.

    Attributes:
        kind: as in `tfkd.models.graph_end.Ending`.
        logits: symbolic logits, if a softmax could be removed.
        dtype: dtype of the last operation.
    """

    kind: EndKind
    dtype: str
    logits: Any = None


def _end(output: Any) -> _OutputEnd:
    """Walks from a symbolic output back through layers that only pass values on, into nested models."""
    operation, node = _origin(output)
    number = output_number(output)
    if is_graph(operation):
        end = _end(operation.outputs[number])
        if end.logits is None:
            return end
        inside = keras.Model(symbolic(operation, "inputs"), end.logits, name=operation.name)
        return replace(end, logits=inside(*node.arguments.args, **node.arguments.kwargs))
    found = _traced(operation, node, number) if node.input_tensors else None
    if found is None:
        return _OutputEnd("unknown", output.dtype)
    last, inputs = found
    if last.kind == "input":
        source = node.input_tensors[_index(last.tensor, inputs)]
        end = _end(source)
        if end.logits is None:
            return end
        return replace(end, logits=_called(operation, node, number, {id(source): end.logits}))
    if last.kind != "softmax":
        return _OutputEnd(last.kind, output.dtype)
    return _OutputEnd("softmax", last.tensor.dtype.name, _taken_off(operation, node, output, last, inputs))


def _taken_off(operation: Any, node: Any, output: Any, last: Any, inputs: list[Any]) -> Any:
    """Returns the output of a layer without its softmax, or None if the softmax is not accessible."""
    before = last.before(inputs)
    if before.kind == "input":
        source = node.input_tensors[_index(before.tensor, inputs)]
        return source if source.shape == output.shape else None
    if _is_softmax(getattr(operation, "activation", None), output):
        return _linear(operation)(*node.arguments.args, **node.arguments.kwargs)
    return None


def _is_softmax(activation: Any, output: Any) -> bool:
    """Returns whether an activation function is a softmax, whatever its name."""
    if not callable(activation):
        return False
    try:
        traced = tf.function(lambda values: activation(values), autograph=False).get_concrete_function(
            tf.TensorSpec(output.shape, output.dtype)
        )
    except Exception:  # a user's function can raise anything
        return False
    end = ending(traced.outputs[0], traced.inputs)
    return end.kind == "softmax" and end.before(traced.inputs).kind == "input"


def _linear(layer: Any) -> Any:
    """Returns a layer with the weights of another, but no activation; does not change the other layer."""
    copy = object.__new__(type(layer))  # copy.copy would save and load it, and give it weights of its own
    copy.__dict__.update(layer.__dict__)
    forget_calls(copy)
    copy.activation = keras.activations.linear
    return copy


def _traced(operation: Any, node: Any, number: int) -> tuple[Any, list[Any]] | None:
    """Traces one layer in inference mode; returns the end of its graph and the placeholders of its inputs."""
    symbolic = node.input_tensors

    def run(*values: Any) -> Any:
        filled = {id(tensor): value for tensor, value in zip(symbolic, values, strict=True)}
        args, kwargs = node.arguments.fill_in(filled)
        return keras.tree.flatten(operation(*args, **kwargs))[number]

    specs = [tf.TensorSpec(tensor.shape, tensor.dtype) for tensor in symbolic]
    try:
        traced = tf.function(run, autograph=False).get_concrete_function(*specs)
    except Exception:  # a user's layer can raise anything
        return None
    inputs = traced.inputs[: len(symbolic)]
    return ending(traced.outputs[0], inputs), inputs


def _origin(tensor: Any) -> tuple[Any, Any]:
    return maker(tensor), call_behind(tensor)


def _maker(tensor: Any) -> str:
    operation, _ = _origin(tensor)
    return f"{operation.name!r} ({type(operation).__name__})"


def _called(operation: Any, node: Any, number: int, replaced: dict[int, Any]) -> Any:
    args, kwargs = node.arguments.convert(lambda value: replaced.get(id(value), value))
    return keras.tree.flatten(operation(*args, **kwargs))[number]


def _index(tensor: Any, tensors: list[Any]) -> int:
    return next(number for number, other in enumerate(tensors) if tensor is other)


def _in_float32(graph: Any, output: Any) -> keras.Model:
    if output.dtype in ("float16", "bfloat16"):
        output = keras.ops.cast(output, "float32")
    if output is graph.outputs[0]:
        return graph
    return keras.Model(symbolic(graph, "inputs"), output, name=graph.name)


def _logarithm(output: Any, dtype: str) -> Any:
    """`logarithm` as Keras operations, which a saved model can name."""
    wide = keras.ops.cast(output, "float32")
    return keras.ops.log(keras.ops.maximum(wide, smallest(dtype)))


def _test_predictions(graph: Any, outputs: list[Any]) -> list[np.ndarray]:
    """Returns the finite outputs of a graph for different inputs; [] if it cannot be run."""
    models = [keras.Model(symbolic(graph, "inputs"), output) for output in outputs]
    inputs = [_noise(tensor) for tensor in models[0].inputs]
    try:
        predictions = [_prediction(model, inputs) for model in models]
    except Exception:  # inputs that only the user can create, such as token numbers
        return []
    finite = np.all([np.isfinite(values).all(axis=-1) for values in predictions], axis=0)
    return [values[finite] for values in predictions] if finite.any() else []


def _prediction(model: keras.Model, inputs: list[np.ndarray]) -> np.ndarray:
    fixed = any(tensor.shape[0] for tensor in model.inputs)
    batches = [[values[[number]] for values in inputs] for number in range(_PROBES)] if fixed else [inputs]
    form = symbolic(model, "inputs")
    return np.concatenate(
        [
            np.asarray(tf.cast(model(keras.tree.pack_sequence_as(form, batch), training=False), tf.float64))
            for batch in batches
        ]
    )


def _noise(tensor: Any) -> np.ndarray:
    """Returns inputs of many kinds: pixels of 0 to 255, of 0 to 1 and of -1 to 1, smooth and not, bright and dark."""
    rng = np.random.default_rng(0)
    shape = (_PROBES, *(side or _FREE_SIDE for side in tensor.shape[1:]))
    if "float" not in tensor.dtype:
        return rng.integers(0, 256 if tensor.dtype == "uint8" else 2, shape).astype(tensor.dtype)
    noise = rng.uniform(0, 1, shape)
    flat = rng.uniform(0, 1, (_PROBES, *[1] * (len(shape) - 2), shape[-1]))
    values = noise * rng.uniform(0, 1, (_PROBES, *[1] * (len(shape) - 1))) + flat * (1 - noise)
    scales = np.resize([255.0, 255.0, 1.0, 255.0], _PROBES).reshape(-1, *[1] * (len(shape) - 1))
    shifts = np.resize([0.0, 0.0, -0.5, -128.0], _PROBES).reshape(scales.shape)
    return (values * scales + shifts).astype("float32")


def _finite(values: np.ndarray) -> np.ndarray:
    return values[np.isfinite(values).all(axis=-1)]


def _agree(output: np.ndarray, logits: np.ndarray, tolerance: float) -> bool:
    """Returns whether a model outputs the softmax of logits, up to a factor per row if classes are left out."""
    if logits.shape != output.shape or (output < 0).any():
        return False
    totals = output.sum(axis=-1, keepdims=True)
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    expected = powers / powers.sum(axis=-1, keepdims=True)
    known = totals[:, 0] > 0
    return bool(np.abs(output[known] / totals[known] - expected[known]).max(initial=0) < tolerance)


def _inputs(model: Any, name: str, input_shape: tuple[int | None, ...] | None) -> Any:
    """Returns symbolic inputs for a model without any."""
    if getattr(model, "inputs", None):
        return keras.tree.map_structure(
            lambda tensor: keras.Input(batch_shape=tensor.shape, dtype=tensor.dtype), symbolic(model, "inputs")
        )
    built = (model.get_build_config() or {}).get("input_shape")
    shape = built if isinstance(built, (tuple, list)) else input_shape
    if shape is None:
        raise RequestError(f"{name} does not say what it takes; call the model once before: model(images[:1]).")
    return keras.Input(batch_shape=(None, *shape[1:]))


def is_tf_keras(model: Any) -> bool:
    """Returns whether a model is of tf_keras (Keras 2), without importing it."""
    return any(kind.__module__.split(".")[0] == "tf_keras" for kind in type(model).__mro__)


def _no_model(model: Any, name: str) -> str:
    if is_tf_keras(model):
        return (
            f"{name} is a model of tf_keras (Keras 2); save it as an .h5 or .keras file and give that, or build it "
            "with `import keras`."
        )
    return f"{name} is a {type(model).__name__}, not a keras.Model."
