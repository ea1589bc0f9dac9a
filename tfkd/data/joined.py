"""Two splits as one, for examples that the teacher predicts together."""

from dataclasses import dataclass

import numpy as np

from tfkd.data.dataset import Examples, Split


def joined(first: Split, second: Split) -> Split:
    """Returns the examples of the first split, then those of the second, with their labels, read as the first ones."""
    return Split(
        _Joined(first, second),
        np.arange(len(first) + len(second)),
        np.concatenate([first.labels, second.labels]),
        first.reading,
        checksums=_both(first.checksums, second.checksums),
    )


def _both(first: np.ndarray | None, second: np.ndarray | None) -> np.ndarray | None:
    return None if first is None or second is None else np.concatenate([first, second])


@dataclass(frozen=True, eq=False)
class _Joined(Examples):
    first: Split
    second: Split

    @property
    def stamp(self) -> str:
        return f"{self.first.examples.stamp} {self.second.examples.stamp}"

    def __len__(self) -> int:
        return len(self.first) + len(self.second)

    def touched(self) -> bool:
        return self.first.examples.touched() or self.second.examples.touched()

    def name(self, number: int) -> str:
        split, position = self._at(number)
        return split.name(position)

    def read(self, number: int) -> bytes:
        split, position = self._at(number)
        return split.encoded(position)

    def _at(self, number: int) -> tuple[Split, int]:
        behind = number - len(self.first)
        return (self.first, number) if behind < 0 else (self.second, behind)
