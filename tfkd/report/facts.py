"""The few numbers that are derived from the manifest, so that every report states the same ones."""

import json
import math
import shlex
import statistics
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from tfkd.bundle.manifest import ComparisonRow, Manifest, RescueEntry, RescueTry, TeacherEntry, TuningEntry
from tfkd.errors import RequestError, counted
from tfkd.formats import TIMED
from tfkd.inputs import kind_of
from tfkd.inputs.kind import InputKind
from tfkd.models import TEACHERS
from tfkd.recipe import IMAGENET, RANDOM, SMOKE
from tfkd.recipe.of_export import default_blocks
from tfkd.report import units
from tfkd.verification import class_gates
from tfkd.verification.gates import named
from tfkd.verification.gates import unjudged as why_unjudged
from tfkd.verification.records import ChanceTest, Gate, Scores, Verdict

_COMMANDS = ("run", "rescue", "sweep", "fit", "compare", "export")  # of those that looked at the test split
_BALANCED = 0.01  # the balanced accuracy is shown too where it differs by more


class Judged(Protocol):
    """A manifest, or another record with verdicts."""

    @property
    def gates(self) -> list[Gate]:
        """The verdicts."""


@dataclass(frozen=True)
class Headline:
    """What was achieved: the teacher's file, or without one the first, against the file that is meant to ship.

    Attributes:
        reference: the file that it is compared with.
        shipped: the file that is meant to ship.
        control: accuracy of the control; None where it was not run.
        chance: the shipped file against chance; None where the manifest does not have it.
        verdict: of all gates together.
        folds: over how many the accuracies are pooled; None where there is a test split.
    """

    reference: ComparisonRow
    shipped: ComparisonRow
    control: float | None
    chance: ChanceTest | None
    verdict: Verdict
    folds: int | None = None

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
    def right(self) -> str:
        """The shipped file's accuracy, in words; with folds that of its student."""
        folds = f" in {self.folds} folds" if self.folds else ""
        return f"{units.percent(self.shipped.accuracy)} right{folds}"

    @property
    def beside(self) -> str:
        """What that accuracy is to be compared with: teacher, or the first file; control; chance."""
        known = {self.whose: self.reference.accuracy} if self.compares else {}
        if self.control is not None:
            known["control"] = self.control
        if self.chance is not None:
            if abs(self.chance.balanced_accuracy - self.shipped.accuracy) > _BALANCED:
                known["balanced"] = self.chance.balanced_accuracy
            known["chance"] = self.chance.chance_level
        return ", ".join(f"{name} {units.percent(each)}" for name, each in known.items())

    @property
    def whose(self) -> str:
        return "teacher" if self.reference.variant.startswith("teacher") else self.reference.variant

    def __str__(self) -> str:
        quality = f"{self.right} ({self.beside})" if self.beside else self.right
        row = self.shipped
        size, latency = units.size(row.bytes), units.milliseconds(row.latency_ms)
        cost = [self.smaller, self.faster] if self.compares else [size, latency]
        state = "" if self.verdict == "passed" else f"{self.verdict}: "
        return state + ", ".join([quality, *cost])


def headline(manifest: Manifest) -> Headline:
    """Compares the teacher with the int8 student, or, without one, with the smallest student.

    In a manifest without teachers, or of a teacher that has no file, the first of the network's own files takes its
    place.

    Raises:
        RequestError: the manifest compares no teacher with no student.
    """
    teachers = [row for row in manifest.comparison if row.variant.startswith("teacher")]
    students = [row for row in manifest.comparison if not row.variant.startswith(("teacher", "control"))]
    references = teachers if manifest.teachers and not manifest.teachers[0].not_exported else students
    if not references or not students:
        known = ", ".join(row.variant for row in manifest.comparison) or "nothing"
        raise RequestError(f"The manifest of {manifest.name} must compare a teacher and a student, but has: {known}.")
    shipped = [row for row in students if "int8" in row.variant] or students
    smallest = min(shipped, key=lambda row: row.bytes)
    tested = manifest.student.folds
    tests = {artifact.precision: artifact.chance for artifact in manifest.artifacts if artifact.format in TIMED}
    return Headline(
        reference=references[0],
        shipped=smallest,
        control=manifest.student.control_accuracy,
        chance=tested.chance if tested else tests.get(smallest.variant.split()[-1]),
        verdict=overall(manifest),
        folds=manifest.folds,
    )


