"""The twin of a Keras 3 network in tf_keras, which TensorFlow's model optimization toolkit needs.

A student's twin is built from the student's own source; any other network's is built layer by layer. A twin has no
dropout: the short trainings of a compression start from trained weights, and what the compression does to them is
regularisation enough. So nothing in these trainings is random but the order of the images.
"""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tf_keras

from tfkd.compress.networks import built_with, calls, weighted_layers
from tfkd.errors import RequestError
from tfkd.models import student_source
from tfkd.recipe import Student

TOLERANCE = 1e-5
_PROBES = 4
_ACTIVATIONS = {
    **{name: name for name in ("linear", "relu", "sigmoid", "tanh", "softmax", "elu", "softplus")},
    "silu": "swish",
}
_COPIED: dict[str, tuple[str, ...]] = {
    "Conv2D": ("filters", "kernel_size", "strides", "padding", "dilation_rate", "groups", "activation", "use_bias"),
    "DepthwiseConv2D": (
        *("kernel_size", "strides", "padding", "depth_multiplier", "dilation_rate", "activation", "use_bias"),
    ),
    "Dense": ("units", "activation", "use_bias"),
    "BatchNormalization": ("axis", "momentum", "epsilon", "center", "scale"),
    "ReLU": ("max_value", "negative_slope", "threshold"),
    "Activation": ("activation",),
    "Rescaling": ("scale", "offset"),
    "ZeroPadding2D": ("padding",),
    "MaxPooling2D": ("pool_size", "strides", "padding"),
    "AveragePooling2D": ("pool_size", "strides", "padding"),
    "GlobalAveragePooling2D": ("keepdims",),
    "GlobalMaxPooling2D": ("keepdims",),
    "Flatten": (),
    "Reshape": ("target_shape",),
    "Add": (),
    "Multiply": (),
    "Concatenate": ("axis",),
    "Softmax": ("axis",),
}
_IDENTITIES = ("Dropout", "SpatialDropout2D", "GaussianNoise", "GaussianDropout", "AlphaDropout")


def student_twin(student: Student, model: keras.Model) -> tf_keras.Model:
    """Builds a student's twin from the same source and gives it the student's weights.

    Args:
        student: what the recipe says of it.
        model: the trained student, a batch of raw inputs to logits [B, classes].

    Returns:
        A tf_keras.Model that gives the same logits.

    Raises:
        RequestError: the twin does not give the same logits; the source of a user's own student may use layers that
            Keras and tf_keras understand differently.
    """
    source = student_source(student)
    try:
        twin = source(
            tf_keras,
            image_size=model.input_shape[1],
            classes=model.output_shape[-1],
            width=student.width,
            activation=student.activation,
            dropout=0.0,
            batch_norm_momentum=student.batch_norm_momentum,
        )
    except (RequestError, AttributeError, TypeError, ValueError) as error:
        raise RequestError(
            f"{student.model} cannot be built from tf_keras, which compression needs: {error}. Build it from "
            "k.Input, k.layers and k.Model alone."
        ) from error
    return _checked(_with_weights(_without_softmax(twin), model), model)


def twin_of(model: keras.Model) -> tf_keras.Model:
    """Builds the twin of any functional Keras 3 model, layer by layer; models inside it are laid out flat.

    Args:
        model: one float32 input to [B, classes], of layers that both libraries have.

    Returns:
        A tf_keras.Model that gives the same outputs.

    Raises:
        RequestError: a layer has no twin, or the outputs differ.
    """
    if not isinstance(model, keras.Model) or not hasattr(model, "inputs") or len(model.inputs) != 1:
        raise RequestError(f"{getattr(model, 'name', model)!r} is not a functional Keras model with one input.")
    return _checked(_with_weights(built_with(model, _translated), model), model)


def pass_weights(arrays: list[list[Any]], target: keras.Model) -> None:
    """Sets the weights of a Keras 3 network from those of its twin.

    Args:
        arrays: those of each layer that holds weights, in the order of the graph.
        target: the network whose twin they come from.
    """
    for layer, values in zip(weighted_layers(target), arrays, strict=True):
        layer.set_weights(values)


