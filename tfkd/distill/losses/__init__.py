"""Distillation losses, one file each; `LOSSES` is the list of those that a recipe may name."""

from tfkd.distill.losses.attention import Attention
from tfkd.distill.losses.contrastive import Contrastive
from tfkd.distill.losses.decoupled import Decoupled
from tfkd.distill.losses.dist import Dist
from tfkd.distill.losses.hint import Hint
from tfkd.distill.losses.normalized import Normalized
from tfkd.distill.losses.relational import Relational
from tfkd.distill.losses.soft_targets import SoftTargets
from tfkd.distill.losses.standardized import Standardized

__all__ = [
    "LOSSES",
    "Attention",
    "Contrastive",
    "Decoupled",
    "Dist",
    "Hint",
    "Normalized",
    "Relational",
    "SoftTargets",
    "Standardized",
]

LOSSES = {
    "soft_targets": SoftTargets,
    "decoupled": Decoupled,
    "standardized": Standardized,
    "dist": Dist,
    "normalized": Normalized,
    "attention": Attention,
    "hint": Hint,
    "relational": Relational,
    "contrastive": Contrastive,
}
