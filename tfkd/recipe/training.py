"""The settings of one training."""

import math
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from tfkd.recipe.base import Block

_WEIGHTS = (1e-6, 1e6)  # of a class


class Training(Block):
    """One training with AdamW."""

    epochs: int = Field(30, ge=1, description="passes over the training examples")
    batch_size: int = Field(64, ge=1, description="examples per step")
    learning_rate: float = Field(2e-3, gt=0, description="peak learning rate")
    schedule: Literal["cosine", "constant"] = Field("cosine", description="learning-rate schedule after the warm-up")
    warmup_epochs: float = Field(1.0, ge=0, description="epochs of linear warm-up")
    weight_decay: float = Field(0.02, ge=0, description="decoupled weight decay of AdamW")
    label_smoothing: float = Field(0.0, ge=0, lt=1, description="fraction of each label spread over all classes")
    clip_norm: float | None = Field(None, gt=0, description="largest global norm of the gradient")
    accumulate: int = Field(1, ge=1, description="steps per update (gradient accumulation)")
    average: float | None = Field(
        None, gt=0, lt=1, description="momentum of an average of the weights, which is the result"
    )
    patience: int | None = Field(None, ge=1, description="epochs without better validation accuracy before stopping")
    class_weight: Literal["balanced"] | dict[str, float] | None = Field(
        None,
        description="weights of classes in the loss with the labels, by name, others 1; balanced: examples / (classes "
        "· examples of the class). Losses with the teachers are not weighted",
    )
    sampling: Literal["natural", "balanced"] = Field(
        "natural", description="how often an epoch shows labelled examples; balanced: equally many of each class"
    )

    @field_validator("class_weight", mode="before")
    @classmethod
    def _read_class_weight(cls, value: Any) -> Any:
        if value is None or value == "balanced":
            return value
        if not isinstance(value, Mapping) or not value:
            raise ValueError("must be 'balanced', or a weight for each class by name, such as {\"rare\": 3}")
        for name, weight in value.items():
            if not _is_weight(weight):
                raise ValueError(f"the weight of {name!r} must be a number from {_WEIGHTS[0]:g} to {_WEIGHTS[1]:,.0f}")
        return {str(name): float(weight) for name, weight in value.items()}

    @model_validator(mode="after")
    def _balances_once(self) -> "Training":
        if self.class_weight == "balanced" and self.sampling == "balanced":
            raise ValueError(
                "class_weight=balanced and sampling=balanced together count rare classes twice; remove one of them "
                "(class_weight=null or sampling=natural)"
            )
        return self


def _is_weight(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return False
    return _WEIGHTS[0] <= value <= _WEIGHTS[1]


class FineTune(Training):
    """Fine-tuning of a teacher: its new head on the frozen backbone, then the whole network."""

    epochs: int = Field(4, ge=0, description="epochs with the unfrozen backbone; 0 trains the head alone")
    learning_rate: float = Field(3e-4, gt=0, description="peak learning rate of these epochs; BERT: 5e-5")
    weight_decay: float = Field(0.0, ge=0, description="decoupled weight decay of AdamW")
    head_epochs: int = Field(20, ge=0, description="epochs of the head on stored features of the backbone; BERT: 100")
    head_learning_rate: float = Field(3e-3, gt=0, description="peak learning rate of the head epochs; BERT: 1e-2")
    auto: bool = Field(
        False,
        description="train no more than helps: the backbone only where that improves the validation accuracy of the "
        "head; a head on an ONNX file only if its outputs are not the classes",
    )
    thaw: float = Field(1.0, ge=0, le=1, description="fraction of the backbone's layers to unfreeze, from the top")


class Finish(Block):
    """A last training of student and control on the labels alone, kept where the validation accuracy is not worse.

    The last step of PaddleClas's SSLD (Cui et al. 2021, arXiv:2103.05959). Both take the same steps.
    """

    epochs: int = Field(4, ge=1, description="passes over the labelled examples")
    learning_rate: float = Field(1e-4, gt=0, description="peak learning rate; the other settings are the training's")
