"""Negative flips made ready for the reports: a row per network and file, the classes that have most of them, images."""

from dataclasses import dataclass

from tfkd.bundle.evidence import Flip
from tfkd.bundle.manifest import Manifest
from tfkd.errors import enumerated
from tfkd.formats import TIMED
from tfkd.report import facts, units
from tfkd.verification import intervals
from tfkd.verification.gates import STUDENT
from tfkd.verification.records import ClassFlips, NegativeFlips

_LISTED_CLASSES = 12
_NAMED_CLASSES = 3  # in a sentence


@dataclass(frozen=True)
class FlipRow:
    """The negative flips of the Keras student or a file.

    Attributes:
        name: path of the file, or of which network.
        flips: their numbers.
        fraction: of the images that the teacher predicts correctly, with its 95 % interval, in words.
    """

    name: str
    flips: NegativeFlips
    fraction: str


@dataclass(frozen=True)
class FlippedClasses:
    """Of one file: the classes with the most negative flips, and what is left out of the list."""

    listed: list[ClassFlips]
    others: int
    flips_of_others: int


@dataclass(frozen=True)
class MisjudgedImage:
    """An image with the networks that predict it wrongly, by the class that they predict."""

    image: str
    label: str
    probability: float  # of the teacher
    wrong: list[tuple[str, str]]


def rows(manifest: Manifest) -> list[FlipRow]:
    """Returns the Keras student and each file that was run; empty where the teacher was not measured."""
    found = {"Keras student": manifest.student.negative_flips}
    found |= {each.path: each.negative_flips for each in manifest.artifacts}
    return [FlipRow(name, flips, _fraction(flips)) for name, flips in found.items() if flips is not None]


def of_shipped(manifest: Manifest) -> NegativeFlips | None:
    """Returns those of the file that is meant to ship."""
    variant = facts.headline(manifest).shipped.variant
    return next(
        (
            each.negative_flips
            for each in manifest.artifacts
            if each.format in TIMED and variant == f"student {each.precision}"
        ),
        None,
    )


def classes(flips: NegativeFlips) -> FlippedClasses:
    """Returns the classes with the most negative flips, at most twelve."""
    listed, others = flips.per_class[:_LISTED_CLASSES], flips.per_class[_LISTED_CLASSES:]
    return FlippedClasses(listed, len(others), sum(each.flips for each in others))


def images_of(flips: list[Flip], manifest: Manifest) -> list[MisjudgedImage]:
    """Returns the images of negative flips in the order of the evidence."""
    names = {STUDENT: "Keras student"} | {
        each.path: each.precision if each.format in TIMED else f"{each.format} {each.precision}"
        for each in manifest.artifacts
    }
    found = []
    for flip in flips:
        by_class: dict[str, list[str]] = {}
        for name, prediction in flip.wrong.items():
            who = f"{names.get(name, name)} {units.percent(prediction.probability, 0)}"
            by_class.setdefault(prediction.label, []).append(who)
        wrong = [(label, ", ".join(who)) for label, who in by_class.items()]
        found.append(MisjudgedImage(flip.image, flip.label, flip.teacher.probability, wrong))
    return found


def says(manifest: Manifest) -> str:
    """Returns the negative flips of the file that is meant to ship, as a sentence; "" where they were not counted."""
    flips, variant = of_shipped(manifest), facts.headline(manifest).shipped.variant
    if flips is None:
        return ""
    lost, fraction = flips.test.lost, flips.fraction
    of = f"Of the {flips.right:,} test {manifest.noun}s that the teacher predicts correctly"
    if not lost or fraction is None:
        return f"{of}, {variant} predicts {lost:,} wrongly."
    named = enumerated([f"{each.label} ({each.flips} of {each.right})" for each in flips.per_class[:_NAMED_CLASSES]])
    return f"{of}, {variant} predicts {lost:,} wrongly ({units.percent(fraction)}), the most in {named}."


def _fraction(flips: NegativeFlips) -> str:
    if flips.fraction is None:
        return "–"
    low, high = intervals.proportion(flips.test.lost, flips.right)
    return f"{units.percent(flips.fraction)} ({100 * low:.1f} to {100 * high:.1f})"
