"""What the causes of a poor student are told apart by: the figures of one training and of what taught it."""

from dataclasses import dataclass

from tfkd.errors import counted
from tfkd.recipe import Recipe
from tfkd.verification.intervals import Interval, paired_difference

FEWEST_EPOCHS = 4  # of a learning curve whose two halves can be compared
LEAST_FALL = 0.05  # of the loss, as a fraction, below which a curve has no shape


@dataclass(frozen=True)
class TrainingFigures:
    """Predictions of student and teacher on training images.

    Attributes:
        images: labelled training images that were predicted.
        disagreeing: stored views of them for which the student gives another class than its teacher.
        student_right: images, not augmented, that the student predicts correctly.
        teacher_right: stored views that the teacher predicts correctly; None where views of two images are mixed.
        most_frequent: images to which the student gives its most frequent class.
        most_labelled: images of the most frequent class.
        confidence: mean of the teacher's largest probability, at the lowest temperature of the losses, or at 1.
        flatness: entropy of its probabilities at the highest one, as a fraction of that of a uniform guess.
    """

    images: int
    disagreeing: int
    student_right: int
    teacher_right: int | None
    most_frequent: int
    most_labelled: int
    confidence: float
    flatness: float


@dataclass(frozen=True)
class ClassFigures:
    """A class on which a missed gate depends.

    Attributes:
        name: of the class.
        train: its labelled training images.
        most: those of the largest class.
        validation: its validation images.
        right: those of them that are predicted as this class, as the gate counts them.
        teacher_right: those that the teacher predicts correctly; None where it was not measured.
        promise: least recall that the recipe promises; None where it does not.
    """

    name: str
    train: int
    most: int
    validation: int
    right: int
    teacher_right: int | None
    promise: float | None

    def described(self) -> str:
        """Returns its recall on the validation images, or that there are none."""
        if not self.validation:
            return f"{self.name!r} has no validation example"
        return f"{self.right} of {counted(self.validation, 'validation example')} of {self.name!r} are predicted as it"


@dataclass(frozen=True)
class StudentFigures:
    """The figures of a trained student; accuracies run from 0 to 1.

    Attributes:
        recipe: the resolved recipe.
        labelled: labelled training images.
        transfer: images of one epoch, with the unlabelled ones.
        losses: training loss of each epoch.
        validation: number of validation images, and how many of them the student predicts correctly.
        curve: validation accuracy of each epoch.
        teacher: validation accuracy of the best teacher, or of teachers with domains the mean per image; None where it
            was not measured.
        control: validation accuracy of the control; None without one.
        temperatures: place and temperature of each loss on softened probabilities, the chosen one for "auto".
        training: on training images.
        only_right: validation images that only the teacher, and that only the control predicts correctly; of several
            teachers all together. None where one was not measured.
        at_stake: the classes on which missed gates depend.
    """

    recipe: Recipe
    labelled: int
    transfer: int
    losses: tuple[float, ...]
    curve: tuple[float, ...]
    validation: tuple[int, int]
    teacher: float | None
    control: float | None
    temperatures: tuple[tuple[int, float], ...]
    training: TrainingFigures
    only_right: tuple[int, int] | None = None
    at_stake: tuple[ClassFigures, ...] = ()

    @property
    def steps_per_epoch(self) -> int:
        """Steps of one epoch."""
        return max(1, self.transfer // min(self.recipe.distill.training.batch_size, self.transfer))

    @property
    def steps(self) -> int:
        """Steps of the training."""
        return len(self.losses) * self.steps_per_epoch

    @property
    def accuracy(self) -> float:
        """The student's validation accuracy."""
        return self.validation[1] / self.validation[0]

    @property
    def teacher_over_control(self) -> Interval | None:
        """95 % interval of the teacher's validation accuracy less the control's; None where one was not measured."""
        if self.only_right is None or self.control is None:
            return None
        images = self.validation[0]
        of_teacher, of_control = self.only_right
        return paired_difference(of_control, of_teacher, round(self.control * images), images)

    @property
    def fall_in_second_half(self) -> float | None:
        """Which part of the loss's fall happened in the second half of the epochs; None where the curve is too short.

        0 where the loss fell by less than LEAST_FALL, or where the validation accuracy was better in the first half.
        """
        epochs = len(self.losses)
        if epochs < FEWEST_EPOCHS:
            return None
        middle = epochs // 2
        first, half, last = self.losses[0], self.losses[middle - 1], min(self.losses[middle:])
        if first - last < LEAST_FALL * abs(first) or max(self.curve[middle:]) < max(self.curve[:middle]):
            return 0.0
        return max(0.0, half - last) / (first - last)

    def described(self) -> str:
        """Returns what was measured, in one sentence without a full stop."""
        others = {"teacher": self.teacher, "control": self.control}
        known = {"student": self.accuracy} | {name: each for name, each in others.items() if each is not None}
        training, images = self.training, self.training.images
        classes = "".join(f"; {each.described()}" for each in self.at_stake)
        return (
            f"Validation accuracy: {', '.join(f'{name} {each:.1%}' for name, each in known.items())}; of {images} "
            f"training examples the student predicts {training.student_right / images:.1%} correctly and "
            f"{1 - training.disagreeing / images:.1%} of the views as its teacher, whose mean confidence is "
            f"{training.confidence:.3f}; {self.steps:,} steps{classes}"
        )
