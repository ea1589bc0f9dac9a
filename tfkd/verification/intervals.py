"""Confidence intervals of proportions, of their mean and of their differences, from counts."""

import math
from collections.abc import Sequence
from statistics import NormalDist

CONFIDENCE = 0.95

Interval = tuple[float, float]  # lower and upper end


def proportion(right: float, images: float, confidence: float = CONFIDENCE) -> Interval:
    """Returns Wilson's score interval of a proportion (Wilson 1927), which has a width at 0 and at 1 too.

    Args:
        right: images that count, 0 to `images`; whole numbers, but for counts that are only expected.
        images: all images, at least one.
        confidence: probability that such an interval holds the true proportion.
    """
    square = NormalDist().inv_cdf((1 + confidence) / 2) ** 2
    found = right / images
    centre = (found + square / (2 * images)) / (1 + square / images)
    spread = math.sqrt(square * (found * (1 - found) / images + square / (4 * images**2))) / (1 + square / images)
    return (0.0 if right == 0 else max(0.0, centre - spread), 1.0 if right == images else min(1.0, centre + spread))


def mean(values: Sequence[float], intervals: Sequence[Interval], dependence: float = 1.0) -> Interval:
    """Returns the interval of a mean of fractions from the interval of each (MOVER, Zou and Donner 2008).

    The distances of the ends from the values are added as independent errors are.

    Args:
        values: at least one fraction.
        intervals: of each.
        dependence: factor of the variance where the errors are not independent.
    """
    middle, factor = sum(values) / len(values), math.sqrt(dependence) / len(values)
    below = math.hypot(*(value - low for value, (low, _) in zip(values, intervals, strict=True)))
    above = math.hypot(*(high - value for value, (_, high) in zip(values, intervals, strict=True)))
    return max(0.0, middle - factor * below), min(1.0, middle + factor * above)


def difference(
    right: int, images: int, other_right: int, other_images: int, confidence: float = CONFIDENCE
) -> Interval:
    """Returns the interval of the difference of two proportions of different images (Newcombe 1998, method 10).

    Args:
        right: images of the first proportion that count.
        images: all of them, at least one.
        other_right: images of the second proportion that count.
        other_images: all of them, at least one.
        confidence: see `proportion`.

    Returns:
        Of the first proportion less the second, from -1 to 1.
    """
    first, second = right / images, other_right / other_images
    (first_low, first_high), (second_low, second_high) = (
        proportion(count, of, confidence) for count, of in ((right, images), (other_right, other_images))
    )
    below, above = (
        math.hypot(first - first_low, second_high - second),
        math.hypot(first_high - first, second - second_low),
    )
    return max(-1.0, first - second - below), min(1.0, first - second + above)


def paired_difference(
    gained: float, lost: float, right: float, images: float, confidence: float = CONFIDENCE
) -> Interval:
    """Returns the interval of the difference of two proportions of the same images (Newcombe 1998, method 10).

    Args:
        gained: images that only the first classifier predicts rightly; all counts: see `proportion`.
        lost: images that only the second one predicts rightly.
        right: images that the first one predicts rightly.
        images: all images, at least one.
        confidence: see `proportion`.

    Returns:
        Of the proportion of the second less that of the first, from -1 to 1.
    """
    other = right - gained + lost
    first, second = right / images, other / images
    (first_low, first_high), (second_low, second_high) = (
        proportion(count, images, confidence) for count in (right, other)
    )
    phi = _correlation(right - gained, gained, lost, images)
    difference = second - first
    below = _combined(second - second_low, first_high - first, phi)
    above = _combined(second_high - second, first - first_low, phi)
    return max(-1.0, difference - below), min(1.0, difference + above)


def _correlation(both: float, gained: float, lost: float, images: float) -> float:
    """Returns the correlation of two classifiers' right predictions, corrected for continuity."""
    neither = max(0.0, images - both - gained - lost)
    scale = (both + gained) * (both + lost) * (neither + gained) * (neither + lost)
    if not scale:
        return 0.0
    product = both * neither - gained * lost
    return (max(product - images / 2, 0.0) if product > 0 else product) / math.sqrt(scale)


def _combined(one: float, other: float, correlation: float) -> float:
    return math.sqrt(max(0.0, one**2 - 2 * correlation * one * other + other**2))
