"""Examples and views that stay in memory, where that is small enough, because every epoch looks at them again."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from tfkd.data.dataset import Split
from tfkd.inputs.kind import Arrays

_SAMPLE = 64  # examples from whose sizes the size of a whole split is predicted


@dataclass
class _Cached:
    examples: dict[int, Any] = field(default_factory=dict)
    bytes: int = 0
    is_open: bool = True


class ExampleCache:
    """Caches the decoded examples of those splits of which all fit into what the others leave of a limit.

    Of a split that is too large nothing is cached: some of its examples would cost memory and save little. What is
    cached goes when its split goes. Thread-safe.

    Args:
        limit: bytes that all examples together never exceed.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._cached: WeakKeyDictionary[Split, _Cached] = WeakKeyDictionary()
        self._lock = threading.Lock()

    @property
    def bytes(self) -> int:
        """The size of all that is cached."""
        return sum(each.bytes for each in list(self._cached.values()))

    def load(self, split: Split, i: int) -> Any:
        """Returns `split.load(i)`, decoded now or before.

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
    """Caches finished views of one split, signature and augmentation until a limit is reached. Thread-safe.

    Args:
        limit: bytes that they never exceed, but for those that other threads finish at the same time.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._finished: dict[tuple[int, ...], Arrays] = {}

    def load(self, index: int, seed: np.ndarray, make: Callable[[], Arrays]) -> Arrays:
        """Returns the view of example `index` with this seed (int [2]), made now or before; not to be written to."""
        key = (index, *seed.tolist())
        view = self._finished.get(key)
        if view is None:
            view = make()
            if (len(self._finished) + 1) * sum(array.nbytes for array in view) <= self.limit:
                self._finished[key] = view
        return view
