"""Distillation losses, one file each; `LOSSES` is the list of those that a recipe may name."""

from tfkd.distill.losses.soft_targets import SoftTargets

__all__ = ["LOSSES", "SoftTargets"]

LOSSES = {
    "soft_targets": SoftTargets,
}
