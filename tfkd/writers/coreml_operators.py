"""Conversions of TensorFlow operators that coremltools lacks, or has for newer systems or other results only.

They are registered through coremltools' public `register_tf_op`; importing this module is enough.
"""

from typing import Any, Literal

import numpy as np

from tfkd.quiet import native_logs_silenced
from tfkd.writers.resizing import axis_matrix

with native_logs_silenced():  # away from macOS the import logs every library that it misses
    from coremltools.converters.mil import Builder, register_tf_op


@register_tf_op(override=True)
def Erfc(context: Any, node: Any) -> None:  # noqa: N802  (the operator's name)
    """Writes 1 - erf(x); TensorFlow computes exact GELU with it."""
    erf = Builder.erf(x=context[node.inputs[0]])
    context.add(node.name, Builder.sub(x=np.float32(1), y=erf, name=node.name))


@register_tf_op(override=True)
def Expm1(context: Any, node: Any) -> None:  # noqa: N802
    """Writes exp(x) - 1; TensorFlow computes CELU with it."""
    exp = Builder.exp(x=context[node.inputs[0]])
    context.add(node.name, Builder.sub(x=exp, y=np.float32(1), name=node.name))


@register_tf_op(override=True)
def Rint(context: Any, node: Any) -> None:  # noqa: N802
    context.add(node.name, Builder.round(x=context[node.inputs[0]], name=node.name))


@register_tf_op(override=True)
def MirrorPad(context: Any, node: Any) -> None:  # noqa: N802
    """Takes the mirrored rows and columns one by one: coremltools 9 writes symmetric padding as reflection."""
    padded = context[node.inputs[0]]
    mode: Literal["reflect", "symmetric"] = "symmetric" if node.attr["mode"] == "SYMMETRIC" else "reflect"
    for axis, amounts in enumerate(context[node.inputs[1]].val):
        if any(amounts):
            places = np.pad(np.arange(padded.shape[axis]), (int(amounts[0]), int(amounts[1])), mode)
            padded = Builder.gather(x=padded, indices=places.astype(np.int32), axis=axis)
    context.add(node.name, Builder.identity(x=padded, name=node.name))


@register_tf_op(override=True)
def Roll(context: Any, node: Any) -> None:  # noqa: N802
    """Takes rows and columns in their rolled order, as attention in shifted windows does."""
    rolled = context[node.inputs[0]]
    shifts, axes = (np.atleast_1d(context[name].val).tolist() for name in node.inputs[1:3])
    for shift, axis in zip(shifts, axes, strict=True):
        places = np.roll(np.arange(rolled.shape[axis]), shift)
        rolled = Builder.gather(x=rolled, indices=places.astype(np.int32), axis=axis)
    context.add(node.name, Builder.identity(x=rolled, name=node.name))


@register_tf_op(override=True)
def ResizeBilinear(context: Any, node: Any) -> None:  # noqa: N802
    """Multiplies by matrices: Core ML has bilinear resizing as TensorFlow computes it since iOS 14 only."""
    _resize("ResizeBilinear", context, node)


@register_tf_op(override=True)
def ResizeNearestNeighbor(context: Any, node: Any) -> None:  # noqa: N802
    """Multiplies by matrices: coremltools 9 interpolates linearly where the size is no multiple of the old one."""
    _resize("ResizeNearestNeighbor", context, node)


def _resize(kind: str, context: Any, node: Any) -> None:
    images, size = context[node.inputs[0]], context[node.inputs[1]]
    flags = {name: bool(node.attr.get(name, False)) for name in ("align_corners", "half_pixel_centers")}
    if size.val is None:
        raise ValueError("it resizes images to a size that changes with the image")
    rows, columns = (
        axis_matrix(kind, int(old), int(new), **flags) for old, new in zip(images.shape[1:3], size.val, strict=True)
    )
    channels_first = Builder.transpose(x=images, perm=[0, 3, 1, 2])
    wide = Builder.matmul(x=channels_first, y=columns.T)
    high = Builder.matmul(x=Builder.transpose(x=wide, perm=[0, 1, 3, 2]), y=rows.T)
    context.add(node.name, Builder.transpose(x=high, perm=[0, 3, 2, 1], name=node.name))
