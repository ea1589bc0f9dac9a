"""Base of the losses on features: taps, shapes, layers, and resizing of maps."""

import math
from typing import Any

import numpy as np
import tensorflow as tf

from tfkd.distill.losses.base import DistillationLoss, precise
from tfkd.errors import RequestError

_MOST_BEFORE_PATCHES = 8  # a class token and registers


class FeatureDistillationLoss(DistillationLoss):
    """A distillation loss between a feature of the teacher and one of the student."""

    def predictions(self, teacher: Any, student: Any) -> tuple[Any, Any]:
        """Returns both features as float32 (float64 where both are).

        Args:
            teacher: any float dtype, [batch, ...].
            student: any float dtype, [batch, ...].

        Raises:
            RequestError: the batches differ, or a feature has no batch.
        """
        if not (teacher.shape.rank and student.shape.rank and teacher.shape[:1].is_compatible_with(student.shape[:1])):
            raise RequestError(
                f"{self.name}: teacher feature {teacher.shape} and student feature {student.shape} must be of the same "
                "examples; give both with the same batch."
            )
        teacher, student = precise(teacher, student)
        return teacher, student

    def built(self) -> list[Any]:
        """Returns the loss's layers.

        Raises:
            RequestError: the loss was not built.
        """
        if not self.layers:
            raise RequestError(f"{self.name} has no layers yet; call its build(teacher shape, student shape) first.")
        return self.layers

    @property
    def precision(self) -> str:
        """Dtype of the loss's layers: float32 under any policy, float64 where the loss itself is float64."""
        return "float64" if self.dtype == "float64" else "float32"

    def get_config(self) -> dict[str, Any]:
        """Returns the config for `from_config`."""
        return {**super().get_config(), "teacher_tap": self.teacher_tap, "student_tap": self.student_tap}


def grid_shape(shape: tuple[int, ...], loss: str, tap: str) -> tuple[int, ...]:
    """Returns the shape of a feature as a map: tokens (tokens, channels) of a vision transformer become a square grid.

    Tokens before those of the patches, a class token and registers, are left out. Other shapes are unchanged.

    Args:
        shape: of a feature, without the batch.
        loss: name of the loss in messages.
        tap: tap of the feature.

    Raises:
        RequestError: the tokens of the patches are no square.
    """
    if len(shape) != 2 or shape[0] is None:
        return shape
    side = math.isqrt(shape[0])
    if shape[0] - side**2 > _MOST_BEFORE_PATCHES:
        raise RequestError(
            f"{loss}: {tap!r} has {shape[0]} tokens, which are no square of patches after at most "
            f"{_MOST_BEFORE_PATCHES} others; name a tap of maps [batch, h, w, channels]."
        )
    return (side, side, shape[1])


def as_grid(feature: Any, loss: str, tap: str) -> Any:
    """Returns tokens [batch, tokens, channels] as maps [batch, side, side, channels], other features unchanged."""
    if feature.shape.rank != 3:
        return feature
    rows, columns, channels = grid_shape(tuple(feature.shape[1:]), loss, tap)
    return tf.reshape(feature[:, -rows * columns :], [-1, rows, columns, channels])


def state(layer: Any, shape: tuple[int, ...], name: str, initializer: Any = "zeros", dtype: str | None = None) -> Any:
    """Adds a weight that the layer itself updates: all replicas compute the same value, the first is used."""
    return layer.add_weight(
        shape=shape, initializer=initializer, dtype=dtype, trainable=False, aggregation="only_first_replica", name=name
    )


def resized(maps: Any, height: int, width: int) -> Any:
    """Returns maps resized by antialiased bilinear interpolation, as `tf.image.resize` does.

    Two products with constant matrices: they have deterministic gradients on every device and under XLA, which the
    antialiased `tf.image.resize` has not.

    Args:
        maps: float, [batch, h, w, channels] of a fixed size.
        height: of the result.
        width: of the result.

    Returns:
        [batch, h, w, channels], of the same dtype.
    """
    if tuple(maps.shape[1:3]) == (height, width):
        return maps
    rows, columns = (
        tf.constant(_interpolation(old, new), maps.dtype)
        for old, new in zip(maps.shape[1:3], (height, width), strict=True)
    )
    return tf.einsum("yh,bhwc,xw->byxc", rows, maps, columns)


def _interpolation(old: int, new: int) -> Any:
    """Returns the weights [new, old] of a triangle filter, as wide as the larger of an old and a new position."""
    scale = old / new
    offsets = (np.arange(new)[:, None] + 0.5) * scale - (np.arange(old) + 0.5)
    weights = np.maximum(0, 1 - np.abs(offsets) / max(scale, 1))
    return weights / weights.sum(axis=1, keepdims=True)
