"""Recall, precision and F1 per class, as the report, the model card and the command line show them."""

from collections.abc import Iterator
from dataclasses import dataclass

from tfkd.bundle.manifest import Manifest, StudentEntry
from tfkd.formats import TIMED
from tfkd.report import facts, units
from tfkd.verification.records import Artifact, ClassScore, Estimate, Scores, Threshold
from tfkd.verification.thresholds import chosen_on

SHORT = 12  # classes of a list on the command line and in the model card, and of networks side by side
_LISTED = 1_000  # classes of a list on the page

Network = tuple[str, Scores]  # its name, with its scores


@dataclass(frozen=True)
class ClassLine:
    """One class of the file that is meant to ship.

    Attributes:
        name: of the class.
        plain: its score by the most probable class.
        threshold: of the class; None without one.
        shipped: its score as an app gets it, by the thresholds if there are any.
        recalls: of each network, in their order.
    """

    name: str
    plain: ClassScore
    threshold: Threshold | None
    shipped: ClassScore
    recalls: list[Estimate | None]


@dataclass(frozen=True)
class ClassTable:
    """The classes of the file that is meant to ship, the lowest recall first; with folds those of its Keras model.

    Attributes:
        variant: the file, as the comparison names it, or the Keras model.
        images: what the scores are of, in words.
        networks: teacher, control, Keras model and every file.
        lines: at most 1,000 classes; those without test images come last.
        classes: the number of all classes.
        with_thresholds: whether the shipped scores are by thresholds.
    """

    variant: str
    images: str
    networks: list[Network]
    lines: list[ClassLine]
    classes: int
    with_thresholds: bool

    @property
    def shortest(self) -> list[ClassLine]:
        """The first lines, for places where the list must be short."""
        return self.lines[:SHORT]


def score_table(manifest: Manifest) -> ClassTable | None:
    """Returns the table; None for bundles of earlier versions and where the file was not run."""
    variant, measured = _shipped(manifest)
    if measured is None or measured.scores is None:
        return None
    plain, by_thresholds = measured.scores.classes, measured.scores_with_thresholds
    shipped, found = (by_thresholds or measured.scores).classes, list(networks(manifest))

    def line(name: str) -> ClassLine:
        recalls = [scores.classes[name].recall if name in scores.classes else None for _, scores in found]
        return ClassLine(name, plain[name], manifest.thresholds.get(name), shipped[name], recalls)

    names = sorted(shipped, key=lambda name: _recall(shipped[name]))[:_LISTED]
    images = "all labelled {}s, each predicted without its fold" if manifest.folds else "the test {}s"
    return ClassTable(
        variant, images.format(manifest.noun), found, [line(name) for name in names], len(shipped), bool(by_thresholds)
    )


def _shipped(manifest: Manifest) -> tuple[str, Artifact | StudentEntry | None]:
    """Returns the file that is meant to ship, or with folds its Keras model, with its name."""
    if manifest.folds:
        return f"student in Keras, {manifest.folds} folds", manifest.student
    variant = facts.headline(manifest).shipped.variant
    timed = {each.precision: each for each in manifest.artifacts if each.format in TIMED}
    return variant, timed.get(variant.removeprefix("student "))


def networks(manifest: Manifest) -> Iterator[Network]:
    """Yields every network and file with its scores; those by thresholds after those by the most probable class."""
    student = manifest.student
    taught = manifest.teachers[0].scores if manifest.teachers else None
    keras = "student in Keras" if manifest.teachers else "Keras model"
    stated: list[tuple[str, Scores | None, Scores | None]] = [
        ("teacher", taught, None),
        ("control", student.control_scores, None),
        (keras, student.scores, student.scores_with_thresholds),
        *((each.path.rpartition("/")[2], each.scores, each.scores_with_thresholds) for each in manifest.artifacts),
    ]
    for name, plain, by_thresholds in stated:
        if plain is not None:
            yield name, plain
        if by_thresholds is not None:
            yield f"{name}, with thresholds", by_thresholds


def estimated(found: Estimate | None) -> str:
    """Returns a fraction with its interval: '91.2 % (88.0 to 93.7)'."""
    if found is None:
        return "–"
    return f"{units.percent(found.value)} ({100 * found.low:.1f} to {100 * found.high:.1f})"


def threshold_lines(manifest: Manifest) -> list[str]:
    """Returns a sentence for each threshold: its value, and what it does on validation and test images."""
    table = score_table(manifest)
    lines = {line.name: line for line in table.lines} if table else {}
    return [_threshold_line(name, each, lines.get(name)) for name, each in manifest.thresholds.items()]


def _threshold_line(name: str, threshold: Threshold, line: ClassLine | None) -> str:
    promise = f"{name}: recall {units.percent(threshold.promise)} is promised"
    if threshold.value is None or threshold.recall is None:
        return f"{promise}; no threshold, because the validation split has no example of it."
    kept = "" if threshold.kept else ", which no threshold keeps on the validation split; the nearest is used"
    chosen = f"{promise}{kept}. Predicted from the probability {threshold.value:.8g}: recall "
    chosen += f"{units.percent(threshold.recall)} ({chosen_on(threshold)})"
    if line is None:
        return f"{chosen}."
    if not line.shipped.images:
        return f"{chosen}; not proven, because the test split has no example of it."
    return (
        f"{chosen}; on the test split recall {estimated(line.shipped.recall)}, precision "
        f"{estimated(line.shipped.precision)}. Without the threshold: recall {estimated(line.plain.recall)}, precision "
        f"{estimated(line.plain.precision)}."
    )


def _recall(score: ClassScore) -> float:
    return 2.0 if score.recall is None else score.recall.value
