"""The few numbers that are derived from the manifest, so that every report states the same ones."""

import math
import shlex
import statistics
from dataclasses import dataclass

from tfkd.errors import RequestError
from tfkd.export.manifest import ComparisonRow, Gate, Manifest
from tfkd.report import units

_NAMED_GATES = 3  # in the verdict; the table names them all


@dataclass(frozen=True)
class Headline:
    """What was achieved: the teacher's file, or without one the first, against the file that is meant to ship."""

    reference: ComparisonRow
    shipped: ComparisonRow

    @property
    def compares(self) -> bool:
        """Whether the two are different files."""
        return self.reference is not self.shipped

    @property
    def smaller(self) -> str:
        return units.times(self.reference.bytes / self.shipped.bytes, "smaller", "larger")

    @property
    def faster(self) -> str:
        return units.times(self.reference.latency_ms / self.shipped.latency_ms, "faster", "slower")

    @property
    def share(self) -> str:
        """The shipped file's accuracy as a share of the other's; a reference that is never right has none."""
        return units.percent(self.shipped.accuracy / self.reference.accuracy) if self.reference.accuracy else "–"

    @property
    def whose(self) -> str:
        return "the teacher" if self.reference.variant.startswith("teacher") else self.reference.variant

    def __str__(self) -> str:
        if not self.compares:
            row = self.shipped
            return f"{units.size(row.bytes)}, {units.milliseconds(row.latency_ms)}, {units.percent(row.accuracy)} right"
        return f"{self.smaller}, {self.faster}, {self.share} of {self.whose}'s accuracy"


def headline(manifest: Manifest) -> Headline:
    """Compares the teacher with the int8 student, or, without one, with the smallest student.

    In a manifest without teachers the first of the network's own files takes the teacher's place.

    Raises:
        RequestError: the manifest compares no teacher with no student.
    """
    teachers = [row for row in manifest.comparison if row.variant.startswith("teacher")]
    students = [row for row in manifest.comparison if not row.variant.startswith(("teacher", "control"))]
    references = teachers if manifest.teachers else students
    if not references or not students:
        known = ", ".join(row.variant for row in manifest.comparison) or "nothing"
        raise RequestError(f"The manifest of {manifest.name} must compare a teacher and a student, but has: {known}.")
    shipped = [row for row in students if "int8" in row.variant] or students
    return Headline(references[0], min(shipped, key=lambda row: row.bytes))


def failed_gates(manifest: Manifest) -> list[Gate]:
    return [gate for gate in manifest.gates if not gate.passed]


def verdict(manifest: Manifest) -> str:
    """'All 6 gates passed', or how many failed and the first of them."""
    failed, total = failed_gates(manifest), len(manifest.gates)
    if not total:
        return "No gates were set"
    if not failed:
        return f"All {total} gates passed" if total > 1 else "The one gate passed"
    names = ", ".join(gate.name for gate in failed[:_NAMED_GATES])
    more = f" and {len(failed) - _NAMED_GATES} more" if len(failed) > _NAMED_GATES else ""
    return f"{len(failed)} of {total} gates failed: {names}{more}"


def has_control_row(manifest: Manifest) -> bool:
    """Says whether the comparison holds a file of the control; where not, its accuracy is shown alone."""
    return any(row.variant.startswith("control") for row in manifest.comparison)


def again(manifest: Manifest) -> str:
    """Returns the command that makes the bundle again."""
    if manifest.teachers:
        return "tfkd run recipe.json"
    asked = manifest.recipe
    options = [f"--{name}={asked[name]}" for name in ("labels", "data", "normalization", "name")]
    return shlex.join(["tfkd", "export", asked["model"], *options])


def bound(gate: Gate) -> str:
    """Returns the side of its limit on which a gate's value must lie; its name begins with it."""
    return {"max": "≤", "min": "≥"}.get(gate.name[:3], "=")


def standard_error(accuracy: float, images: int) -> float:
    """Binomial standard error of an accuracy measured on that many images."""
    return math.sqrt(accuracy * (1 - accuracy) / images) if images else 0.0


def over_seeds(accuracies: list[float], images: int) -> str:
    """Mean ± standard deviation over seeds; with one seed ± the binomial standard error."""
    if len(accuracies) > 1:
        return units.plus_minus(statistics.mean(accuracies), statistics.stdev(accuracies))
    return units.plus_minus(accuracies[0], standard_error(accuracies[0], images))


def control_says(manifest: Manifest) -> str:
    """Says in a sentence or two what the teacher was worth, with the noise that the claim stands in."""
    student, images = manifest.student, manifest.data.splits["test"]
    students, controls = student.accuracies, student.control_accuracies
    if not controls:
        return "Control not run: this run cannot tell whether the student is better than one trained without a teacher."
    gains = [mine - other for mine, other in zip(students, controls, strict=True)]
    gain = units.points(statistics.mean(gains))
    reached = f"the student reaches {over_seeds(students, images)}, its control {over_seeds(controls, images)}"
    if len(gains) > 1:
        wins = sum(each > 0 for each in gains)
        return (
            f"Over {len(gains)} seeds {reached} (mean ± standard deviation). The teacher is worth {gain} "
            f"± {100 * statistics.stdev(gains):.1f}; the student beats its control in {wins} of {len(gains)} seeds."
        )
    noise = 2 * math.hypot(standard_error(students[0], images), standard_error(controls[0], images))
    judged = "more than" if abs(gains[0]) > noise else "within"
    return (
        f"With one seed {reached} (± one standard error): {gain}. That is {judged} the noise of two "
        f"standard errors on {images:,} images ({100 * noise:.1f} points, the two taken as independent)."
    )
