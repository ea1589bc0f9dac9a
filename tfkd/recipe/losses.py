"""One block per distillation loss."""

import math
from typing import Annotated, Literal

from pydantic import Field, field_validator

from tfkd.recipe.base import Block


class Schedule(Block):
    """A number that changes over a training, from its first epoch to its last."""

    start: float = Field(ge=0, description="in the first epoch")
    end: float = Field(ge=0, description="in the last epoch")
    shape: Literal["linear", "cosine"] = "linear"

    def at(self, epoch: int, epochs: int) -> float:
        """Returns the number in epoch 0 to epochs − 1."""
        done = epoch / max(1, epochs - 1)
        share = done if self.shape == "linear" else (1 - math.cos(math.pi * done)) / 2
        return self.start + (self.end - self.start) * share


class Loss(Block):
    """What all distillation losses share."""

    weight: float | Schedule = Field(1.0, description="share of this loss in the sum")

    @field_validator("weight")
    @classmethod
    def _not_negative(cls, value: float | Schedule) -> float | Schedule:
        if isinstance(value, float) and not value >= 0:
            raise ValueError("must not be negative")
        return value


class LogitLoss(Loss):
    """A distillation loss on logits, both softened by a temperature."""

    temperature: float | Schedule = Field(4.0, description="softens teacher and student alike")

    @field_validator("temperature")
    @classmethod
    def _positive(cls, value: float | Schedule) -> float | Schedule:
        ends = [value.start, value.end] if isinstance(value, Schedule) else [value]
        if not all(end > 0 for end in ends):
            raise ValueError("must be above 0; 1 to 20 is usual")
        return value


class SoftTargets(LogitLoss):
    """Hinton's distillation loss (Hinton, Vinyals, Dean 2015, arXiv:1503.02531); it is scaled by T²."""

    kind: Literal["soft_targets"] = "soft_targets"
    weight: float | Schedule = Field(0.7, description="share of this loss in the sum")


class Decoupled(LogitLoss):
    """Decoupled knowledge distillation, DKD (Zhao et al. 2022, arXiv:2203.08679)."""

    kind: Literal["decoupled"] = "decoupled"
    target: float = Field(1.0, ge=0, description="weight of the part about the right class")
    others: float = Field(8.0, ge=0, description="weight of the part among the other classes")


class Standardized(LogitLoss):
    """Soft targets of standardised logits (Sun et al. 2024, arXiv:2403.01427)."""

    kind: Literal["standardized"] = "standardized"
    temperature: float | Schedule = Field(2.0, description="softens the standardised logits of both")


class Dist(LogitLoss):
    """Correlation between and within classes, DIST (Huang et al. 2022, arXiv:2205.10536)."""

    kind: Literal["dist"] = "dist"
    temperature: float | Schedule = Field(1.0, description="softens teacher and student alike")
    inter: float = Field(1.0, ge=0, description="weight of the correlation of each image's classes")
    intra: float = Field(1.0, ge=0, description="weight of the correlation of each class over the batch")


class Normalized(LogitLoss):
    """Normalised knowledge distillation, NKD (Yang et al. 2023, arXiv:2303.13005)."""

    kind: Literal["normalized"] = "normalized"
    temperature: float | Schedule = Field(1.0, description="softens the part among the other classes")
    others: float = Field(1.5, ge=0, description="weight of the part among the other classes")


class FeatureLoss(Loss):
    """A distillation loss on features; `tfkd.distill.taps` says what a tap may be."""

    teacher_tap: str = Field("pooled", description="logits, pooled, penultimate, stage:N, stage:N:before or a layer")
    student_tap: str = Field("pooled", description="the same of the student")


class Attention(FeatureLoss):
    """Attention transfer, AT (Zagoruyko, Komodakis 2017, arXiv:1612.03928)."""

    kind: Literal["attention"] = "attention"
    teacher_tap: str = "stage:16"
    student_tap: str = "stage:16"
    power: float = Field(2.0, gt=0, description="exponent of the activations that are summed over channels")


class Hint(FeatureLoss):
    """A projector of the student's feature regresses the teacher's, FitNets (Romero et al. 2015, arXiv:1412.6550)."""

    kind: Literal["hint"] = "hint"
    standardize: bool = Field(True, description="regress the teacher's feature with zero mean and unit variance")


class Relational(FeatureLoss):
    """Relational knowledge distillation, RKD (Park et al. 2019, arXiv:1904.05068)."""

    kind: Literal["relational"] = "relational"
    distance: float = Field(1.0, ge=0, description="weight of the distances between pairs of images")
    angle: float = Field(2.0, ge=0, description="weight of the angles of triples of images")


class Contrastive(FeatureLoss):
    """Contrastive representation distillation, CRD (Tian, Krishnan, Isola 2020, arXiv:1910.10699)."""

    kind: Literal["contrastive"] = "contrastive"
    temperature: float = Field(0.07, gt=0, description="of the similarities")
    dimensions: int = Field(128, ge=2, description="of the space that both features are projected to")
    negatives: int | None = Field(4096, ge=1, description="drawn from a memory of the data set; None: the batch's own")
    momentum: float = Field(0.5, ge=0, lt=1, description="share of a memory's entry that stays when its image comes")


AnyLoss = Annotated[
    SoftTargets | Decoupled | Standardized | Dist | Normalized | Attention | Hint | Relational | Contrastive,
    Field(discriminator="kind"),
]
