"""The settings of one training."""

from typing import Literal

from pydantic import Field

from tfkd.recipe.base import Block


class Training(Block):
    """One training with AdamW."""

    epochs: int = Field(30, ge=1, description="passes over the training images")
    batch_size: int = Field(64, ge=1, description="images a step")
    learning_rate: float = Field(2e-3, gt=0, description="peak learning rate")
    schedule: Literal["cosine", "constant"] = Field("cosine", description="of the learning rate after the warm-up")
    warmup_epochs: float = Field(1.0, ge=0, description="epochs of linear warm-up")
    weight_decay: float = Field(0.02, ge=0, description="decoupled weight decay of AdamW")
    label_smoothing: float = Field(0.0, ge=0, lt=1, description="share of each label spread over all classes")
    clip_norm: float | None = Field(None, gt=0, description="largest norm of the whole gradient")
    accumulate: int = Field(1, ge=1, description="steps whose gradients make one update")
    average: float | None = Field(None, gt=0, lt=1, description="momentum of an average of the weights, which is kept")
    patience: int | None = Field(None, ge=1, description="epochs without a better validation accuracy before it stops")


class FineTune(Training):
    """Fine-tuning of a teacher: first its new head on the frozen backbone, then the rest."""

    epochs: int = Field(4, ge=0, description="passes with the backbone thawed; 0 trains the head alone")
    learning_rate: float = Field(3e-4, gt=0, description="peak learning rate of the thawed epochs")
    weight_decay: float = Field(0.0, ge=0, description="decoupled weight decay of AdamW")
    head_epochs: int = Field(20, ge=0, description="passes of the head over the backbone's stored features")
    head_learning_rate: float = Field(3e-3, gt=0, description="peak learning rate of the head epochs")
    thaw: float = Field(1.0, ge=0, le=1, description="share of the backbone's layers, from the top, that is thawed")
