"""Resizing of images by matrices.

An image of a fixed size is resized along each axis by a fixed linear map, whatever the kernel: a matrix [new, old] that
TensorFlow's own operator gives for the unit vectors. This keeps TensorFlow's results where a converter lacks the
operator (bicubic and antialiased resizing), needs a newer system for it or computes another one instead.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

_FLAGS = ("align_corners", "half_pixel_centers")
_RESIZERS: dict[str, Callable[..., Any]] = {
    "ResizeArea": tf.raw_ops.ResizeArea,
    "ResizeBicubic": tf.raw_ops.ResizeBicubic,
    "ResizeBilinear": tf.raw_ops.ResizeBilinear,
    "ResizeNearestNeighbor": tf.raw_ops.ResizeNearestNeighbor,
}
SCALE = "ScaleAndTranslate"

IN_NO_CONVERTER = ("ResizeArea", "ResizeBicubic", SCALE)


def axis_matrix(kind: str, old: int, new: int, **attributes: Any) -> np.ndarray:
    """Returns what an operator of TensorFlow does along one axis of an image.

    Args:
        kind: ResizeArea, ResizeBicubic, ResizeBilinear or ResizeNearestNeighbor.
        old: pixels of the image along the axis.
        new: pixels of the result.
        attributes: of the operator: align_corners, half_pixel_centers.

    Returns:
        float32 [new, old].
    """
    units = np.eye(old, dtype=np.float32).reshape(1, old, 1, old)
    resized = _RESIZERS[kind](images=units, size=[new, 1], **attributes)
    return resized.numpy().reshape(new, old)


def scale_matrix(old: int, new: int, scale: float, translation: float, kernel_type: str, antialias: bool) -> np.ndarray:
    """Returns what ScaleAndTranslate does along one axis of an image, float32 [new, old]; see `axis_matrix`."""
    resized = tf.raw_ops.ScaleAndTranslate(
        images=np.eye(old, dtype=np.float32).reshape(1, old, 1, old),
        size=[new, 1],
        scale=[scale, 1.0],
        translation=[translation, 0.0],
        kernel_type=kernel_type,
        antialias=antialias,
    )
    return resized.numpy().reshape(new, old)


def without_resizers(function: Any) -> Any:
    """Replaces the resizing operators of a frozen function that no converter knows by products with matrices.

    Args:
        function: a frozen concrete function of one image batch of static shape.

    Returns:
        A concrete function with the same input and outputs; the same one where there is nothing to replace.
    """
    while found := [each for each in function.graph.get_operations() if each.type in IN_NO_CONVERTER]:
        function = _without(function, found[0])
    return function


def resized(images: Any, rows: np.ndarray, columns: np.ndarray) -> Any:
    """Multiplies images [1, H, W, C] by matrices: rows float32 [H', H], columns float32 [W', W]."""
    channels_first = tf.transpose(images, [0, 3, 1, 2])
    wide = tf.matmul(channels_first, tf.constant(columns.T))
    high = tf.matmul(tf.transpose(wide, [0, 1, 3, 2]), tf.constant(rows.T))
    return tf.transpose(high, [0, 3, 2, 1])


def _without(function: Any, operator: Any) -> Any:
    rows, columns = _matrices(function, operator)
    definition = function.graph.as_graph_def()
    (image,), (output,) = function.inputs, function.outputs

    def replaced(pixels: Any) -> Any:
        replacements = {image.name: pixels}
        (before,) = tf.graph_util.import_graph_def(definition, replacements, [operator.inputs[0].name])
        replacements[operator.outputs[0].name] = resized(before, rows, columns)
        (after,) = tf.graph_util.import_graph_def(definition, replacements, [output.name])
        return after

    specification = tf.TensorSpec(image.shape, image.dtype, name=image.op.name)
    return convert_variables_to_constants_v2(
        tf.function(replaced, autograph=False).get_concrete_function(specification)
    )


def _matrices(function: Any, operator: Any) -> tuple[np.ndarray, np.ndarray]:
    """Returns the matrices of the rows and of the columns."""
    old = [int(size) for size in operator.inputs[0].shape[1:3]]
    new = [int(size) for size in operator.outputs[0].shape[1:3]]
    if operator.type != SCALE:
        flags = {name: operator.get_attr(name) for name in _FLAGS if name in operator.node_def.attr}
        rows, columns = (axis_matrix(operator.type, *sizes, **flags) for sizes in zip(old, new, strict=True))
        return rows, columns
    scales, translations = (_constant(function, operator.inputs[index]) for index in (2, 3))
    kernel, antialias = operator.get_attr("kernel_type").decode(), operator.get_attr("antialias")
    rows, columns = (
        scale_matrix(*each, kernel, antialias) for each in zip(old, new, scales, translations, strict=True)
    )
    return rows, columns


def _constant(function: Any, tensor: Any) -> list[float]:
    """Computes a tensor that does not depend on the image."""
    definition, (image,) = function.graph.as_graph_def(), function.inputs

    @tf.function(autograph=False)
    def value(pixels: Any) -> Any:
        return tf.graph_util.import_graph_def(definition, {image.name: pixels}, [tensor.name])[0]

    found, again = (value(tf.fill(image.shape, level)).numpy().tolist() for level in (0.0, 255.0))
    if found != again:
        raise ValueError("it resizes images by a factor that changes with the image")
    return [float(number) for number in found]