def overall(judged: Judged) -> Verdict:
    """Returns the verdict of all gates together; without gates nothing was judged."""
    if failed_gates(judged):
        return "failed"
    return "not judged" if unjudged_gates(judged) or not judged.gates else "passed"


def failed_gates(judged: Judged) -> list[Gate]:
    return [gate for gate in judged.gates if gate.verdict == "failed"]


def unjudged_gates(judged: Judged) -> list[Gate]:
    return [gate for gate in judged.gates if gate.verdict == "not judged"]


def verdict(manifest: Manifest) -> str:
    """'All 6 gates passed', or how many failed or were not judged and the first of them; and how many files lack."""
    lost = units.counted(len(manifest.missing), "file")
    return f"{gates_verdict(manifest)}; {lost} could not be made" if manifest.missing else gates_verdict(manifest)


def gates_verdict(judged: Judged) -> str:
    """'All 6 gates passed', or how many failed or were not judged, and the first of them."""
    failed, unjudged, total = failed_gates(judged), unjudged_gates(judged), len(judged.gates)
    if not total:
        return "No gates were set"
    if failed:
        others = f"; {len(unjudged)} not judged" if unjudged else ""
        return f"{len(failed)} of {total} gates failed: {named(failed)}{others}"
    if unjudged:
        return f"{len(unjudged)} of {total} gates not judged: {why_unjudged(unjudged)}; {total - len(unjudged)} passed"
    return f"All {total} gates passed" if total > 1 else "The one gate passed"


def unproven(judged: Judged) -> list[str]:
    """Returns a sentence for each promise on classes that was not judged, with the reason."""
    return [f"Not proven: {promise} ({reason})." for promise, reason in class_gates.unproven(judged.gates).items()]


def promises_say(manifest: Manifest) -> list[str]:
    """Returns what the thresholds of promises change for the student, and a sentence for each promise not judged."""
    student = manifest.student
    changed = _of_thresholds(student.scores, student.scores_with_thresholds)
    return [*([changed] if changed else []), *unproven(manifest)]


def _of_thresholds(plain: Scores | None, shipped: Scores | None) -> str:
    if plain is None or shipped is None or plain == shipped:
        return ""
    pairs = [(name, each.recall, shipped.classes[name].recall) for name, each in plain.classes.items()]
    lost = {name: (before.value, after.value) for name, before, after in pairs if before and after}
    before, after = (units.percent(_accuracy(each)) for each in (plain, shipped))
    found = (
        f"With the thresholds of promises the student predicts {after} of the test split correctly, without {before}"
    )
    name = max(lost, key=lambda each: lost[each][0] - lost[each][1])
    if lost[name][1] >= lost[name][0]:
        return f"{found}."
    high, low = (units.percent(value) for value in lost[name])
    return f"{found}; the recall of {name!r} falls most, from {high} to {low}."


def _accuracy(scores: Scores) -> float:
    return sum(each.right for each in scores.classes.values()) / sum(each.images for each in scores.classes.values())


def teacher_described(teacher: TeacherEntry) -> str:
    """Returns what is known of a teacher: weights, parameters, size of its input, calibration error."""
    side = teacher.image_size
    found = [
        weights_of(teacher),
        f"{teacher.parameters:,} parameters" if teacher.parameters else "",
        f"input {side} × {side}" if side else "",
        "" if teacher.calibration_error is None else f"calibration error {units.percent(teacher.calibration_error)}",
        "not measured on the test examples" if teacher.accuracy is None else "",
        _domain(teacher),
        _tuning(teacher.tuning),
    ]
    return ", ".join([teacher.model, *(each for each in found if each)])


def weights_of(teacher: TeacherEntry) -> str:
    """Returns "weights NAME", or "" for random ones and those of a model's own file, whose setting is unused."""
    is_unused = teacher.weights == IMAGENET and teacher.model not in TEACHERS
    return "" if is_unused or teacher.weights == "none" else f"weights {teacher.weights}"


