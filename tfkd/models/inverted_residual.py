"""Inverted residual blocks (Sandler et al. 2018, arXiv:1801.04381), of which the mobile families consist."""

from dataclasses import dataclass, replace
from typing import Any

from tfkd.models.layers import activate, channels, hard_sigmoid


@dataclass(frozen=True)
class InvertedResidual:
    """One row of a paper's table.

    Attributes:
        kernel: side of the depthwise kernel after the expansion; 0: no such convolution.
        expansion: channels of the depthwise convolution relative to those of the input; 1: no expansion.
        filters: output channels at width 1.
        stride: of the depthwise convolution after the expansion.
        squeeze_excite: whether the channels are weighted before the projection.
        relu: ReLU, whatever the activation of the student.
        start: side of the kernel of a depthwise convolution before the expansion; 0: no such convolution.
    """

    kernel: int
    expansion: float
    filters: int
    stride: int = 1
    squeeze_excite: bool = False
    relu: bool = False
    start: int = 0


@dataclass(frozen=True)
class StageShape:
    """Blocks of equal shape, of which the first has the stride."""

    kernel: int
    repeats: int
    filters: int
    expansion: int
    stride: int

    def blocks(self) -> list[InvertedResidual]:
        first = InvertedResidual(self.kernel, self.expansion, self.filters, self.stride)
        return [first, *[replace(first, stride=1)] * (self.repeats - 1)]


@dataclass(frozen=True)
class Convolutions:
    """Convolutions without bias, each with batch normalisation and maybe an activation, named as those of a family.

    Attributes:
        k: `keras` or `tf_keras`.
        activation: activation of the network.
        momentum: of the moving statistics.
        epsilon: of the batch normalisation.
        symmetric: pads both borders alike at stride 2, as PyTorch does; "same" pads even sides at the end only.
        conv_suffix: end of the names of convolutions.
        activation_suffix: end of the names of activations.
    """

    k: Any
    activation: str
    momentum: float
    epsilon: float = 1e-3
    symmetric: bool = False
    conv_suffix: str = ""
    activation_suffix: str = "_act"

    def conv(self, x: Any, filters: int, name: str, activation: str | None, kernel: int = 1, stride: int = 1) -> Any:
        """Applies a convolution; `activation` None leaves its output linear."""
        x, padding = self._padded(x, name, kernel, stride)
        layer = self.k.layers.Conv2D(
            filters, kernel, strides=stride, padding=padding, use_bias=False, name=f"{name}{self.conv_suffix}"
        )
        return self.normalised(layer(x), name, activation)

    def depthwise(self, x: Any, kernel: int, name: str, activation: str | None, stride: int = 1) -> Any:
        """Applies a depthwise convolution; `activation` None leaves its output linear."""
        x, padding = self._padded(x, name, kernel, stride)
        layer = self.k.layers.DepthwiseConv2D(
            kernel, strides=stride, padding=padding, use_bias=False, name=f"{name}{self.conv_suffix}"
        )
        return self.normalised(layer(x), name, activation)

    def normalised(self, x: Any, name: str, activation: str | None) -> Any:
        """Applies batch normalisation, then the activation unless it is None."""
        norm = self.k.layers.BatchNormalization(epsilon=self.epsilon, momentum=self.momentum, name=f"{name}_bn")
        x = norm(x)
        return activate(self.k, x, activation, f"{name}{self.activation_suffix}") if activation else x

    def _padded(self, x: Any, name: str, kernel: int, stride: int) -> tuple[Any, str]:
        if kernel == 1:
            return x, "valid"
        if stride == 1 or not self.symmetric:
            return x, "same"
        return self.k.layers.ZeroPadding2D(kernel // 2, name=f"{name}_pad")(x), "valid"


def inverted_residual(layers: Convolutions, x: Any, block: InvertedResidual, filters: int, prefix: str) -> Any:
    """Applies a block.

    Args:
        layers: convolutions of the family.
        x: feature map.
        block: row of the table.
        filters: output channels at the width of the network.
        prefix: start of the names of all layers.
    """
    shortcut, incoming = x, x.shape[-1]
    activation = "relu" if block.relu else layers.activation
    if block.start:
        x = layers.depthwise(x, block.start, f"{prefix}start", None)
    if block.expansion != 1:
        x = layers.conv(x, channels(incoming * block.expansion), f"{prefix}expand", activation)
    if block.kernel:
        x = layers.depthwise(x, block.kernel, f"{prefix}depthwise", activation, block.stride)
    if block.squeeze_excite:
        x = _squeeze_excite(layers.k, x, f"{prefix}squeeze_excite_")
    x = layers.conv(x, filters, f"{prefix}project", None)
    if block.stride == 1 and incoming == filters:
        x = layers.k.layers.Add(name=f"{prefix}add")([shortcut, x])
    return x


def _squeeze_excite(k: Any, x: Any, prefix: str) -> Any:
    size = x.shape[-1]
    gate = k.layers.GlobalAveragePooling2D(name=f"{prefix}avg_pool")(x)
    gate = k.layers.Dense(channels(size * 0.25), name=f"{prefix}conv")(gate)
    gate = k.layers.ReLU(name=f"{prefix}relu")(gate)
    gate = k.layers.Dense(size, name=f"{prefix}conv_1")(gate)
    gate = hard_sigmoid(k, gate, f"{prefix}gate")
    gate = k.layers.Reshape((1, 1, size), name=f"{prefix}reshape")(gate)
    return k.layers.Multiply(name=f"{prefix}mul")([x, gate])
