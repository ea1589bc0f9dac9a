"""Shared parts of the students: rounding of channels, and activations of layers that Keras and tf_keras share.

`k` is a layers namespace, `keras` or `tf_keras`: one source builds the Keras student and its tf_keras copy.
"""

from typing import Any


def channels(count: float) -> int:
    """Rounds a scaled channel count to a multiple of 8, never below 8 nor by more than 10 % down.

    The rule of MobileNetV2's published code (Sandler et al. 2018, arXiv:1801.04381).
    """
    rounded = max(8, int(count + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * count else rounded


def stem_stride(image_size: int) -> int:
    """Returns the first convolution's stride: below 64 px it drops to 1, so that 32 px still end in a 2 x 2 map."""
    return 2 if image_size >= 64 else 1


def normalise(k: Any, x: Any) -> Any:
    """Maps raw pixels 0..255 to x/128 - 1, which equals the quantization of an int8 file's uint8 input."""
    return k.layers.Rescaling(scale=1.0 / 128.0, offset=-1.0, name="rescale")(x)


def activate(k: Any, x: Any, kind: str, name: str) -> Any:
    """Applies relu, relu6, silu or hard_swish as layers."""
    if kind == "relu":
        return k.layers.ReLU(name=name)(x)
    if kind == "relu6":
        return k.layers.ReLU(max_value=6.0, name=name)(x)
    if kind == "silu":
        return k.layers.Activation("swish", name=name)(x)
    if kind == "hard_swish":
        return k.layers.Multiply(name=name)([x, hard_sigmoid(k, x, f"{name}_gate")])
    raise ValueError(f"unknown activation {kind!r}")


def hard_sigmoid(k: Any, x: Any, name: str) -> Any:
    """Computes relu6(x + 3) / 6 (Howard et al. 2019, arXiv:1905.02244).

    Keras's layer of that name is this one, but tf_keras's is 0.2 x + 0.5 clipped: hence the three plain layers.
    """
    x = k.layers.Rescaling(scale=1.0, offset=3.0, name=f"{name}_shift")(x)
    x = k.layers.ReLU(max_value=6.0, name=f"{name}_clip")(x)
    return k.layers.Rescaling(scale=1.0 / 6.0, name=f"{name}_scale")(x)
