"""A class on which a missed gate depends has few training images, so that the student seldom predicts it."""

from tfkd.pipeline.causes.base import CauseKind, Remedy
from tfkd.pipeline.causes.figures import ClassFigures, StudentFigures
from tfkd.pipeline.causes.overfitted import FOLDS
from tfkd.recipe import Training

CLASS_WEIGHT, SAMPLING = "class_weight=balanced", "sampling=balanced"
STUDENT = "distill.training"
LABELS = 0.5  # weight of the labels from which class weights, which are of that loss alone, come before sampling


def _measure(figures: StudentFigures) -> float | None:
    """Returns which part of the largest class's training images the rarest class lacks; None without a class."""
    return max((_missing(each) for each in figures.at_stake), default=None)


def _missing(found: ClassFigures) -> float:
    return 1 - found.train / found.most


def _rarest(figures: StudentFigures) -> ClassFigures:
    return max(figures.at_stake, key=_missing)


def _evidence(figures: StudentFigures) -> str:
    rare = _rarest(figures)
    taught = "" if rare.teacher_right is None else f", {rare.teacher_right} by the teacher"
    counts = f"{rare.train:,} training examples, the largest class {rare.most:,}"
    return f"{rare.name!r} has {counts}; {rare.described()}{taught}"


def _remedies(figures: StudentFigures) -> list[Remedy]:
    rare, distill = _rarest(figures), figures.recipe.distill
    more = Remedy(advice=f"more training examples of {rare.name!r}")
    if _is_balanced(distill.training):
        return [*_in_folds(figures), more]
    weighted, sampled = Remedy((f"{STUDENT}.{CLASS_WEIGHT}",)), Remedy((f"{STUDENT}.{SAMPLING}",))
    if distill.label_weight == 0:
        found = [sampled]
    else:
        found = [weighted, sampled] if distill.label_weight >= LABELS else [sampled, weighted]
    return [*found, *_with_teachers(figures, found[0]), *_in_folds(figures), more]


def _with_teachers(figures: StudentFigures, student: Remedy) -> list[Remedy]:
    """Returns the balance of student and teachers together, where teachers that are tuned here miss the class too."""
    rare, teachers = _rarest(figures), figures.recipe.teachers
    if rare.teacher_right is None or rare.teacher_right > rare.right:
        return []
    places = [
        f"teachers.{number}.fine_tune.{CLASS_WEIGHT}"
        for number, teacher in enumerate(teachers)
        if teacher.fine_tune is not None and not _is_balanced(teacher.fine_tune)
    ]
    return [Remedy((*student.overrides, *places))] if places else []


def _in_folds(figures: StudentFigures) -> list[Remedy]:
    """Returns folds, with which all images of the class train the student."""
    return [Remedy((FOLDS,))] if figures.recipe.data.folds is None else []


def _is_balanced(training: Training) -> bool:
    return training.class_weight is not None or training.sampling == "balanced"


RARE_CLASS = CauseKind(
    threshold=0.5,
    worst=0.9,
    reason="A network that sees a class half as often as another gives it half the probability where an example does "
    "not decide.",
    measure=_measure,
    evidence=_evidence,
    remedies=_remedies,
)
