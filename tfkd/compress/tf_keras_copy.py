"""Copies of Keras 3 networks in tf_keras, which TensorFlow's model optimization toolkit needs.

The copy of a student is built from the student's source, that of any other network layer by layer. A copy has no
dropout: the short trainings of a compression start from trained weights, and the compression itself regularises. The
order of the images is therefore the only random part of these trainings.
"""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tf_keras

from tfkd.compress.networks import built_with, calls, weighted_layers
from tfkd.errors import RequestError
from tfkd.inputs import signature_of
from tfkd.models import student_function
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


def student_copy(student: Student, model: keras.Model) -> tf_keras.Model:
    """Builds the tf_keras copy of a student from the same source, with the student's weights.

    Args:
        student: its block of the recipe.
        model: the trained student, a batch of raw inputs to logits [B, classes].

    Returns:
        A tf_keras.Model that gives the same logits.

    Raises:
        RequestError: the copy does not give the same logits, as when a user's own student uses layers that
            differ between Keras and tf_keras.
    """
    build = student_function(student, signature_of(model), model.output_shape[-1], dropout=0.0)
    try:
        copy = build(tf_keras)
    except (RequestError, AttributeError, TypeError, ValueError) as error:
        raise RequestError(
            f"{student.model} cannot be built from tf_keras, which compression needs: {error}. Use only "
            "k.Input, k.layers and k.Model."
        ) from error
    return _checked(_with_weights(_without_softmax(copy), model), model)


def copy_layer_by_layer(model: keras.Model) -> tf_keras.Model:
    """Builds the tf_keras copy of any functional Keras 3 model, layer by layer; nested models are flattened.

    Args:
        model: one float32 input to [B, classes], of layers that both libraries have.

    Returns:
        A tf_keras.Model that gives the same outputs.

    Raises:
        RequestError: a layer cannot be copied, or the outputs differ.
    """
    if not isinstance(model, keras.Model) or not hasattr(model, "inputs") or len(model.inputs) != 1:
        raise RequestError(f"{getattr(model, 'name', model)!r} is not a functional Keras model with one input.")
    return _checked(_with_weights(built_with(model, _translated), model), model)


def pass_weights(arrays: list[list[Any]], target: keras.Model) -> None:
    """Sets the weights of a Keras 3 network from those of its tf_keras copy.

    Args:
        arrays: weights of each layer that has any, in the order of the graph.
        target: the original of the copy.
    """
    for layer, values in zip(weighted_layers(target), arrays, strict=True):
        layer.set_weights(values)


def _translated(layer: Any) -> Callable[[Any], Any] | None:
    """Returns the tf_keras layer, or None for a layer without effect at inference."""
    kind = type(layer).__name__
    if isinstance(layer, keras.Model):
        return lambda tensor: built_with(layer, _translated, tensor)
    if isinstance(layer, keras.layers.Layer) and kind in _IDENTITIES:
        return None
    if not isinstance(layer, keras.layers.Layer) or getattr(keras.layers, kind, None) is not type(layer):
        raise RequestError(_unsupported(layer, kind))
    if kind not in _COPIED:
        raise RequestError(_unsupported(layer, kind))
    config = layer.get_config()
    arguments = {key: config[key] for key in _COPIED[kind]}
    if "activation" in arguments:
        if arguments["activation"] not in _ACTIVATIONS:
            raise RequestError(_unsupported(layer, f"{kind} with activation {arguments['activation']!r}"))
        arguments["activation"] = _ACTIVATIONS[arguments["activation"]]
    return getattr(tf_keras.layers, kind)(name=layer.name, **arguments)


def _unsupported(layer: Any, kind: str) -> str:
    return (
        f"The layer {layer.name!r} is a {kind}, which compression does not know; build the network from "
        f"{', '.join(sorted(_COPIED))} (hard-swish as layers: see tfkd.models.layers)."
    )


def _without_softmax(copy: tf_keras.Model) -> tf_keras.Model:
    """Removes a final softmax, which was removed from the student as well."""
    last = next(call for call in reversed(list(calls(copy))) if not _is_identity(call.layer))
    if isinstance(last.layer, tf_keras.layers.Softmax) or (
        isinstance(last.layer, tf_keras.layers.Activation) and _is_softmax(last.layer)
    ):
        return built_with(copy, lambda layer: None if layer is last.layer else layer)
    if _is_softmax(last.layer):
        last.layer.activation = tf_keras.activations.linear
    return copy


def _is_identity(layer: Any) -> bool:
    """Returns whether a layer changes at most the shape of its input."""
    linear = isinstance(layer, tf_keras.layers.Activation) and layer.activation is tf_keras.activations.linear
    return linear or type(layer).__name__ in (*_IDENTITIES, "Flatten", "Reshape", "Identity")


def _is_softmax(layer: Any) -> bool:
    return getattr(layer, "activation", None) in (tf_keras.activations.softmax, tf.nn.softmax)


def _with_weights(copy: tf_keras.Model, model: keras.Model) -> tf_keras.Model:
    originals, copies = weighted_layers(model), weighted_layers(copy)
    shapes = [[[tuple(weight.shape) for weight in layer.weights] for layer in layers] for layers in (originals, copies)]
    if shapes[0] != shapes[1]:
        raise RequestError(
            f"The tf_keras copy of {model.name!r} has other weights; its source must not depend on which k it gets."
        )
    for original, layer in zip(originals, copies, strict=True):
        layer.set_weights(original.get_weights())
    return copy


def _checked(copy: tf_keras.Model, model: keras.Model) -> tf_keras.Model:
    """Compares the outputs of both for blurred noise over the whole raw range."""
    rng = np.random.default_rng(0)
    coarse = rng.uniform(0, 255, (_PROBES, 8, 8, 3)).astype(np.float32)
    probes = keras.ops.image.resize(coarse, model.input_shape[1:3], interpolation="bilinear")
    expected = keras.ops.convert_to_numpy(model(probes, training=False))
    actual = np.asarray(copy(np.asarray(probes), training=False))
    error = np.abs(actual - expected).max() / max(float(np.ptp(expected)), 1e-6)
    if not error <= TOLERANCE:
        raise RequestError(
            f"The tf_keras copy of {model.name!r} gives other logits: they differ by {error:.1e} of their range, more "
            f"than {TOLERANCE:g}. One of its layers differs between Keras and tf_keras."
        )
    return copy
