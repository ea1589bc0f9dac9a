"""What lies beyond the borders of a feature map, for convolution and pooling."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tfkd.verification.coreml.limits import UnsupportedError

_LARGEST = 1 << 16  # positions of a border, a stride, a kernel: a sound model is far below, a hostile one is stopped


@dataclass(frozen=True)
class Borders:
    """Rows and columns that are added on each side, and TensorFlow's own name for them where it has one."""

    name: str | None
    top: int
    bottom: int
    left: int
    right: int

    @property
    def amounts(self) -> list[list[int]]:
        """As tf.pad takes them for [n, H, W, C]."""
        return [[0, 0], [self.top, self.bottom], [self.left, self.right], [0, 0]]

    def of_convolution(self) -> Any:
        """As tf.nn takes them; with a name it uses its faster kernels."""
        return self.name or self.amounts


NONE = Borders("VALID", 0, 0, 0, 0)


def positive(sizes: Sequence[int]) -> list[int]:
    """Returns two sizes, down and right.

    Raises:
        ValueError: they are not two, or not from 1 to a sane limit.
    """
    counted = [int(size) for size in sizes]
    if len(counted) != 2 or not all(1 <= size <= _LARGEST for size in counted):
        raise ValueError(f"{counted} are not two sizes from 1 to {_LARGEST}")
    return counted


def borders(
    pad_type: str, pad: Sequence[int], extent: Sequence[int], strides: Sequence[int], size: Sequence[int]
) -> Borders:
    """Returns the borders of a kind of padding.

    Args:
        pad_type: valid (none); same (output = ceil(input / stride), the odd row and column at the bottom and
            right); same_lower (at the top and left); or custom.
        pad: top, bottom, left, right; read if `pad_type` is custom.
        extent: height and width of the window, dilation included.
        strides: down and right.
        size: height and width of the map.

    Raises:
        ValueError: there is no such kind, or the amounts are none.
    """
    if pad_type == "valid":
        return NONE
    if pad_type == "custom":
        amounts = [int(amount) for amount in pad]
        if len(amounts) != 4 or not all(0 <= amount <= _LARGEST for amount in amounts):
            raise ValueError(f"{amounts} are not four borders from 0 to {_LARGEST}")
        return Borders(None, *amounts) if any(amounts) else NONE
    missing = [
        max((-(-length // stride) - 1) * stride + window - length, 0)
        for length, stride, window in zip(size, strides, extent, strict=True)
    ]
    halves = [(amount // 2, amount - amount // 2) for amount in missing]
    if pad_type == "same":
        return Borders("SAME", *halves[0], *halves[1])
    if pad_type == "same_lower":
        return Borders(None, *halves[0][::-1], *halves[1][::-1])
    raise UnsupportedError(f"it pads in the unknown way {pad_type}")


def layer_borders(layer: Any, oneof: str) -> tuple[str, list[int]]:
    """Returns the `pad_type` and `pad` of a neural network's convolution or pooling."""
    kind = layer.WhichOneof(oneof) or "valid"
    if kind == "same":
        return "same" if layer.same.asymmetryMode == 0 else "same_lower", []
    if kind != "valid":
        raise UnsupportedError(f"it pads in the unknown way {kind}")
    edges = layer.valid.paddingAmounts.borderAmounts
    return "custom", [size for edge in edges for size in (edge.startEdgeSize, edge.endEdgeSize)] or [0, 0, 0, 0]
