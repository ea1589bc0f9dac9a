"""The student is overfitted: it knows its training images much better than the validation images."""

from tfkd.pipeline.causes.base import CauseKind, Remedy
from tfkd.pipeline.causes.figures import StudentFigures
from tfkd.recipe import FeatureLoss
from tfkd.verification.intervals import difference

MORE_VIEWS = 4
FOLDS = "data.folds=5"


def _measure(figures: StudentFigures) -> float:
    """Returns the accuracy on training images less that on validation images; 0 where chance explains it."""
    training, (images, right) = figures.training, figures.validation
    low, _ = difference(training.student_right, training.images, right, images)
    return training.student_right / training.images - figures.accuracy if low > 0 else 0.0


def _evidence(figures: StudentFigures) -> str:
    training = figures.training
    return (
        f"the student predicts {training.student_right / training.images:.1%} of {training.images} training examples "
        f"correctly and {figures.accuracy:.1%} of {figures.validation[0]} validation examples"
    )


def _remedies(figures: StudentFigures) -> list[Remedy]:
    return [*more_images(figures), *_views(figures), *in_folds(figures)]


def in_folds(figures: StudentFigures) -> list[Remedy]:
    """Returns folds, with which teachers that are tuned here label only images that they have not seen."""
    recipe = figures.recipe
    is_tuned = any(teacher.is_tuned for teacher in recipe.teachers)
    return [Remedy((FOLDS,))] if is_tuned and recipe.data.folds is None else []


def more_images(figures: StudentFigures) -> list[Remedy]:
    """Returns how the teacher gets images to label on which it was not trained."""
    data = figures.recipe.data
    if data.unlabelled:
        return []
    if data.fraction < 1:
        return [Remedy(("data.unlabelled=rest",))]
    return [Remedy(advice="examples without labels, data.unlabelled=folder:PATH")]


def _views(figures: StudentFigures) -> list[Remedy]:
    """Returns what shows the student more different views."""
    distill = figures.recipe.distill
    found = [Remedy((f"distill.views={MORE_VIEWS * distill.views}",))]
    if distill.targets == "view" and not any(isinstance(loss, FeatureLoss) for loss in distill.losses):
        found.insert(0, Remedy(("distill.targets=image",)))
    return found


OVERFITTED = CauseKind(
    threshold=0.1,
    worst=0.5,
    reason="Trainings that generalise well part by a few points; half of what the default gate of 0.8 leaves is 0.1.",
    measure=_measure,
    evidence=_evidence,
    remedies=_remedies,
)
