"""What came of trainings with varied settings: plain values that a sweep measures and a report shows."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Trial:
    """One variation and its control; accuracies run from 0 to 1, one per seed.

    Attributes:
        name: which variation it is.
        seeds: what student and control began from.
        accuracies: of the students, on the test images.
        control_accuracies: of the same students without a teacher; empty where the recipe trains none.
        validation_accuracies: of the students, on the validation images, on which a choice may be made.
        control_validation_accuracies: the same of the controls.
        seconds: of each student's training.
        p_value: of the difference to the control on the test images (`measures.paired_p_value`).
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
    """A finished sweep: what the teachers reach together on the test images, and the variations in their order."""

    teacher_accuracy: float
    trials: list[Trial]
