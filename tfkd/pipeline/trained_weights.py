"""The settings with which a student starts from trained weights instead of random ones."""

from dataclasses import dataclass

from tfkd.inputs.text.bert_folders import PACKAGES
from tfkd.models import STUDENTS
from tfkd.recipe import Student, Teacher

FEW_IMAGES = 5_000  # for a student that starts from random weights
_INSTALLABLE = "mobilenet_v2"  # a student whose weights need no download by Keras


@dataclass(frozen=True)
class TrainedWeights:
    """Settings of a student with trained weights.

    Attributes:
        overrides: fields of the recipe.
        source: how the weights are had.
    """

    overrides: tuple[str, ...]
    source: str


_OF_TEACHER = TrainedWeights(("student.weights=teacher",), "the word vectors of a BERT teacher")
_OF_MINILM = TrainedWeights(("student.weights=minilm_l6", "data.vocabulary=minilm_l6"), PACKAGES["minilm_l6"].install)


def trained_weights(student: Student, teacher: Teacher, was_tried: bool = False) -> list[TrainedWeights]:
    """Returns the settings with which a student starts from trained weights; those of its own network come first.

    Args:
        student: of the recipe.
        teacher: the first one.
        was_tried: whether its own weights were just tried; a failed download is not proposed again.
    """
    if student.is_tree:
        return []
    if STUDENTS[student.model].takes != "image":
        return [_OF_TEACHER if teacher.is_bert else _OF_MINILM]
    advised = student.model_copy(update={"model": _INSTALLABLE})
    found = [_settings(student, student.model, was_tried)]
    if student.model != _INSTALLABLE:
        found.append(_settings(advised, student.model))
    return [each for each in found if each is not None]


def _settings(student: Student, present: str, was_tried: bool = False) -> TrainedWeights | None:
    """Returns the settings of a student's ImageNet weights; None if it has none or their download has just failed."""
    published = STUDENTS[student.model].pretrained
    if published is None or (was_tried and not published.install and published.fits(student)):
        return None
    fields = {"model": student.model, "weights": "imagenet", "activation": published.activation, "width": 1}
    if student.model == present:
        del fields["model"]
    if student.width in published.widths:
        del fields["width"]
    overrides = tuple(f"student.{name}={value}" for name, value in fields.items())
    return TrainedWeights(overrides, published.install or "Keras downloads the weights")
