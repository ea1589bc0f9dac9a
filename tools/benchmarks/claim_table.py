"""The claims about distillation that claims.py tries: what is claimed, the recipes to compare, and what is measured.

A recipe is one of BASES with overrides. Students start from random weights, at 64 px or less. Recipes of one data set
share a run's folder, so equal teachers, stores and trainings are made once.
"""

import json
from dataclasses import dataclass
from typing import Literal

from distill_accuracy import CIFAR10, FIFTH, METHODS
from photo_kinds import KINDS, pattern

from tfkd.recipe import Recipe

Measure = Literal["accuracy", "convergence", "corruptions", "memory"]

_TUNED = {"epochs": 4, "head_epochs": 30, "thaw": 0.5, "batch_size": 32, "learning_rate": 3e-4}
_LITE0 = {"model": "efficientnet_lite0", "image_size": 96, "fine_tune": _TUNED}
_PER_KIND = [_LITE0 | {"domain": pattern(kind)} for kind in KINDS]
_LITE2 = _LITE0 | {"model": "efficientnet_lite2"}
# The weights of soft targets and labels sum to one.
_COMMON = (
    'student={"model": "mobilenet_v3_small", "weights": "none", "width": 0.75}',
    'distill.losses=[{"kind": "soft_targets", "temperature": 2, "weight": 0.5}]',
    "distill.label_weight=0.5",
    "distill.views=10",
    "distill.training.epochs=20",
    'export.tflite=["fp32", "int8"]',
    "export.coreml=[]",
)
_CLOTHING = (
    "name=claims-clothing",
    f"teachers={json.dumps([_LITE0])}",
    *_COMMON,
    'distill.features=["pooled", "stage:16"]',
)
_ALL_LABELS = ("data.fraction=1", "data.unlabelled=null")
# As many steps and as many teacher predictions as with the other four fifths.
_FIFTH_ALONE = ("data.unlabelled=null", "distill.views=50", "distill.training.epochs=100")

# No features, which a teacher has of its domain alone, and no control: teachers are compared with each other.
_TWO_KINDS = ("name=claims-two-kinds", "distill.features=[]", "distill.views=5", "distill.control=false")
TWO_KINDS = "two kinds of photos"

BASES: dict[str, Recipe] = {
    "a fifth labelled": FIFTH.with_(*_CLOTHING),
    "all labelled": FIFTH.with_(*_CLOTHING, *_ALL_LABELS),
    "CIFAR-10": CIFAR10.with_("name=claims-cifar10", *_COMMON),
    TWO_KINDS: FIFTH.with_(*_CLOTHING, *_ALL_LABELS).with_(*_TWO_KINDS),
}


@dataclass(frozen=True)
class Arm:
    """One recipe of a comparison.

    Attributes:
        base: a name of BASES.
        overrides: of its recipe.
        teacher: the trained network that replaces its teachers: the "teacher" or the "control" of another base.
    """

    base: str
    overrides: tuple[str, ...] = ()
    teacher: tuple[Literal["teacher", "control"], str] | None = None


@dataclass(frozen=True)
class Claim:
    """One claim.

    Attributes:
        name: as on the command line.
        claimed: what is claimed, and by whom.
        quantity: what is measured.
        arms: the recipes to compare, by their names in the table.
        against: arms with which the others are compared, the best one on validation; none: each one's control.
        measure: how it is measured.
    """

    name: str
    claimed: str
    quantity: str
    arms: dict[str, Arm]
    against: tuple[str, ...] = ()
    measure: Measure = "accuracy"


def _method(name: str) -> tuple[str, ...]:
    """Returns the overrides of a method of distill_accuracy.py."""
    label_weight, losses = METHODS[name]
    return (
        f"distill.label_weight={label_weight}",
        f"distill.losses={json.dumps([loss.model_dump(mode='json') for loss in losses])}",
    )


def _fifth(*overrides: str) -> Arm:
    return Arm("a fifth labelled", overrides)


def _soft_weight(weight: float) -> Arm:
    return _fifth(f"distill.losses.0.weight={weight:g}", f"distill.label_weight={1 - weight:g}")


_ACCURACY = "test accuracy"
_SMALL = "student.width=0.25"
_STRONG = ("data.augment.operations=2", "data.augment.magnitude=0.7", "data.augment.mix=cutmix")
_ASSISTANT = 'distill.assistants=[{"model": "mobilenet_v3_small", "weights": "none", "width": 0.75}]'

