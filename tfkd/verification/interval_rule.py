"""The verdict on a promise from the confidence interval of what was counted: the one rule of all such gates.

A promise allows a fraction of the images to be lost: a recall of 98 % allows 2 %, a drop of 5 points allows 5 %.

- Refuted: the whole interval breaks the promise, even if one image more were right. Without that image, one test image
  would refute a promised recall of 80 % in one of five cases where it is kept; with it, 2.5 % of the cases at most do.
- Shown: the whole interval keeps the promise, even if one image more were wrong.
- Large enough: the interval of a file that loses twice as much as the promise allows would break it.

A refuted promise fails. A promise passes that is shown, or that the value meets on a split that is large enough. Any
other one is not judged.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from tfkd.verification import intervals
from tfkd.verification.intervals import CONFIDENCE, Interval
from tfkd.verification.records import Gate
from tfkd.verification.verdict import ROUNDING, decided, not_judged

_MOST = 1 << 24  # images; a promise that needs more is not shown in practice


class Counted(Protocol):
    """What was counted of a file on its test images."""

    def is_refuted(self, limit: float) -> bool:
        """Returns whether the counts break a promise."""

    def is_shown(self, limit: float) -> bool:
        """Returns whether the counts keep a promise for certain."""

    def is_met(self, limit: float) -> bool:
        """Returns whether the value keeps a promise."""

    def needed(self, limit: float) -> int | None:
        """Returns how many images every class needs; None where no number of them is enough."""

    def is_enough(self, limit: float) -> bool:
        """Returns whether there are so many."""

    def scaled(self, factor: int) -> "Counted":
        """Returns the same fractions of so many times the images."""


def judged(gate: str, found: Counted, limit: float, reason: str, value: float, images: str) -> Gate:
    """Returns the verdict on a promise.

    Args:
        gate: its name.
        found: the counts.
        limit: the promise.
        reason: the value with its interval, and what is promised.
        value: what was measured.
        images: what is needed where there are too few, such as "test examples of 'cat'".
    """
    if found.is_refuted(limit):
        return decided(gate, value, limit, False, reason)
    if found.is_shown(limit) or (found.is_met(limit) and found.is_enough(limit)):
        return decided(gate, value, limit, True, reason)
    return not_judged(gate, f"{reason}; {lacking(found, limit, images)}", value)


def lacking(found: Counted, limit: float, images: str) -> str:
    """Returns how many images it takes to judge a promise that is neither refuted nor kept.

    Args:
        found: the counts.
        limit: the promise.
        images: see `judged`.
    """
    if not found.is_enough(limit):
        needed = found.needed(limit)
        return f"{needed:,} {images} are needed" if needed else f"no number of {images} is enough to show it"
    factor = smallest(lambda factor: found.scaled(factor).is_refuted(limit))
    more = f"about {factor:,} times as many" if factor else "far more"
    return f"too close to decide: {more} {images} are needed"


def images_needed(recall: float) -> int | None:
    """Returns how many images of a class a promised recall needs; None where no number of them is enough."""
    return MeanRecall((0,), (0,)).needed(recall)


def smallest(holds: Callable[[int], bool]) -> int | None:
    """Returns the smallest positive integer of which a statement holds that holds for all larger ones too.

    Returns:
        None where it does not hold for 16 million.
    """
    high = 1
    while not holds(high):
        high *= 2
        if high > _MOST:
            return None
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high


@dataclass(frozen=True)
class MeanRecall:
    """The mean recall of classes, which is promised to be at least a limit; of one class it is the class's recall.

    Attributes:
        right: test images of each class that are predicted as it.
        images: test images of each class.
    """

    right: Sequence[float]
    images: Sequence[float]

    def is_refuted(self, limit: float) -> bool:
        """See `Counted`; one wrong image refutes a recall of 100 %, which allows none."""
        spared = self if limit >= 1 - ROUNDING else self._changed(1)
        return spared._interval()[1] < limit - ROUNDING

    def is_shown(self, limit: float) -> bool:
        return self._changed(-1)._interval()[0] >= limit - ROUNDING

    def is_met(self, limit: float) -> bool:
        recalls = [right / images for right, images in zip(self.right, self.images, strict=True)]
        return sum(recalls) / len(recalls) >= limit - ROUNDING

    def needed(self, limit: float) -> int | None:
        return smallest(lambda images: replace(self, images=[max(images, own) for own in self.images]).is_enough(limit))

    def is_enough(self, limit: float) -> bool:
        """See `Counted`; a mean is known as well as the recall of one class with `effective` images."""
        effective, recall = len(self.images) ** 2 / sum(1 / images for images in self.images), max(0.0, 2 * limit - 1)
        return intervals.proportion(recall * effective, effective)[1] < limit - ROUNDING

    def scaled(self, factor: int) -> "MeanRecall":
        return MeanRecall([factor * each for each in self.right], [factor * each for each in self.images])

    def _changed(self, by: int) -> "MeanRecall":
        """Returns the counts with one right image more or fewer in the smallest class where that is possible."""
        counts = zip(self.right, self.images, strict=True)
        possible = [place for place, (right, images) in enumerate(counts) if 0 <= right + by <= images]
        changed = min(possible, key=lambda place: self.images[place], default=None)
        return replace(self, right=[each + by * (place == changed) for place, each in enumerate(self.right)])

    def _interval(self) -> Interval:
        counts = list(zip(self.right, self.images, strict=True))
        return intervals.mean(
            [right / images for right, images in counts], [intervals.proportion(*each) for each in counts]
        )


@dataclass(frozen=True)
class RecallDrop:
    """The recall of a reference minus that of a file, for one class; it is promised to be at most a limit.

    Attributes:
        gained: test images that only the file predicts rightly.
        lost: test images that only the reference predicts rightly.
        right: test images that the file predicts rightly.
        images: test images of the class.
        confidence: of the interval.
    """

    gained: float
    lost: float
    right: float
    images: float
    confidence: float = CONFIDENCE

    @property
    def value(self) -> float:
        return (self.lost - self.gained) / self.images

    @property
    def interval(self) -> Interval:
        return intervals.paired_difference(self.gained, self.lost, self.right, self.images, self.confidence)

    def is_refuted(self, limit: float) -> bool:
        spared = replace(self, lost=self.lost - 1, right=self.right + 1) if self.lost else self
        return spared.interval[0] > limit + ROUNDING

    def is_shown(self, limit: float) -> bool:
        if self.right > self.gained:
            return replace(self, lost=self.lost + 1, right=self.right - 1).interval[1] <= limit + ROUNDING
        return bool(self.gained) and (
            replace(self, gained=self.gained - 1, right=self.right - 1).interval[1] <= limit + ROUNDING
        )

    def is_met(self, limit: float) -> bool:
        return self.value <= limit + ROUNDING

    def needed(self, limit: float) -> int | None:
        return smallest(lambda images: self._of(images).is_enough(limit))

    def is_enough(self, limit: float) -> bool:
        reference = self.right - self.gained + self.lost
        lost = min(2 * limit * self.images, reference)
        return replace(self, gained=0, lost=lost, right=reference - lost).interval[0] > limit + ROUNDING

    def scaled(self, factor: int) -> "RecallDrop":
        return self._of(factor * self.images)

    def _of(self, images: float) -> "RecallDrop":
        factor = images / self.images
        return replace(
            self, gained=factor * self.gained, lost=factor * self.lost, right=factor * self.right, images=images
        )


@dataclass(frozen=True)
class LostFraction:
    """A fraction of examples that is promised to be at most a limit.

    Attributes:
        lost: examples that count.
        images: all of them, at least one.
    """

    lost: float
    images: float

    def is_refuted(self, limit: float) -> bool:
        return self._kept.is_refuted(1 - limit)

    def is_shown(self, limit: float) -> bool:
        return self._kept.is_shown(1 - limit)

    def is_met(self, limit: float) -> bool:
        return self._kept.is_met(1 - limit)

    def needed(self, limit: float) -> int | None:
        return MeanRecall((0,), (0,)).needed(1 - limit)

    def is_enough(self, limit: float) -> bool:
        return self._kept.is_enough(1 - limit)

    def scaled(self, factor: int) -> "LostFraction":
        return LostFraction(factor * self.lost, factor * self.images)

    @property
    def _kept(self) -> MeanRecall:
        return MeanRecall([self.images - self.lost], [self.images])
