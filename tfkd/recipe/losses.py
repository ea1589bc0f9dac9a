"""One block per distillation loss."""

import math
from typing import Annotated, Literal

from pydantic import Field, field_validator

from tfkd.recipe.base import AUTO, Block


class Schedule(Block):
    """A number that changes over a training, from its first epoch to its last."""

    start: float = Field(ge=0, description="in the first epoch")
    end: float = Field(ge=0, description="in the last epoch")
    shape: Literal["linear", "cosine"] = "linear"

    def at(self, epoch: int, epochs: int) -> float:
        """Returns the number in epoch 0 to epochs − 1."""
        progress = epoch / max(1, epochs - 1)
        fraction = progress if self.shape == "linear" else (1 - math.cos(math.pi * progress)) / 2
        return self.start + (self.end - self.start) * fraction


Temperature = float | Schedule | Literal["auto"]  # auto: see tfkd.training.temperature


class Loss(Block):
    """Base of the distillation losses."""

    weight: float | Schedule = Field(1.0, description="weight of this loss in the sum")

    @field_validator("weight")
    @classmethod
    def _not_negative(cls, value: float | Schedule) -> float | Schedule:
        if isinstance(value, float) and not value >= 0:
            raise ValueError("must not be negative")
        return value


class LogitLoss(Loss):
    """A distillation loss on logits, both softened by a temperature."""

    temperature: Temperature = Field(
        4.0, description="softens both teacher and student; auto: chosen from the entropy of the stored predictions"
    )

    @field_validator("temperature")
    @classmethod
    def _positive(cls, value: Temperature) -> Temperature:
        ends = [value.start, value.end] if isinstance(value, Schedule) else [value]
        if not all(isinstance(end, str) or end > 0 for end in ends):
            raise ValueError("must be above 0; 1 to 20 is usual")
        return value


class SoftTargets(LogitLoss):
    """Hinton's distillation loss (Hinton, Vinyals, Dean 2015, arXiv:1503.02531); it is scaled by T²."""

    kind: Literal["soft_targets"] = "soft_targets"
    weight: float | Schedule = Field(0.7, description="weight of this loss in the sum")


class Decoupled(LogitLoss):
    """Decoupled knowledge distillation, DKD (Zhao et al. 2022, arXiv:2203.08679)."""

    kind: Literal["decoupled"] = "decoupled"
    target: float = Field(1.0, ge=0, description="weight of the target-class part")
    others: float = Field(8.0, ge=0, description="weight of the part over the other classes")


class Standardized(LogitLoss):
    """Soft targets of standardised logits (Sun et al. 2024, arXiv:2403.01427)."""

    kind: Literal["standardized"] = "standardized"
    temperature: Temperature = Field(2.0, description="softens both standardised logits; auto is not available")

    @field_validator("temperature")
    @classmethod
    def _number(cls, value: Temperature) -> Temperature:
        if value == AUTO:
            raise ValueError("is not available: standardised logits have the same spread for every teacher; set it")
        return value


class Dist(LogitLoss):
    """Correlation between and within classes, DIST (Huang et al. 2022, arXiv:2205.10536)."""

    kind: Literal["dist"] = "dist"
    temperature: Temperature = Field(1.0, description="softens both teacher and student; auto: see soft_targets")
    inter: float = Field(1.0, ge=0, description="weight of the correlation between the classes of an example")
    intra: float = Field(1.0, ge=0, description="weight of the correlation of a class over the batch")


class Normalized(LogitLoss):
    """Normalised knowledge distillation, NKD (Yang et al. 2023, arXiv:2303.13005)."""

    kind: Literal["normalized"] = "normalized"
    temperature: Temperature = Field(1.0, description="softens the part over the other classes; auto: see soft_targets")
    others: float = Field(1.5, ge=0, description="weight of the part over the other classes")


class FeatureLoss(Loss):
    """A distillation loss on features; see `tfkd.distill.taps` for taps."""

    teacher_tap: str = Field(
        "pooled",
        description="logits, pooled, penultimate, stage:N, stage:N:before or a layer name; of an ONNX file penultimate "
        "or the name of a tensor",
    )
    student_tap: str = Field("pooled", description="tap of the student")


class Attention(FeatureLoss):
    """Attention transfer, AT (Zagoruyko, Komodakis 2017, arXiv:1612.03928)."""

    kind: Literal["attention"] = "attention"
    teacher_tap: str = "stage:16"
    student_tap: str = "stage:16"
    power: float = Field(2.0, gt=0, description="exponent of the activations that are summed over channels")


class AttentionMaps(FeatureLoss):
    """Attention logits of a transformer of texts, TinyBERT (Jiao et al. 2019, arXiv:1909.10351)."""

    kind: Literal["attention_maps"] = "attention_maps"
    teacher_tap: str = "layer_0_attention_logits"
    student_tap: str = "layer_0_attention_logits"


class HiddenStates(FeatureLoss):
    """Hidden states of a transformer of texts, TinyBERT (Jiao et al. 2019, arXiv:1909.10351)."""

    kind: Literal["hidden_states"] = "hidden_states"
    teacher_tap: str = "layer_0_hidden"
    student_tap: str = "layer_0_hidden"


class Hint(FeatureLoss):
    """Regression of the teacher's feature from the student's, FitNets (Romero et al. 2015, arXiv:1412.6550)."""

    kind: Literal["hint"] = "hint"
    standardize: bool = Field(True, description="standardise the teacher's feature to zero mean and unit variance")


class Relational(FeatureLoss):
    """Relational knowledge distillation, RKD (Park et al. 2019, arXiv:1904.05068)."""

    kind: Literal["relational"] = "relational"
    distance: float = Field(1.0, ge=0, description="weight of the distances between pairs of examples")
    angle: float = Field(2.0, ge=0, description="weight of the angles of triples of examples")


class Contrastive(FeatureLoss):
    """Contrastive representation distillation, CRD (Tian, Krishnan, Isola 2020, arXiv:1910.10699)."""

    kind: Literal["contrastive"] = "contrastive"
    temperature: float = Field(0.07, gt=0, description="temperature of the similarities")
    dimensions: int = Field(128, ge=2, description="dimensions of the common projection space")
    negatives: int | None = Field(4096, ge=1, description="drawn per step from a memory; None: the rest of the batch")
    momentum: float = Field(0.5, ge=0, lt=1, description="fraction of a memory entry that an update keeps")


AnyLoss = Annotated[
    SoftTargets
    | Decoupled
    | Standardized
    | Dist
    | Normalized
    | Attention
    | AttentionMaps
    | HiddenStates
    | Hint
    | Relational
    | Contrastive,
    Field(discriminator="kind"),
]
