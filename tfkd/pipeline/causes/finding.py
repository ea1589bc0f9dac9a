"""Names the causes of a poor student by its figures."""

from collections.abc import Sequence

from tfkd.pipeline.causes import CAUSES
from tfkd.pipeline.causes.figures import StudentFigures
from tfkd.verification.gates import STUDENT
from tfkd.verification.records import Diagnosis, Gate

_ON_ACCURACY = ("better_than_chance", "not_worse_than_control", "min_relative_accuracy", "min_gain_over_control")
_OF_FILES = "min_accuracy"


def missed(gates: Sequence[Gate], accuracy: float) -> list[Gate]:
    """Returns the failed gates on accuracy that the Keras student fails itself, not only a file.

    Args:
        gates: the verdicts of a run.
        accuracy: of the student on the test split.
    """

    def is_of_student(gate: Gate) -> bool:
        of_files = gate.name.startswith(_OF_FILES) and gate.limit is not None and accuracy < gate.limit
        return of_files or gate.name.startswith(_ON_ACCURACY)

    return [gate for gate in gates if gate.verdict == "failed" and is_of_student(gate)]


def causes_of(figures: StudentFigures) -> list[Diagnosis]:
    """Returns the causes that apply, the strongest first; where none does, one entry that says so with the numbers."""
    strengths = {name: kind.strength(figures) for name, kind in CAUSES.items()}
    found = {name: strength for name, strength in strengths.items() if strength is not None}
    if found:
        ordered = sorted(found, key=lambda name: -found[name])
        return [CAUSES[name].described(name, figures) for name in ordered]
    evidence = f"None of the causes that tfkd knows ({', '.join(CAUSES)}) applies. {figures.described()}."
    return [Diagnosis(subject=STUDENT, cause="unknown", evidence=evidence)]
