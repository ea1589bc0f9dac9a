"""The settings of one training."""

from typing import Literal

from pydantic import Field

from tfkd.recipe.base import Block


class Training(Block):
    """One training with AdamW."""

    epochs: int = Field(30, ge=1, description="passes over the training images")
    batch_size: int = Field(64, ge=1, description="images per step")
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


class FineTune(Training):
    """Fine-tuning of a teacher: its new head on the frozen backbone, then the whole network."""

    epochs: int = Field(4, ge=0, description="epochs with the unfrozen backbone; 0 trains the head alone")
    learning_rate: float = Field(3e-4, gt=0, description="peak learning rate of these epochs")
    weight_decay: float = Field(0.0, ge=0, description="decoupled weight decay of AdamW")
    head_epochs: int = Field(20, ge=0, description="epochs of the head on stored features of the backbone")
    head_learning_rate: float = Field(3e-3, gt=0, description="peak learning rate of the head epochs")
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

    epochs: int = Field(4, ge=1, description="passes over the labelled images")
    learning_rate: float = Field(1e-4, gt=0, description="peak learning rate; the other settings are the training's")
