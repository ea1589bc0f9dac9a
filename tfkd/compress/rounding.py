"""Rounding of weights and activations to int8 during training, for the wrappers of the toolkit."""

from typing import Any

import tensorflow as tf
import tf_keras

from tfkd.compress.toolkit import tfmot

_Quantizer: Any = tfmot.quantization.keras.quantizers.Quantizer
_QuantizeConfig: Any = tfmot.quantization.keras.QuantizeConfig

RANGE_MOMENTUM = 0.99
SMALLEST = 1e-6  # smallest width of a range, for channels of zeros


class ChannelRounding(_Quantizer):
    """Rounds a kernel to 255 symmetric levels, with one range per output channel.

    The range is that of the weights as they are, so that nothing is left to be stale: the toolkit's own quantizer
    keeps the range of the step before. A depthwise kernel has an output channel for each input channel and multiplier,
    where the toolkit gives all of them one range.

    Reference: Krishnamoorthi, "Quantizing deep convolutional networks for efficient inference", 2018,
    arXiv:1806.08342, section 3.1.

    Args:
        depthwise: the kernel is [height, width, channels, multiplier], not [..., channels].

    Attributes:
        constant: whether graphs traced from now on hold the rounded kernel as a constant. TFLite's converter refuses a
            depthwise kernel that is rounded in the graph; from a constant on its grid it finds the same grid again.
    """

    def __init__(self, depthwise: bool) -> None:
        self.depthwise = depthwise
        self.constant = False

    def build(self, tensor_shape: Any, name: str, layer: Any) -> dict[str, Any]:
        """Creates no variables."""
        return {}

    def __call__(self, inputs: Any, training: bool, weights: dict[str, Any], **kwargs: Any) -> Any:
        """Returns the rounded kernel; gradients ignore the rounding."""
        return self._constant(inputs) if self.constant else self._rounded(inputs)

    @tf.autograph.experimental.do_not_convert
    def _constant(self, kernel: Any) -> Any:
        with tf.init_scope():  # outside the graph that is being traced
            value = self._rounded(kernel).numpy()
        return tf.constant(value)

    def _rounded(self, kernel: Any) -> Any:
        """Returns a kernel on its grid, in its own shape."""
        flat = tf.reshape(kernel, [-1, kernel.shape[2] * kernel.shape[3]]) if self.depthwise else kernel
        axes = list(range(flat.shape.rank - 1))
        limit = tf.stop_gradient(tf.maximum(tf.reduce_max(tf.abs(flat), axis=axes), SMALLEST))
        rounded = tf.quantization.fake_quant_with_min_max_vars_per_channel(flat, -limit, limit, narrow_range=True)
        return tf.reshape(rounded, kernel.shape)

    def get_config(self) -> dict[str, Any]:
        """Returns what `from_config` needs."""
        return {"depthwise": self.depthwise}


class RangeRounding(_Quantizer):
    """Rounds activations to 256 levels in a range that is a moving average of the ranges of the batches.

    The toolkit's own starts from -6..6 and moves by a thousandth a step, which a training of some hundred steps
    doesn't get away from.

    Reference: Jacob et al., "Quantization and training of neural networks for efficient integer-arithmetic-only
    inference", 2018, arXiv:1712.05877, section 3.1.

    Args:
        smallest: width of the narrowest range.
    """

    def __init__(self, smallest: float) -> None:
        self.smallest = smallest

    def build(self, tensor_shape: Any, name: str, layer: Any) -> dict[str, Any]:
        """Creates the variables of the range, both 0 before the first batch."""
        return {
            end: layer.add_weight(f"{name}_{end}", shape=(), initializer="zeros", trainable=False)
            for end in ("low", "high")
        }

    def __call__(self, inputs: Any, training: bool, weights: dict[str, Any], **kwargs: Any) -> Any:
        """Returns the rounded activations; those outside the range are clipped and get no gradient."""
        low, high = weights["low"], weights["high"]
        if training:
            batch_range = tf.stop_gradient(
                (tf.minimum(tf.reduce_min(inputs), 0.0), tf.maximum(tf.reduce_max(inputs), 0.0))
            )
            weight = tf.where(high - low > 0, 1.0 - RANGE_MOMENTUM, 1.0)
            low, high = (
                low.assign(low + weight * (batch_range[0] - low)),
                high.assign(high + weight * (batch_range[1] - high)),
            )
        return tf.quantization.fake_quant_with_min_max_vars(inputs, low, tf.maximum(high, low + self.smallest))

    def get_config(self) -> dict[str, Any]:
        """Returns what `from_config` needs."""
        return {"smallest": self.smallest}


class Rounded(_QuantizeConfig):
    """The rounding of one layer.

    Args:
        kernel: name of the layer's attribute that holds its kernel, or None.
        output: width of the narrowest range of the layer's output, or None where the output is no tensor of the int8
            file but fused away.
    """

    def __init__(self, kernel: str | None, output: float | None) -> None:
        self.kernel = kernel
        self.output = output
        self.rounding = ChannelRounding(depthwise=kernel == "depthwise_kernel")

    def get_weights_and_quantizers(self, layer: Any) -> list[tuple[Any, Any]]:
        """Returns the kernel, if any, and its rounding."""
        return [] if self.kernel is None else [(getattr(layer, self.kernel), self.rounding)]

    def set_quantize_weights(self, layer: Any, quantize_weights: list[Any]) -> None:
        """Replaces the layer's kernel by the rounded one."""
        for kernel in quantize_weights:
            setattr(layer, str(self.kernel), kernel)

    def get_activations_and_quantizers(self, layer: Any) -> list[tuple[Any, Any]]:
        """Returns nothing, because an activation is rounded as the output."""
        return []

    def set_quantize_activations(self, layer: Any, quantize_activations: list[Any]) -> None:
        """Sets nothing."""
        return  # AutoGraph needs a statement in this method

    def get_output_quantizers(self, layer: Any) -> list[Any]:
        """Returns the rounding of the output, if any."""
        return [] if self.output is None else [RangeRounding(self.output)]

    def get_config(self) -> dict[str, Any]:
        """Returns what `from_config` needs."""
        return {"kernel": self.kernel, "output": self.output}


class InputRounding(tf_keras.layers.Layer):
    """Rounds a raw input to the uint8 levels, whose range gives the int8 file's input its scale.

    Args:
        low: value of a raw 0.
        high: value of a raw 255.
    """

    def __init__(self, low: float, high: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.low = low
        self.high = high

    def call(self, inputs: Any) -> Any:
        """Returns the inputs, clipped to the range and rounded to its 256 levels."""
        return tf.quantization.fake_quant_with_min_max_args(inputs, min=self.low, max=self.high)


class FrozenStatistics(tf_keras.layers.BatchNormalization):
    """Batch normalisation by the moving statistics, also in training; scale and shift are trained.

    The int8 file folds it into the convolution before it, so the network has to train with what will be folded
    (Krishnamoorthi 2018, arXiv:1806.08342, section 3.2.2).
    """

    def call(self, inputs: Any, training: Any = None) -> Any:
        """Returns the inputs normalised as in inference."""
        return super().call(inputs, training=False)
