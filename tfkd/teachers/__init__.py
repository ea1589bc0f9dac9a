"""The kinds of teachers: how each is prepared, how it predicts, and what cannot be done with it.

Adding a kind touches its own file, its test and one line below.
"""

from tfkd.recipe import Teacher, is_model_file
from tfkd.teachers.base import CheckedTeacher, PreparedTeacher, RawClassifier, StoreSource, TeacherKind, ViewSet
from tfkd.teachers.function import FUNCTION
from tfkd.teachers.network import NETWORK
from tfkd.teachers.onnx import ONNX
from tfkd.teachers.predictions_file import PREDICTIONS

__all__ = [
    "KINDS",
    "NETWORK",
    "CheckedTeacher",
    "PreparedTeacher",
    "RawClassifier",
    "StoreSource",
    "TeacherKind",
    "ViewSet",
    "kind_of",
]

KINDS: dict[str, TeacherKind] = {
    "network": NETWORK,
    "predictions": PREDICTIONS,
    "onnx": ONNX,
    "function": FUNCTION,
}


def kind_of(teacher: Teacher, classes: int) -> TeacherKind:
    """Returns the kind of a teacher; calls a function of the user's, which may return a network or a function.

    Args:
        teacher: block of the recipe.
        classes: number of classes.

    Raises:
        RequestError: the function fails, or returns neither.
    """
    if teacher.predictions is not None:
        return PREDICTIONS
    if teacher.is_onnx:
        return ONNX
    if ":" not in teacher.model or is_model_file(teacher.model):
        return NETWORK
    from tfkd.models import gives_network

    return NETWORK if gives_network(teacher, classes) else FUNCTION
