"""The record of a kind of cause of a poor student; each has one, in its own file under `tfkd.pipeline.causes`."""

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tfkd.errors import RequestError
from tfkd.pipeline.causes.figures import StudentFigures
from tfkd.recipe import Recipe
from tfkd.verification.gates import STUDENT
from tfkd.verification.records import Diagnosis


@dataclass(frozen=True)
class Remedy:
    """What may help.

    Attributes:
        overrides: fields of the recipe to change, such as "student.width=2"; empty where no field does it.
        advice: what to do where `overrides` are empty, or what they need.
    """

    overrides: tuple[str, ...] = ()
    advice: str = ""

    def __str__(self) -> str:
        text = shlex.join(self.overrides)
        return f"{text} ({self.advice})" if text and self.advice else text or self.advice


@dataclass(frozen=True)
class CauseKind:
    """One kind of cause.

    Attributes:
        threshold: value from which it applies.
        worst: value at which its strength is 1; at the threshold it is 0.
        reason: why the threshold is where it is, one sentence.
        measure: returns the value; None where the run cannot show it.
        evidence: describes what was measured, one sentence without a full stop.
        remedies: what may help, the first one first; at least one. Those that the recipe refuses are left out.
    """

    threshold: float
    worst: float
    reason: str
    measure: Callable[[StudentFigures], float | None]
    evidence: Callable[[StudentFigures], str]
    remedies: Callable[[StudentFigures], Sequence[Remedy]]

    def strength(self, figures: StudentFigures) -> float | None:
        """Returns how far the value is beyond the threshold, 0 to 1; None where the cause does not apply."""
        value = self.measure(figures)
        if value is None or value < self.threshold:
            return None
        return min(1.0, (value - self.threshold) / (self.worst - self.threshold))

    def described(self, name: str, figures: StudentFigures) -> Diagnosis:
        """Returns the cause with its evidence and its remedies."""
        remedies = [each for each in self.remedies(figures) if _fits(figures.recipe, each)]
        return Diagnosis(
            subject=STUDENT,
            cause=name,
            evidence=f"{name[0].upper()}{name[1:]}: {self.evidence(figures)}.",
            proposal=", or ".join(map(str, remedies)),
            overrides=[list(remedy.overrides) for remedy in remedies if remedy.overrides],
        )


def _fits(recipe: Recipe, remedy: Remedy) -> bool:
    """Returns whether the recipe accepts a remedy, such as folds beside its other settings."""
    try:
        recipe.with_(*remedy.overrides)
    except RequestError:
        return False
    return True
