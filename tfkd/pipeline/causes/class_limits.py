"""The gates on classes on a split: what they measure, and how far that is from the limits of the recipe."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tfkd.labels import class_named
from tfkd.recipe import Gates
from tfkd.verification.class_gates import judge_file, promises
from tfkd.verification.scores import recall_changes, scores
from tfkd.verification.verdict import ROUNDING

RECALL, BALANCED, DROP, FLIPS = "min_recall", "min_balanced_accuracy", "max_recall_drop", "max_negative_flips"
ON_CLASSES = (RECALL, BALANCED, DROP, FLIPS)

LimitKey = tuple[str, ...]  # a gate on classes, and the class where it names one


@dataclass(frozen=True, eq=False)
class SplitPredictions:
    """What a network predicts on a split, and its teacher.

    Attributes:
        labels: int [n], the true classes.
        plain: int [n], the most probable classes.
        shipped: int [n], the classes that an app gets: by the thresholds, if there are any.
        teacher: int [n], the teacher's classes; None where it was not measured.
    """

    labels: np.ndarray
    plain: np.ndarray
    shipped: np.ndarray
    teacher: np.ndarray | None

    def judged_by(self, kind: str) -> np.ndarray:
        """Returns the predictions that a gate on classes judges: flips are of the most probable classes."""
        return self.plain if kind == FLIPS else self.shipped


def key_of(gate: str) -> LimitKey:
    """Returns the gate on classes that a verdict is of, without the file: gate/file, or gate/file/class."""
    kind, _, *name = gate.split("/", 2)
    return kind, *name


def keys_on_classes(gates: Iterable[str]) -> list[LimitKey]:
    """Returns the gates on classes among the names of verdicts, each once."""
    return list(dict.fromkeys(key_of(name) for name in gates if name.split("/")[0] in ON_CLASSES))


def limits(gates: Gates, classes: Sequence[str]) -> dict[LimitKey, float]:
    """Returns the limits of the gates on classes that are on."""
    found: dict[LimitKey, float] = {(RECALL, name): limit for name, limit in promises(gates, classes).items()}
    if isinstance(gates.max_recall_drop, Mapping):
        named = gates.max_recall_drop.items()
        found |= {(DROP, class_named(name, classes, f"gates.{DROP}")): limit for name, limit in named}
    for kind in (BALANCED, DROP, FLIPS):
        if isinstance(limit := getattr(gates, kind), float | int):
            found[kind,] = float(limit)
    return found


def measured(gates: Gates, found: SplitPredictions, classes: Sequence[str]) -> dict[LimitKey, float]:
    """Returns what the gates on classes that are on measure; without those that the split cannot show."""
    counted = scores(found.labels, found.shipped, classes)
    changes = recall_changes(found.labels, found.shipped, found.teacher, None, classes)
    judged = judge_file(gates, "split", counted, changes, {})
    values = {key_of(gate.name): gate.value for gate in judged if gate.value is not None}
    if gates.max_negative_flips is not None and found.teacher is not None:
        taught = found.teacher == found.labels
        values[FLIPS,] = float(np.mean(found.plain[taught] != found.labels[taught])) if taught.any() else 0.0
    return values


def shortfalls(gates: Gates, values: Mapping[LimitKey, float], classes: Sequence[str]) -> dict[LimitKey, float]:
    """Returns how far each value is on the wrong side of its limit, 0 to 1; without those that keep it."""
    known = {key: limit for key, limit in limits(gates, classes).items() if key in values}
    found = {key: (limit - values[key]) * (1 if key[0].startswith("min") else -1) for key, limit in known.items()}
    return {key: short for key, short in found.items() if short > ROUNDING}


def balanced_accuracy(found: SplitPredictions, classes: Sequence[str]) -> float:
    """Returns the mean recall of the classes that an app gets."""
    return scores(found.labels, found.shipped, classes).balanced_accuracy.value


def worst_class(kind: str, found: SplitPredictions) -> int:
    """Returns the class by which a gate on all classes is missed most; of equal ones the one with the fewest images.

    Args:
        kind: of the gate.
        found: predictions on a split with at least one image.
    """
    labels, is_flips = found.labels, kind == FLIPS
    right = found.judged_by(kind) == labels
    reference = np.ones(len(labels), bool) if kind == BALANCED or found.teacher is None else found.teacher == labels
    lost = reference & ~right if is_flips else reference.astype(float) - right
    images = np.bincount(labels)
    missing = np.bincount(labels, lost) / (1 if is_flips else np.maximum(images, 1))
    missing[images == 0] = -np.inf
    return int(np.lexsort((images, -missing))[0])
