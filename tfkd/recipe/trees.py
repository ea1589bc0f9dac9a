"""What a recipe may not ask of trees."""

from tfkd.recipe.base import default_of
from tfkd.recipe.data import Data
from tfkd.recipe.distill import Distill
from tfkd.recipe.export import Export
from tfkd.recipe.student import Student

_NOT_OF_TREES = ("label_head", "features", "assistants", "generations", "precision", "training", "finish")


def require_for_trees(student: Student, distill: Distill, export: Export, data: Data) -> None:
    """Refuses what only networks read, which a tree would ignore.

    Raises:
        ValueError: the student is a tree or a forest, and a setting is not for it.
    """
    if not student.is_tree:
        return
    for name in _NOT_OF_TREES:
        if getattr(distill, name) != default_of(Distill, name):
            raise ValueError(
                f"{student.model} is fitted at once to stored predictions and does not read distill.{name}; leave it "
                "out"
            )
    if export.temperature:
        raise ValueError(
            f"export.temperature divides logits, and the leaves of a {student.model} hold probabilities; leave it out"
        )
    if data.folds or data.augment.mix != "none":
        raise ValueError(f"{student.model} supports neither data.folds nor data.augment.mix; leave them out")
