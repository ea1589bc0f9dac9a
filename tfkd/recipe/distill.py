"""How the student learns from the teacher."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from tfkd.recipe.base import Block, Separated
from tfkd.recipe.losses import AnyLoss, FeatureLoss, Schedule, SoftTargets
from tfkd.recipe.student import Student
from tfkd.recipe.training import Training


class Distill(Block):
    """How the student learns from the teacher."""

    losses: list[AnyLoss] = Field([SoftTargets()], min_length=1, description="distillation losses, summed by weight")
    label_weight: float = Field(0.3, ge=0, description="weight of the cross-entropy with the true labels")
    views: int = Field(8, ge=1, description="augmented views of every training image that the teacher answers once")
    targets: Literal["view", "image"] = Field(
        "view",
        description="view: the student sees the stored views, each with its answers; image: it sees new views in every "
        "epoch, and learns the mean of the answers to the stored views of the image",
    )
    features: Annotated[list[str], Separated] = Field(
        [], description="teacher's taps to store beside those that the losses look at"
    )
    assistants: list[Student] = Field([], description="networks between teacher and student, each taught by the last")
    generations: int = Field(1, ge=1, description="students in a row, each taught by the one before (born again)")
    control: bool = Field(True, description="train the same student without a teacher as well")
    repeats: int = Field(1, ge=1, description="seeds for student and control, counted up from the recipe's seed")
    precision: Literal["float32", "mixed_float16", "mixed_bfloat16"] = Field(
        "float32", description="of the computation; float16 comes with loss scaling, weights stay float32"
    )
    training: Training = Training()

    @property
    def teacher_taps(self) -> list[str]:
        """The features of a teacher that its store keeps, in order and without the logits."""
        return sorted({*self.learnt_taps, *self.features} - {"logits"})

    @property
    def learnt_taps(self) -> list[str]:
        """Those of them that the losses look at."""
        return sorted({loss.teacher_tap for loss in self.losses if isinstance(loss, FeatureLoss)} - {"logits"})

    @model_validator(mode="after")
    def _some_weight(self) -> "Distill":
        weights = [loss.weight for loss in self.losses]
        if self.label_weight + sum(max(w.start, w.end) if isinstance(w, Schedule) else w for w in weights) <= 0:
            raise ValueError("the weights of the losses and label_weight sum to zero; give at least one of them weight")
        return self
