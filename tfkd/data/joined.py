"""Two splits as one, for images that the teacher answers together."""

from dataclasses import dataclass

import numpy as np

from tfkd.data.dataset import Photos, Split


def joined(first: Split, second: Split) -> Split:
    """Returns the photos of the first split, then those of the second, with their labels, in the first's modality."""
    both = _Joined(first, second)
    numbers = np.arange(len(first) + len(second))
    longest_side = max(first.longest_side, second.longest_side)
    return Split(
        both,
        numbers,
        np.concatenate([first.labels, second.labels]),
        longest_side,
        first.modality,
        {**second.ranges, **first.ranges},
        checksums=_both(first.checksums, second.checksums),
    )


def _both(first: np.ndarray | None, second: np.ndarray | None) -> np.ndarray | None:
    return None if first is None or second is None else np.concatenate([first, second])


@dataclass(frozen=True, eq=False)
class _Joined(Photos):
    first: Split
    second: Split

    @property
    def stamp(self) -> str:
        return f"{self.first.photos.stamp} {self.second.photos.stamp}"

    def touched(self) -> bool:
        return self.first.photos.touched() or self.second.photos.touched()

    def name(self, number: int) -> str:
        split, position = self._at(number)
        return split.name(position)

    def read(self, number: int) -> bytes:
        split, position = self._at(number)
        return split.encoded(position)

    def _at(self, number: int) -> tuple[Split, int]:
        behind = number - len(self.first)
        return (self.first, number) if behind < 0 else (self.second, behind)
