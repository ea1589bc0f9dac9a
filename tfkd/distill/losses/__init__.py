"""Distillation losses, one file each; `LOSSES` lists those that a recipe may use."""

from tfkd.distill.losses.attention import AttentionLoss
from tfkd.distill.losses.attention_maps import AttentionMapsLoss
from tfkd.distill.losses.contrastive import ContrastiveLoss
from tfkd.distill.losses.decoupled import DecoupledLoss
from tfkd.distill.losses.dist import DistLoss
from tfkd.distill.losses.hidden_states import HiddenStatesLoss
from tfkd.distill.losses.hint import HintLoss
from tfkd.distill.losses.normalized import NormalizedLoss
from tfkd.distill.losses.relational import RelationalLoss
from tfkd.distill.losses.soft_targets import SoftTargetsLoss
from tfkd.distill.losses.standardized import StandardizedLoss

__all__ = [
    "LOSSES",
    "AttentionLoss",
    "AttentionMapsLoss",
    "ContrastiveLoss",
    "DecoupledLoss",
    "DistLoss",
    "HiddenStatesLoss",
    "HintLoss",
    "NormalizedLoss",
    "RelationalLoss",
    "SoftTargetsLoss",
    "StandardizedLoss",
]

LOSSES = {
    "soft_targets": SoftTargetsLoss,
    "decoupled": DecoupledLoss,
    "standardized": StandardizedLoss,
    "dist": DistLoss,
    "normalized": NormalizedLoss,
    "attention": AttentionLoss,
    "attention_maps": AttentionMapsLoss,
    "hidden_states": HiddenStatesLoss,
    "hint": HintLoss,
    "relational": RelationalLoss,
    "contrastive": ContrastiveLoss,
}