def domains_say(manifest: Manifest) -> str:
    """Returns the domain of each teacher that has one, as a sentence; "" without any."""
    found = [f"{teacher.model}, {_domain(teacher)}" for teacher in manifest.teachers if teacher.domain]
    return f"Teachers by domain: {'; '.join(found)}." if found else ""


def _domain(teacher: TeacherEntry) -> str:
    if teacher.domain is None:
        return ""
    measured = "" if teacher.accuracy is None else f"accuracy {units.percent(teacher.accuracy)} on "
    return f"domain {teacher.domain.pattern} ({measured}{counted(teacher.domain.images, 'test example')})"


def _tuning(tuning: TuningEntry | None) -> str:
    if tuning is None:
        return ""
    before, after = units.percent(tuning.before), units.percent(tuning.after)
    kept = "fine-tuned" if tuning.after > tuning.before else "as before"
    return f"validation accuracy {before} before its backbone was fine-tuned, {after} after (used {kept})"


def against(accuracy: float | None, reference: float | None) -> float | None:
    """Returns the difference of two accuracies; None where one was not measured."""
    return None if accuracy is None or reference is None else accuracy - reference


def agreement_says(manifest: Manifest) -> str:
    """Returns how often student and teacher choose the same class, as a sentence."""
    agreement = manifest.student.agreement_with_teacher
    if agreement is None:
        return "How often student and teacher choose the same class is not known: the teacher was not measured."
    return f"Student and teacher choose the same class for {units.percent(agreement)} of the test {manifest.noun}s."


def folds_say(manifest: Manifest) -> str:
    """Returns how accuracies were measured with folds, as a sentence or two; "" where a test split was kept apart."""
    entry = manifest.student.folds
    if entry is None:
        return ""
    return (
        f"{_of_folds(manifest)}. Each {manifest.noun} was predicted by networks that were trained without its fold; "
        "the student that ships was trained on all of them, and its files were compared with it."
    )


def measured_on(manifest: Manifest) -> str:
    """Returns what accuracies were measured on, for the caption of a table."""
    return _of_folds(manifest).lower() if manifest.folds else f"accuracy on {manifest.images:,} test {manifest.noun}s"


def _of_folds(manifest: Manifest) -> str:
    entry = manifest.student.folds
    assert entry is not None
    low, high = map(units.percent, entry.interval)
    pooled = f"{manifest.images:,} {manifest.noun}s"
    return f"Accuracy of {entry.folds} folds, pooled over {pooled}, 95 % interval {low} to {high}"


def has_control_row(manifest: Manifest) -> bool:
    """Says whether the comparison holds a file of the control; where not, its accuracy is shown alone."""
    return any(row.variant.startswith("control") for row in manifest.comparison)


def has_memory(manifest: Manifest) -> bool:
    """Returns whether the peak memory of a row of the comparison was measured; earlier bundles have none."""
    return any(row.peak_memory_mb is not None for row in manifest.comparison)


def again(manifest: Manifest) -> str:
    """Returns the command that makes the bundle again."""
    if manifest.teachers:
        return "tfkd run recipe.json"
    request, kind = manifest.recipe, kind_of(manifest.signature.kind)
    stated = {name: request.get(name) for name in ("labels", "data", *sorted(kind.export_fields), "name")}
    options = [f"--{name.replace('_', '-')}={value}" for name, value in stated.items() if value is not None]
    options += [f"--import={module}" for module in request.get("imports") or []]
    options += ["--allow-code"] if request.get("allow_code") else []
    return shlex.join(["tfkd", "export", request["model"], *options, *_export_overrides(request, kind)])


def _export_overrides(request: Mapping[str, Any], kind: InputKind) -> Iterator[str]:
    """Yields the overrides of a request of `tfkd export`: the settings that have not their default values."""
    for name, block in default_blocks(kind.name, kind.not_by_default).items():
        for field, default in block.model_dump(mode="json").items():
            if (value := (request.get(name) or {}).get(field, default)) != default:
                written = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
                yield f"{name}.{field}={written}"