CLAIMS: tuple[Claim, ...] = (
    Claim(
        "twenty_percent",
        "A student needs only 20 % of the data if its teacher saw all of them (articles and tutorials).",
        _ACCURACY,
        {
            "all photos": Arm("all labelled"),
            "20 % of the photos": Arm("a fifth labelled", _FIFTH_ALONE, ("teacher", "all labelled")),
        },
        ("all photos",),
    ),
    Claim(
        "temperature",
        "A temperature above 1 is what makes soft targets work; 4 is usual (Hinton et al. 2015, and tutorials).",
        _ACCURACY,
        {f"T = {value}": _fifth(f"distill.losses.0.temperature={value}") for value in (1, 2, 4, 8)},
        ("T = 1",),
    ),
    Claim(
        "soft_weight",
        "Soft targets should have most of the weight, with a little for the labels (Hinton et al. 2015).",
        _ACCURACY,
        {f"soft weight {value:g}": _soft_weight(value) for value in (0, 0.25, 0.5, 0.75, 1)},
        ("soft weight 0",),
    ),
    Claim(
        "two_teachers",
        "Several teachers teach better than the best of them (Hinton et al. 2015; You et al. 2017).",
        _ACCURACY,
        {
            "EfficientNet-Lite0": _fifth(),
            "EfficientNet-Lite2": _fifth(f"teachers={json.dumps([_LITE2])}"),
            "both": _fifth(f"teachers={json.dumps([_LITE0, _LITE2])}"),
        },
        ("EfficientNet-Lite0", "EfficientNet-Lite2"),
    ),
    Claim(
        "domains",
        "A teacher for each kind of photo, such as X-ray and MRI, teaches a student of all kinds better than one "
        "teacher of all (articles and tutorials).",
        _ACCURACY,
        {
            "one teacher of both kinds": Arm(TWO_KINDS),
            "a teacher per kind": Arm(TWO_KINDS, (f"teachers={json.dumps(_PER_KIND)}",)),
        },
        ("one teacher of both kinds",),
    ),
    Claim(
        "progressive",
        "A student far smaller than its teacher learns better from one in between (Mirzadeh et al. 2020).",
        _ACCURACY,
        {"direct": _fifth(_SMALL), "through an assistant": _fifth(_SMALL, _ASSISTANT)},
        ("direct",),
    ),
    Claim(
        "self_distillation",
        "A network taught by itself is better than by labels alone (born-again networks, Furlanello et al. 2018).",
        _ACCURACY,
        {"taught by its control": Arm("CIFAR-10", teacher=("control", "CIFAR-10")), "larger teacher": Arm("CIFAR-10")},
    ),
    Claim(
        "features",
        "Attention transfer (Zagoruyko, Komodakis 2017) and contrastive distillation (Tian et al. 2020) are better "
        "than soft targets alone.",
        _ACCURACY,
        {
            name: _fifth(*_method(method))
            for name, method in (
                ("soft targets", "soft targets T=2"),
                ("attention transfer", "attention (AT)"),
                ("contrastive", "contrastive (CRD)"),
            )
        },
        ("soft targets",),
    ),
    Claim(
        "hints",
        "The teacher's features as hints are better than soft targets alone (FitNets, Romero et al. 2015).",
        _ACCURACY,
        {
            name: _fifth(*_method(method))
            for name, method in (
                ("soft targets", "soft targets T=2"),
                ("with a hint", "hint (FitNets)"),
                ("hint that fades", "hint, then soft targets"),
            )
        },
        ("soft targets",),
    ),
    Claim(
        "grey",
        "A teacher of one kind of image teaches a student of another (cross-modal distillation, Gupta et al. 2016).",
        _ACCURACY,
        {
            "RGB teacher, RGB student": _fifth(),
            "grey teacher, RGB student": _fifth("teachers.0.rendering=grey"),
            "RGB teacher, grey student": _fifth("student.rendering=grey"),
        },
    ),
    Claim(
        "strong_augmentation",
        "Strongly changed and mixed views make a student better (Beyer et al. 2022).",
        _ACCURACY,
        {"one operation": _fifth(), "two operations and CutMix": _fifth(*_STRONG)},
        ("one operation",),
    ),
    Claim(
        "unlabelled",
        "Unlabelled photos that the teacher labels make a student better (Hinton et al. 2015; Beyer et al. 2022).",
        _ACCURACY,
        {"labelled photos alone": _fifth(*_FIFTH_ALONE), "with unlabelled photos": _fifth()},
        ("labelled photos alone",),
    ),
    Claim(
        "convergence",
        "With a teacher, a student converges 40 % faster (articles and tutorials).",
        "steps and seconds to the last validation accuracy of the control",
        {name: Arm(name) for name, base in BASES.items() if base.distill.control},
        measure="convergence",
    ),
    Claim(
        "mixed_precision",
        "Mixed precision trains faster without loss (Micikevicius et al. 2018; here bfloat16, as for processors).",
        "steps and seconds to the last validation accuracy of the control in float32",
        {
            "float32": _fifth(),
            "bfloat16": _fifth("distill.precision=mixed_bfloat16", "distill.control=false"),
        },
        measure="convergence",
    ),
    Claim(
        "corruptions",
        "Pruned and quantized networks lose more on corrupted photos than on clean ones (Hooker et al. 2019), and "
        "distilled ones less.",
        "test accuracy of the .tflite files, clean and as the mean over six corruptions",
        {"students": _fifth()},
        measure="corruptions",
    ),
    Claim(
        "memory",
        "Smaller and int8 files need less memory (articles and tutorials).",
        "memory of each .tflite file at its peak, one thread of this machine",
        {"students": _fifth()},
        measure="memory",
    ),
)