def _translated(layer: Any) -> Callable[[Any], Any] | None:
    """Returns the layer's twin, or None for one that does nothing in inference."""
    kind = type(layer).__name__
    if isinstance(layer, keras.Model):
        return lambda tensor: built_with(layer, _translated, tensor)
    if isinstance(layer, keras.layers.Layer) and kind in _IDENTITIES:
        return None
    if not isinstance(layer, keras.layers.Layer) or getattr(keras.layers, kind, None) is not type(layer):
        raise RequestError(_no_twin(layer, kind))
    if kind not in _COPIED:
        raise RequestError(_no_twin(layer, kind))
    config = layer.get_config()
    arguments = {key: config[key] for key in _COPIED[kind]}
    if "activation" in arguments:
        if arguments["activation"] not in _ACTIVATIONS:
            raise RequestError(_no_twin(layer, f"{kind} with activation {arguments['activation']!r}"))
        arguments["activation"] = _ACTIVATIONS[arguments["activation"]]
    return getattr(tf_keras.layers, kind)(name=layer.name, **arguments)


def _no_twin(layer: Any, kind: str) -> str:
    return (
        f"The layer {layer.name!r} is a {kind}, which compression does not know; build the network from "
        f"{', '.join(sorted(_COPIED))} (hard-swish as layers: see tfkd.models.layers)."
    )


def _without_softmax(twin: tf_keras.Model) -> tf_keras.Model:
    """Takes off the softmax that the source of a user's own student may end in, as it was taken off the student."""
    last = next(call for call in reversed(list(calls(twin))) if not _hands_on(call.layer))
    if isinstance(last.layer, tf_keras.layers.Softmax) or (
        isinstance(last.layer, tf_keras.layers.Activation) and _is_softmax(last.layer)
    ):
        return built_with(twin, lambda layer: None if layer is last.layer else layer)
    if _is_softmax(last.layer):
        last.layer.activation = tf_keras.activations.linear
    return twin


def _hands_on(layer: Any) -> bool:
    """Returns whether a layer gives what it takes, but for its shape."""
    linear = isinstance(layer, tf_keras.layers.Activation) and layer.activation is tf_keras.activations.linear
    return linear or type(layer).__name__ in (*_IDENTITIES, "Flatten", "Reshape", "Identity")


def _is_softmax(layer: Any) -> bool:
    return getattr(layer, "activation", None) in (tf_keras.activations.softmax, tf.nn.softmax)


def _with_weights(twin: tf_keras.Model, model: keras.Model) -> tf_keras.Model:
    theirs, ours = weighted_layers(model), weighted_layers(twin)
    shapes = [[[tuple(weight.shape) for weight in layer.weights] for layer in layers] for layers in (theirs, ours)]
    if shapes[0] != shapes[1]:
        raise RequestError(
            f"The tf_keras twin of {model.name!r} has other weights; its source must not ask which k it is."
        )
    for layer, twin_layer in zip(theirs, ours, strict=True):
        twin_layer.set_weights(layer.get_weights())
    return twin


def _checked(twin: tf_keras.Model, model: keras.Model) -> tf_keras.Model:
    """Compares both on real-valued probes: blurred noise over the whole raw range."""
    rng = np.random.default_rng(0)
    coarse = rng.uniform(0, 255, (_PROBES, 8, 8, 3)).astype(np.float32)
    probes = keras.ops.image.resize(coarse, model.input_shape[1:3], interpolation="bilinear")
    expected = keras.ops.convert_to_numpy(model(probes, training=False))
    given = np.asarray(twin(np.asarray(probes), training=False))
    error = np.abs(given - expected).max() / max(float(np.ptp(expected)), 1e-6)
    if not error <= TOLERANCE:
        raise RequestError(
            f"The tf_keras twin of {model.name!r} gives other logits: they differ by {error:.1e} of their range, more "
            f"than {TOLERANCE:g}. Keras and tf_keras understand one of its layers differently."
        )
    return twin