def limit(gate: Gate) -> str:
    """Returns the side of its limit on which a gate's value must lie, and the limit; a dash without one."""
    if gate.limit is None:
        return "–"
    kind = gate.name.partition("/")[0]
    sides = {"better_than_chance": "p ≤", "not_worse_than_control": "p >", "reject": "p >", "one_partition": "="}
    return f"{sides.get(kind) or {'max': '≤', 'min': '≥'}.get(gate.name[:3], '=')} {units.rounded_limit(gate.limit)}"


def value(gate: Gate) -> str:
    """Returns a gate's value as the tables show it: rounded, but never onto or across its limit."""
    if gate.value is None:
        return "–"
    return units.rounded(gate.value) if gate.limit is None else units.rounded_beside(gate.value, gate.limit)


def is_smoke(manifest: Manifest) -> bool:
    """Returns whether a run was shrunk by `--smoke`, so that its accuracies mean nothing."""
    gates = manifest.recipe.get("gates") or {}
    return gates.get("switched_off_by") == SMOKE


def standard_error(accuracy: float, images: int) -> float:
    """Binomial standard error of an accuracy measured on that many images."""
    return math.sqrt(accuracy * (1 - accuracy) / images) if images else 0.0


def over_seeds(accuracies: list[float], images: int) -> str:
    """Mean ± standard deviation over seeds; with one seed ± the binomial standard error."""
    if len(accuracies) > 1:
        return units.plus_minus(statistics.mean(accuracies), statistics.stdev(accuracies))
    return units.plus_minus(accuracies[0], standard_error(accuracies[0], images))


def initial_weights(manifest: Manifest) -> str | None:
    """Returns what the student and its control started from, or None for a model trained outside tfkd."""
    student = manifest.recipe.get("student")
    weights = student.get("weights") if isinstance(student, dict) else None
    if not isinstance(weights, str):
        return None
    return "random weights" if weights == RANDOM else f"the weights {weights}"


def control_says(manifest: Manifest) -> str:
    """Describes in a sentence or two the gain from the teacher, with its noise."""
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
        f"standard errors on {images:,} {manifest.noun}s ({100 * noise:.1f} points, the two taken as independent)."
    )


def test_uses_say(manifest: Manifest) -> str:
    """Returns how many recipes have looked at the test split, as a sentence; "" where that is not known."""
    recipes, made = len(manifest.recipes_tested), "recipe" if manifest.teachers else "model"
    images = f"these labelled {manifest.noun}s" if manifest.folds else "the test split"
    if not recipes:
        return ""
    if recipes == 1:
        return f"No other {made} of this run folder was measured on {images}."
    commands = ", ".join(f"{use.what} {len(use.recipes)}" for use in manifest.test_uses if use.what in _COMMANDS)
    how = "" if manifest.folds else f": tfkd verify {manifest.name} --unseen SOURCE"
    return (
        f"{recipes} {made}s of this run folder were measured on {images} ({commands}): a choice among them by these "
        f"figures makes the figures too high, so measure the final claim on fresh {manifest.noun}s{how}."
    )


def reached(found: RescueEntry | RescueTry) -> str:
    """Returns the validation accuracy of a recipe in a rescue, the mean over its seeds, and what decided beside it."""
    others = ", ".join(f"{name} {units.percent(value)}" for name, value in found.on_classes.items())
    return units.percent(statistics.fmean(found.validation_accuracies)) + (f" ({others})" if others else "")


def rescue_says(manifest: Manifest) -> list[str]:
    """Describes in sentences which remedies were tried after a student missed a gate; nothing where none was."""
    rescue = manifest.rescue
    if rescue is None:
        return []
    missed = ", ".join(rescue.missed)
    lines = [f"The student of the recipe missed {missed}; on the validation split it reached {reached(rescue)}."]
    for each in rescue.tries:
        found = each.reason or f"{reached(each)} on the validation split"
        kept = "; kept, so that this bundle is of that recipe" if each.kept else ""
        lines.append(f"Tried, as of the cause {each.cause!r}: {' '.join(each.overrides)}: {found}{kept}.")
    if not any(each.kept for each in rescue.tries):
        lines.append("None was better, so that this bundle is of the recipe as it was given.")
    return lines
