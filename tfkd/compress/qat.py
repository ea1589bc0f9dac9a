"""Quantization-aware distillation: training with the rounding of the int8 file."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from tfkd.compress.keeping import keeping
from tfkd.compress.networks import built_with, calls, weighted_layers
from tfkd.compress.prepared import Prepared, compressible
from tfkd.compress.rounding import SMALLEST, FrozenStatistics, InputRounding, Rounded
from tfkd.compress.toolkit import tfmot
from tfkd.errors import RequestError
from tfkd.files import replacing
from tfkd.recipe import QuantizationAware

RESCALE = (1 / 128, -1.0)  # scale and offset of the rescale (see tfkd.models.layers.normalise)
_layers = tf_keras.layers
_KERNELS: dict[Any, str] = {
    _layers.Conv2D: "kernel",
    _layers.DepthwiseConv2D: "depthwise_kernel",
    _layers.Dense: "kernel",
}
_ROUNDED: tuple[Any, ...] = (
    _layers.BatchNormalization,
    _layers.ReLU,
    _layers.Activation,
    _layers.Rescaling,
    _layers.Add,
    _layers.Multiply,
    _layers.GlobalAveragePooling2D,
    _layers.AveragePooling2D,
    _layers.Concatenate,
)
_SAME_RANGE: tuple[Any, ...] = (
    _layers.InputLayer,
    _layers.Dropout,
    _layers.Flatten,
    _layers.Reshape,
    _layers.MaxPooling2D,
    _layers.GlobalMaxPooling2D,
    _layers.ZeroPadding2D,
)
_FUSES_WITH_RELU: tuple[Any, ...] = (
    *_KERNELS,
    _layers.BatchNormalization,
    _layers.Rescaling,
    _layers.Add,
    _layers.Multiply,
)
_ADDED = 64  # largest ratio of an addend to the range of the other operand
_ACTIVATIONS = ("linear", "relu", "swish", "sigmoid", "tanh")


def prepare(copy: tf_keras.Model, block: QuantizationAware, steps: int, before: tuple[str, ...]) -> Prepared:
    """Returns the copy with rounding of every tensor that is int8 in the file, ready to train.

    The rescale of the raw input stays outside, with a fixed output range, so that the uint8 input of the file is the
    raw input. Weights that are zero after pruning, or equal after clustering, stay so.

    Args:
        copy: a batch of raw inputs to logits [B, classes].
        block: its block of the recipe.
        steps: steps of the training; ignored.
        before: kinds of the earlier compressions.

    Raises:
        RequestError: the int8 form of a layer is unknown, or the network does not begin with the rescale.
    """
    wrap = tfmot.quantization.keras.QuantizeWrapperV2
    outputs = _rounded_outputs(copy)
    rescale = _first_rescaling(copy)
    scale, offset = RESCALE
    original = {layer.name: list(layer.weights) for layer in weighted_layers(copy)}
    constraints = {
        id(layer.kernel): keeping(layer.kernel.numpy(), before) for layer in (compressible(copy) if before else ())
    }

    def changed(layer: Any) -> Callable[[Any], Any] | None:
        if layer is rescale:
            return None
        if isinstance(layer, _layers.BatchNormalization):
            frozen = FrozenStatistics.from_config(layer.get_config())
            frozen.build(layer.input_shape)
            for weight, original_weight in zip(frozen.weights, layer.weights, strict=True):
                weight.assign(original_weight)
            original[layer.name] = list(frozen.weights)
            return wrap(frozen, Rounded(None, outputs.get(layer.name)))
        kernel = _KERNELS.get(type(layer))
        if kernel is None and layer.name not in outputs:
            return layer
        return wrap(layer, Rounded(kernel, outputs.get(layer.name)))

    start = tf_keras.Input(copy.input_shape[1:], name="image")
    rounded = InputRounding(offset, 255 * scale + offset, name="pixels")(start)
    network = tf_keras.Model(start, built_with(copy, changed, rounded), name=copy.name)

    def weights() -> list[list[Any]]:
        return [[variable.numpy() for variable in variables] for variables in original.values()]

    return Prepared(network, weights, RESCALE, constraints)


def save(network: tf_keras.Model, folder: Path) -> None:
    """Writes a trained network as a SavedModel for TFLite's converter.

    Its signature serving_default maps `image`, one float32 example as x/128 - 1, to `logits`, float32 [1, classes].
    Kernels are constants on their grids, ranges of activations are FakeQuant operators.

    Args:
        network: a trained network of `prepare`.
        folder: folder to write atomically.
    """
    for layer in network.layers:
        if isinstance(layer, tfmot.quantization.keras.QuantizeWrapperV2):
            layer.quantize_config.rounding.constant = True
    specification = tf.TensorSpec([1, *network.input_shape[1:]], tf.float32, name="image")
    # Frozen first, because TensorFlow would also save the functions of every layer of a model that it can reach.
    logits = tf.function(lambda image: network(image, training=False), jit_compile=False)
    constant = convert_variables_to_constants_v2(logits.get_concrete_function(specification))
    module = tf.Module()
    module.serve = tf.function(lambda image: {"logits": constant(image)[0]}, input_signature=[specification])
    with replacing(folder) as partial:
        options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)  # swish has one that can't be saved
        tf.saved_model.save(module, str(partial), signatures={"serving_default": module.serve}, options=options)


def _first_rescaling(copy: tf_keras.Model) -> Any:
    """Returns the rescale that is the first layer of the network.

    Raises:
        RequestError: the first layer is another one.
    """
    first: list[Any] = [call.layer for call in calls(copy) if call.inputs and call.inputs[0] is copy.inputs[0]]
    if len(first) == 1 and isinstance(first[0], _layers.Rescaling) and (first[0].scale, first[0].offset) == RESCALE:
        return first[0]
    raise RequestError(
        f"Quantization-aware training needs {copy.name!r} to begin with Rescaling(1/128, -1), which becomes the scale "
        f"of the int8 input, not with {', '.join(type(layer).__name__ for layer in first)}."
    )


def _rounded_outputs(copy: tf_keras.Model) -> dict[str, float]:
    """Returns the layers whose output is a separate tensor in the int8 file, each with its narrowest range.

    Excluded are outputs that the converter fuses (a convolution followed by batch normalisation, either followed by
    ReLU), and outputs used only in a concatenation, because int8 concatenates tensors of one range.
    """
    every = list(calls(copy))
    consumers: dict[int, list[Any]] = {}
    for call in every:
        for tensor in call.inputs:
            consumers.setdefault(id(tensor), []).append(call.layer)
    ranges: dict[str, float] = {}
    for call in every:
        _check(call.layer)
        following = consumers.get(id(call.output), [])
        alone = following[0] if len(following) == 1 else None
        if type(call.layer) in (*_KERNELS, *_ROUNDED) and not _fuses(call.layer, alone):
            ranges[call.layer.name] = max([SMALLEST, *map(_needed_range, following)])
    return ranges


def _needed_range(consumer: Any) -> float:
    """Returns the smallest input range that a layer needs.

    XNNPACK adds only tensors whose scales differ by less than 2**8. In x + 3, as in a hard sigmoid, a range of x below
    the resolution of the sum has no effect and would not run on the delegate.
    """
    return float(np.abs(consumer.offset).max()) / _ADDED if isinstance(consumer, _layers.Rescaling) else 0.0


def _fuses(layer: Any, following: Any) -> bool:
    """Returns whether the converter fuses a layer with the only one that uses its output."""
    if isinstance(following, _layers.Concatenate):
        return True
    if getattr(layer, "activation", tf_keras.activations.linear) is not tf_keras.activations.linear:
        return False
    if isinstance(following, _layers.BatchNormalization):
        return isinstance(layer, tuple(_KERNELS))
    return isinstance(layer, _FUSES_WITH_RELU) and _is_relu(following)


def _is_relu(layer: Any) -> bool:
    if isinstance(layer, _layers.Activation):
        return layer.activation is tf_keras.activations.relu
    return (
        isinstance(layer, _layers.ReLU)
        and layer.max_value in (None, 6)
        and not (layer.threshold or layer.negative_slope)
    )


def _check(layer: Any) -> None:
    known = (*_KERNELS, *_ROUNDED, *_SAME_RANGE)
    if type(layer) not in known:
        raise RequestError(
            f"Quantization-aware training does not support {type(layer).__name__} (layer {layer.name!r}); remove "
            f"it from the network, or 'qat' from compress. "
            f"Supported: {', '.join(sorted(kind.__name__ for kind in known))}."
        )
    activation = getattr(layer, "activation", tf_keras.activations.linear).__name__
    allowed = _ACTIVATIONS if isinstance(layer, _layers.Activation) else ("linear", "relu")
    if activation not in allowed:
        raise RequestError(
            f"Quantization-aware training does not support {type(layer).__name__} with activation {activation!r} "
            f"(layer {layer.name!r}); use one of {', '.join(allowed)}, or an Activation layer."
        )
