"""Real examples that go into or beside the exported files: for calibration and as golden examples."""

import numpy as np

from tfkd.data.dataset import Dataset, Split
from tfkd.signature import Signature


def calibration(data: Dataset, signature: Signature, count: int, seed: int) -> np.ndarray:
    """Picks the examples whose activations set the ranges of quantized files: training examples, never test examples.

    Where a source has no training examples (see tfkd.data.open_evaluation), they come from those that are measured.

    Args:
        data: where to pick from.
        signature: what the model takes.
        count: how many examples; all of a smaller split.
        seed: draws the examples.

    Returns:
        Raw, [count, ...] as golden files hold them: uint8 images, for instance.
    """
    found, _ = examples(data.train if len(data.train) else data.test, signature, count, seed)
    return found


def examples(split: Split, signature: Signature, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Picks examples of a split, as many of each class as possible, as a model takes them.

    Args:
        split: where to pick from.
        signature: what the model takes.
        count: how many examples; all of a smaller split.
        seed: draws the examples.

    Returns:
        The raw examples, [count, ...] as golden files hold them, and their positions in the split, int64 [count].
    """
    positions = in_turn(split.labels, count, seed)
    return at(split, positions, signature), positions


def at(split: Split, positions: np.ndarray, signature: Signature) -> np.ndarray:
    """Returns the examples at these positions of a split, at least one, as `examples` does."""
    from tfkd.data.batches import plain_batches
    from tfkd.inputs import kind_of

    batches = [inputs.numpy() for inputs, _ in plain_batches(split.take(positions), signature, 64)]
    found: np.ndarray = kind_of(signature.kind).to_golden(np.concatenate(batches))
    return found


def in_turn(labels: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Returns `count` positions, or all, that take the classes in turn, each in an order drawn from the seed."""
    order = np.random.default_rng([seed, count]).permutation(len(labels))
    rank_in_class = np.empty(len(labels), np.int64)
    for label in np.unique(labels):
        members = order[labels[order] == label]
        rank_in_class[members] = np.arange(len(members))
    return np.lexsort((labels, rank_in_class))[:count]
