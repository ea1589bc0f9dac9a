"""Recipes: typed blocks of settings that are validated, printed, read from files and overridden.

A recipe is a short Python file that ends in `recipe = Recipe(...)`, or the `recipe.json` that every bundle holds;
`tfkd.recipe.files` reads both.
"""

from tfkd.recipe.base import AUTO, Block, Separated, as_set, default_of
from tfkd.recipe.bench import Bench
from tfkd.recipe.compress import AnyCompression, Cluster, Compression, Prune, QuantizationAware
from tfkd.recipe.cost import Cost
from tfkd.recipe.data import MOST_TOKENS, Augment, Data
from tfkd.recipe.distill import Distill
from tfkd.recipe.export import CoremlForm, Export, Reject, TflitePrecision, oldest_ios
from tfkd.recipe.fit import Fit
from tfkd.recipe.gates import Gates
from tfkd.recipe.losses import (
    AnyLoss,
    Attention,
    AttentionMaps,
    Contrastive,
    Decoupled,
    Dist,
    FeatureLoss,
    HiddenStates,
    Hint,
    LogitLoss,
    Loss,
    Normalized,
    Relational,
    Schedule,
    SoftTargets,
    Standardized,
)
from tfkd.recipe.recipe import NAME, OVERRIDES, SMOKE, Recipe, shrunk
from tfkd.recipe.student import IMAGENET, OF_TEACHER, RANDOM, Activation, Forest, Student, Tree, imagenet_of
from tfkd.recipe.teachers import MODEL_SUFFIXES, Teacher, is_model_file
from tfkd.recipe.training import FineTune, Finish, Training

__all__ = [
    "AUTO",
    "IMAGENET",
    "MODEL_SUFFIXES",
    "MOST_TOKENS",
    "NAME",
    "OF_TEACHER",
    "OVERRIDES",
    "RANDOM",
    "SMOKE",
    "Activation",
    "AnyCompression",
    "AnyLoss",
    "Attention",
    "AttentionMaps",
    "Augment",
    "Bench",
    "Block",
    "Cluster",
    "Compression",
    "Contrastive",
    "CoremlForm",
    "Cost",
    "Data",
    "Decoupled",
    "Dist",
    "Distill",
    "Export",
    "FeatureLoss",
    "FineTune",
    "Finish",
    "Fit",
    "Forest",
    "Gates",
    "HiddenStates",
    "Hint",
    "LogitLoss",
    "Loss",
    "Normalized",
    "Prune",
    "QuantizationAware",
    "Recipe",
    "Reject",
    "Relational",
    "Schedule",
    "Separated",
    "SoftTargets",
    "Standardized",
    "Student",
    "Teacher",
    "TflitePrecision",
    "Training",
    "Tree",
    "as_set",
    "default_of",
    "imagenet_of",
    "is_model_file",
    "oldest_ios",
    "shrunk",
]
