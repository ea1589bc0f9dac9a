"""Channels that become blocks of positions of a feature map, and blocks that become channels."""

from typing import Any

import tensorflow as tf

from tfkd.verification.coreml.layout import shape


def depth_to_space(x: Any, block_size: Any) -> Any:
    """Spreads the channels of [n, block² c, h, w] over blocks of positions, the block's place first, as TensorFlow."""
    block, (depth, rows, columns) = _block(x, block_size, divides_channels=True)
    parts = tf.reshape(x, [-1, block, block, depth // block**2, rows, columns])
    laid = tf.transpose(parts, [0, 3, 4, 1, 5, 2])
    return tf.reshape(laid, [-1, depth // block**2, rows * block, columns * block])


def space_to_depth(x: Any, block_size: Any) -> Any:
    """Stacks blocks of positions of [n, c, block h, block w] as channels, the block's place first."""
    block, (depth, rows, columns) = _block(x, block_size, divides_channels=False)
    parts = tf.reshape(x, [-1, depth, rows // block, block, columns // block, block])
    laid = tf.transpose(parts, [0, 3, 5, 1, 2, 4])
    return tf.reshape(laid, [-1, depth * block**2, rows // block, columns // block])


def depth_to_space_by_channel(x: Any, upscale_factor: Any) -> Any:
    """Spreads the channels of [n, c block², h, w] over blocks of positions, the channel first (PyTorch's order)."""
    block, (depth, rows, columns) = _block(x, upscale_factor, divides_channels=True)
    parts = tf.reshape(x, [-1, depth // block**2, block, block, rows, columns])
    laid = tf.transpose(parts, [0, 1, 4, 2, 5, 3])
    return tf.reshape(laid, [-1, depth // block**2, rows * block, columns * block])


def reorganize_layer(layer: Any, x: Any) -> Any:
    kinds = {
        "SPACE_TO_DEPTH": space_to_depth,
        "DEPTH_TO_SPACE": depth_to_space,
        "PIXEL_SHUFFLE": depth_to_space_by_channel,
    }
    return kinds[type(layer).ReorganizationType.Name(layer.mode)](x, layer.blockSize)


def _block(x: Any, size: Any, divides_channels: bool) -> tuple[int, list[int]]:
    block, sizes = int(size), shape(x)[1:]
    divided = sizes[:1] if divides_channels else sizes[1:]
    if len(sizes) != 3 or block < 1 or any(each % (block**2 if divides_channels else block) for each in divided):
        raise ValueError(f"it rearranges {shape(x)} by blocks of {block}")
    return block, sizes
