"""Results of sweeps, as plain values."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Trial:
    """One variation and its control; accuracies run from 0 to 1, one per seed.

    Attributes:
        name: name of the variation.
        seeds: seeds of student and control.
        accuracies: test accuracies of the students.
        control_accuracies: test accuracies of the controls; empty if the recipe trains none.
        validation_accuracies: validation accuracies of the students, for choosing a variation.
        control_validation_accuracies: validation accuracies of the controls.
        seconds: training time of each student.
        p_value: p-value of the difference to the control on the test split (`measures.paired_p_value`).
    """

    name: str
    seeds: list[int]
    accuracies: list[float]
    control_accuracies: list[float]
    validation_accuracies: list[float]
    control_validation_accuracies: list[float]
    seconds: list[float]
    p_value: float | None

    @property
    def gains(self) -> list[float]:
        """Student minus control, seed by seed."""
        return [student - control for student, control in zip(self.accuracies, self.control_accuracies, strict=False)]


@dataclass(frozen=True)
class Sweep:
    """A finished sweep: the test accuracy of the ensemble of teachers, and the variations in order."""

    teacher_accuracy: float | None
    trials: list[Trial]
