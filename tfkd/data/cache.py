"""Caches of decoded examples and views, which every epoch uses again."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from tfkd.data.dataset import Split
from tfkd.inputs.kind import Arrays

_SAMPLE = 64  # number of examples to predict the size of a whole split from


@dataclass
class _Cached:
    examples: dict[int, Any] = field(default_factory=dict)
    bytes: int = 0
    is_open: bool = True


class ExampleCache:
    """Caches the decoded examples of those splits that fit completely into the rest of a limit.

    Nothing of a larger split is cached, because a part of it would use memory and save little. Cached examples are
    released with their split. Thread-safe.

    Args:
        limit: largest size of all examples, bytes.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._cached: WeakKeyDictionary[Split, _Cached] = WeakKeyDictionary()
        self._lock = threading.Lock()

    @property
    def bytes(self) -> int:
        """Size of all cached examples."""
        return sum(each.bytes for each in list(self._cached.values()))

    def load(self, split: Split, i: int) -> Any:
        """Returns `split.load(i)`, from the cache if possible.

        Raises:
            RequestError: the example has been damaged or removed since it was checked.
        """
        with self._lock:
            cached = self._cached.setdefault(split, _Cached())
        example = cached.examples.get(i)
        if example is None:
            example = split.load(i)
            with self._lock:
                self._add(cached, split, i, example)
        return example

    def _add(self, cached: _Cached, split: Split, i: int, example: Any) -> None:
        if not cached.is_open or i in cached.examples:
            return
        copy, size = split.reading.compact(example)
        known, size = len(cached.examples) + 1, cached.bytes + size
        predicted = size * len(split) // known if known >= _SAMPLE else size
        if self.bytes - cached.bytes + predicted > self.limit:
            cached.examples, cached.bytes, cached.is_open = {}, 0, False
        else:
            cached.examples[i], cached.bytes = copy, size


class ViewCache:
    """Caches views of one split, signature and augmentation up to a limit. Thread-safe.

    Args:
        limit: largest size of the views, bytes; views that threads add at the same time may exceed it.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._finished: dict[tuple[int, ...], Arrays] = {}

    def load(self, index: int, seed: np.ndarray, make: Callable[[], Arrays]) -> Arrays:
        """Returns the view of example `index` with this seed (int [2]); the arrays must not be changed."""
        key = (index, *seed.tolist())
        view = self._finished.get(key)
        if view is None:
            view = make()
            if (len(self._finished) + 1) * sum(array.nbytes for array in view) <= self.limit:
                self._finished[key] = view
        return view
