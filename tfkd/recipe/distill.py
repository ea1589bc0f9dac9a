"""Settings of the distillation."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from tfkd.recipe.base import AUTO, Block, Separated, as_set
from tfkd.recipe.losses import AnyLoss, FeatureLoss, LogitLoss, Schedule, SoftTargets
from tfkd.recipe.student import Student
from tfkd.recipe.training import Finish, Training


class Distill(Block):
    """Settings of the distillation.

    With `auto`, a run chooses every field that is not set (see tfkd.pipeline.choices.distill), also within `training`,
    `finish` and a single loss. `distill="auto"` is the same with no field set, and the default of a recipe.
    """

    auto: bool = Field(False, description="let a run choose the fields that are not set")
    reasons: list[str] = Field([], description="why a run chose the others; written by the run")
    losses: list[AnyLoss] = Field([SoftTargets()], min_length=1, description="distillation losses, summed by weight")
    label_weight: float = Field(0.3, ge=0, description="weight of the cross-entropy with the true labels")
    label_head: float | None = Field(
        None,
        ge=0,
        le=1,
        description="weight of a second classifier, which alone learns the labels, while the first learns from the "
        "teachers alone; after the training both become one, whose logits are the weighted mean (DHO, "
        "arXiv:2505.07675); None: one classifier learns both",
    )
    views: int = Field(8, ge=1, description="augmented views per training example whose teacher predictions are stored")
    targets: Literal["view", "image"] = Field(
        "view",
        description="view: train on the stored views, each with its teacher prediction; image: train on new views in "
        "every epoch, with the mean teacher prediction over the stored views of the example",
    )
    features: Annotated[list[str], Separated] = Field(
        [], description="teacher taps to store in addition to those of the losses"
    )
    assistants: list[Student] = Field([], description="networks between teacher and student, in order")
    generations: int = Field(1, ge=1, description="students in a chain, each taught by the previous one")
    control: bool = Field(True, description="also train the same student without a teacher")
    repeats: int = Field(1, ge=1, description="number of seeds for student and control, starting at the recipe's seed")
    precision: Literal["float32", "mixed_float16", "mixed_bfloat16"] = Field(
        "float32", description="precision of the computation; weights stay float32, float16 uses loss scaling"
    )
    training: Training = Training()
    finish: Finish | None = Field(None, description="a last training on the labels alone")

    @property
    def teacher_taps(self) -> list[str]:
        """The teacher features in the store, sorted, without the logits."""
        return sorted({*self.loss_taps, *self.features} - {"logits"})

    @property
    def loss_taps(self) -> list[str]:
        """The teacher features that the losses use, sorted, without the logits."""
        return sorted({loss.teacher_tap for loss in self.losses if isinstance(loss, FeatureLoss)} - {"logits"})

    @model_serializer(mode="wrap")
    def _as_set(self, serialized: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leaves out what is still to be chosen, so that a recipe that is stored and read again leaves it open too."""
        values: dict[str, Any] = as_set(self) if self.auto else serialized(self)
        return values

    @model_validator(mode="after")
    def _two_teachings(self) -> "Distill":
        if self.label_head is None:
            return self
        if self.label_weight == 0 or not any(isinstance(loss, LogitLoss) for loss in self.losses):
            raise ValueError(
                "label_head adds a classifier that learns the labels alone; set label_weight above 0 and a loss on "
                "logits, or leave it out"
            )
        return self

    @model_validator(mode="after")
    def _some_weight(self) -> "Distill":
        weights = [loss.weight for loss in self.losses]
        if self.label_weight + sum(max(w.start, w.end) if isinstance(w, Schedule) else w for w in weights) <= 0:
            raise ValueError("the weights of the losses and label_weight sum to zero; give at least one of them weight")
        return self


def _with_auto(value: Any) -> Any:
    if isinstance(value, str) and value != AUTO:
        raise ValueError("must be 'auto' or Distill(...)")
    return {"auto": True} if value == AUTO else value


DistillOrAuto = Annotated[Distill, BeforeValidator(_with_auto, json_schema_input_type=Distill | Literal["auto"])]
