"""Real photos that go into or beside the exported files: for calibration and as golden images."""

import numpy as np

from tfkd.data.dataset import Dataset, Split


def calibration(data: Dataset, size: int, count: int, seed: int) -> np.ndarray:
    """Picks the images whose activations set the ranges of quantized files: training images, never test images.

    Where a source has no training images (see tfkd.data.open_evaluation), they come from those that are measured.

    Args:
        data: where to pick from.
        size: side of the square result, pixels.
        count: how many photos; all of a smaller split.
        seed: draws the photos.

    Returns:
        uint8 [count, size, size, 3].
    """
    images, _ = photos(data.train if len(data.train) else data.test, size, count, seed)
    return images


def photos(split: Split, size: int, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Picks photos of a split, as many of each class as possible, and brings them to a model's input size.

    Args:
        split: where to pick from.
        size: side of the square result, pixels.
        count: how many photos; all of a smaller split.
        seed: draws the photos.

    Returns:
        images uint8 [count, size, size, 3], and their positions in the split, int64 [count].
    """
    positions = in_turn(split.labels, count, seed)
    return at(split, positions, size), positions


def at(split: Split, positions: np.ndarray, size: int) -> np.ndarray:
    """Brings the photos at these positions of a split, at least one, to a model's input size.

    Returns:
        uint8 [len(positions), size, size, 3].
    """
    from tfkd.data.batches import plain_batches
    from tfkd.inputs.image.tensors import signature

    batches = [images.numpy() for images, _ in plain_batches(split.take(positions), signature(size), 64)]
    return np.rint(np.concatenate(batches)).astype(np.uint8)


def in_turn(labels: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Returns `count` positions, or all, that take the classes in turn, each in an order drawn from the seed."""
    order = np.random.default_rng([seed, count]).permutation(len(labels))
    rank_in_class = np.empty(len(labels), np.int64)
    for label in np.unique(labels):
        members = order[labels[order] == label]
        rank_in_class[members] = np.arange(len(members))
    return np.lexsort((labels, rank_in_class))[:count]
