"""Seeds of training views, and partners that views are mixed with; the same for every kind of input."""

from dataclasses import dataclass

import numpy as np

_PARTNERS = 2


@dataclass(frozen=True, eq=False)
class Partners:
    """The partners of some views.

    Attributes:
        positions: int64 [m], in the split.
        seeds: int64 [m, 2], of the partners' views.
    """

    positions: np.ndarray
    seeds: np.ndarray


def view_seeds(seed: int, positions: np.ndarray, view: int) -> np.ndarray:
    """Returns int64 [m, 2], the seeds of view number `view` of the examples at these positions (int64 [m]).

    A seed depends on the run's seed, the view's number and the example's position, not on the other positions.
    """
    stream = np.random.SeedSequence([seed, view]).generate_state(1, np.uint64)[0] >> np.uint64(1)
    return np.stack([np.full(len(positions), stream, np.int64), np.asarray(positions, np.int64)], axis=1)


def drawn(seed: np.ndarray, purpose: int) -> np.random.Generator:
    """Returns the random numbers of a view's seed (int [2]) for one purpose, independent of those for another."""
    stream, position = np.asarray(seed).astype(np.uint64)
    key, counter = np.array([stream, purpose], np.uint64), np.array([0, position, 0, 0], np.uint64)
    return np.random.Generator(np.random.Philox(key=key, counter=counter))


def partners(seed: int, view: int, positions: np.ndarray, count: int) -> Partners:
    """Returns the partners of view number `view` of these examples; an example may be its own partner.

    Args:
        seed: the run's.
        view: number of the view.
        positions: int64 [m], of examples in the split.
        count: number of examples in the split.
    """
    source = np.random.SeedSequence([seed, view], spawn_key=(_PARTNERS,))
    numbers = np.random.default_rng(source).permutation(count)[np.asarray(positions, np.int64)]
    return Partners(numbers, view_seeds(seed, numbers, view))
