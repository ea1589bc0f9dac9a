"""Names the causes of a poor student by its figures."""

from tfkd.bundle.manifest import Manifest
from tfkd.pipeline.causes import CAUSES
from tfkd.pipeline.causes.class_limits import FLIPS, ON_CLASSES, key_of
from tfkd.pipeline.causes.figures import StudentFigures
from tfkd.recipe import Gates
from tfkd.verification.class_gates import judge_file
from tfkd.verification.gates import STUDENT
from tfkd.verification.records import Diagnosis, Gate
from tfkd.verification.verdict import ROUNDING

_ON_ACCURACY = ("better_than_chance", "not_worse_than_control", "min_relative_accuracy", "min_gain_over_control")
_OF_FILES = "min_accuracy"


def missed(manifest: Manifest) -> list[Gate]:
    """Returns the failed gates on accuracy and classes that the Keras student fails itself, not only a file."""
    return [gate for gate in manifest.gates if gate.verdict == "failed" and _is_of_student(gate, manifest)]


def _is_of_student(gate: Gate, manifest: Manifest) -> bool:
    kind, student = gate.name.split("/")[0], manifest.student
    if kind == _OF_FILES:
        return gate.limit is not None and student.accuracy < gate.limit
    if kind == FLIPS:
        flips = student.negative_flips
        return flips is None or _is_beyond(gate, flips.fraction)
    return kind in _ON_ACCURACY or (kind in ON_CLASSES and _misses_classes(gate, manifest))


def _misses_classes(gate: Gate, manifest: Manifest) -> bool:
    """Returns whether the Keras student misses a gate on classes too, by what an app gets from it."""
    student, limits = manifest.student, Gates.model_validate(manifest.recipe["gates"])
    scores = student.scores_with_thresholds or student.scores
    judged = judge_file(limits, STUDENT, scores, student.recall_changes, manifest.thresholds)
    own = {key_of(each.name): each for each in judged}[key_of(gate.name)]
    return own.verdict == "failed" or _is_beyond(gate, own.value)


def _is_beyond(gate: Gate, value: float | None) -> bool:
    """Returns whether a value is on the wrong side of the limit of a gate."""
    if value is None or gate.limit is None:
        return False
    return value < gate.limit - ROUNDING if gate.name.startswith("min") else value > gate.limit + ROUNDING


def causes_of(figures: StudentFigures) -> list[Diagnosis]:
    """Returns the causes that apply, the strongest first; where none does, one entry that says so with the numbers."""
    strengths = {name: kind.strength(figures) for name, kind in CAUSES.items()}
    found = {name: strength for name, strength in strengths.items() if strength is not None}
    if found:
        ordered = sorted(found, key=lambda name: -found[name])
        return [CAUSES[name].described(name, figures) for name in ordered]
    evidence = f"None of the causes that tfkd knows ({', '.join(CAUSES)}) applies. {figures.described()}."
    return [Diagnosis(subject=STUDENT, cause="unknown", evidence=evidence)]
