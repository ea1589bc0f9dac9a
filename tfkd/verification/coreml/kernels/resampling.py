"""Feature maps of another size: along each axis a matrix [new, old] of the weights of the old samples."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfkd.verification.coreml.layout import shape
from tfkd.verification.coreml.limits import UnsupportedError

_LARGEST = 1 << 14  # samples along a side

Grid = Callable[[int, int], np.ndarray]


def _spaced(old: int, new: int, spacing: float, first: float = 0.0) -> np.ndarray:
    return np.clip(first + spacing * np.arange(new, dtype=np.float64), 0, old - 1)


def _strict_corners(old: int, new: int) -> np.ndarray:
    return _spaced(old, new, (old - 1) / max(new - 1, 1))


def _corners(old: int, new: int) -> np.ndarray:
    return _strict_corners(old, new) if new > 1 else np.array([(old - 1) / 2])


def _plain(old: int, new: int) -> np.ndarray:
    return _spaced(old, new, old / new)


def _offset(old: int, new: int) -> np.ndarray:
    delta = max(1, old - 1) / new
    return _spaced(old, new, delta, delta / 2)


def _centres(old: int, new: int) -> np.ndarray:
    return _spaced(old, new, old / new, old / new / 2 - 0.5)


# Where the new samples lie between the old ones, as coremltools' documentation of `resize_bilinear` has it.
GRIDS: dict[str, Grid] = {
    "STRICT_ALIGN_CORNERS": _strict_corners,
    "ALIGN_CORNERS": _corners,
    "DEFAULT": _plain,
    "OFFSET_CORNERS": _offset,
    "UNALIGN_CORNERS": _centres,
}
_METHODS = {
    "STRICT_ALIGN_ENDPOINTS_MODE": "STRICT_ALIGN_CORNERS",
    "ALIGN_ENDPOINTS_MODE": "ALIGN_CORNERS",
    "UPSAMPLE_MODE": "DEFAULT",
    "ROI_ALIGN_MODE": "OFFSET_CORNERS",
}
_UPSAMPLE = {
    "DEFAULT": "DEFAULT",
    "ALIGN_CORNERS_TRUE": "STRICT_ALIGN_CORNERS",
    "ALIGN_CORNERS_FALSE": "UNALIGN_CORNERS",
}


def resize_bilinear(
    x: Any, target_size_height: Any = 1, target_size_width: Any = 1, sampling_mode: str = "DEFAULT"
) -> Any:
    """Interpolates height and width, the last two axes, linearly."""
    if sampling_mode not in GRIDS:
        raise UnsupportedError(f"it samples in the unknown way {sampling_mode}")
    return _resampled(x, [target_size_height, target_size_width], _linear(GRIDS[sampling_mode]))


def resize_nearest_neighbor(x: Any, target_size_height: Any, target_size_width: Any) -> Any:
    return _resampled(x, [target_size_height, target_size_width], _nearest)


def upsample_bilinear(
    x: Any,
    scale_factor_height: Any = 1,
    scale_factor_width: Any = 1,
    align_corners: Any = True,
    half_pixel_centers: Any = None,
) -> Any:
    """Interpolates linearly; without aligned corners from the samples' centres, unless that is said to be off."""
    if align_corners:
        grid = "STRICT_ALIGN_CORNERS"
    else:
        grid = "UNALIGN_CORNERS" if half_pixel_centers in (None, True) else "DEFAULT"
    rows, columns = _scaled(x, scale_factor_height, scale_factor_width)
    return resize_bilinear(x, rows, columns, grid)


def upsample_nearest_neighbor(x: Any, scale_factor_height: Any = 1, scale_factor_width: Any = 1) -> Any:
    return resize_nearest_neighbor(x, *_scaled(x, scale_factor_height, scale_factor_width))


def upsample_layer(layer: Any, x: Any) -> Any:
    factors = list(layer.fractionalScalingFactor) or list(layer.scalingFactor) or [1, 1]
    rows, columns = _scaled(x, *factors)
    if type(layer).InterpolationMode.Name(layer.mode) == "NN":
        return resize_nearest_neighbor(x, rows, columns)
    return resize_bilinear(x, rows, columns, _UPSAMPLE[type(layer).LinearUpsampleMode.Name(layer.linearUpsampleMode)])


def resize_bilinear_layer(layer: Any, x: Any) -> Any:
    method = type(layer.mode).Method.Name(layer.mode.samplingMethod)
    rows, columns = list(layer.targetSize) or [1, 1]
    return resize_bilinear(x, rows, columns, _METHODS[method])


def _scaled(x: Any, *factors: Any) -> list[int]:
    return [int(size * float(factor)) for size, factor in zip(shape(x)[-2:], factors, strict=True)]


def _resampled(x: Any, size: Sequence[Any], matrix: Callable[[int, int], np.ndarray]) -> Any:
    new = [int(side) for side in size]
    if len(x.shape) < 3 or not all(1 <= side <= _LARGEST for side in new):
        raise ValueError(f"it resizes {shape(x)} to {new}")
    rows, columns = (matrix(old, each) for old, each in zip(shape(x)[-2:], new, strict=True))
    wide = tf.matmul(x, columns.T.astype(np.float32))
    return tf.matmul(rows.astype(np.float32), wide)


def _linear(grid: Grid) -> Callable[[int, int], np.ndarray]:
    def matrix(old: int, new: int) -> np.ndarray:
        places = grid(old, new)
        low = np.floor(places).astype(int)
        weights = np.zeros((new, old))
        np.add.at(weights, (np.arange(new), low), 1 - (places - low))
        np.add.at(weights, (np.arange(new), np.minimum(low + 1, old - 1)), places - low)
        return weights

    return matrix


def _nearest(old: int, new: int) -> np.ndarray:
    return np.eye(old)[np.arange(new) * old // new]
