"""Training speed: docs/evidence of distill_speed.py and store_memory.py."""

from collections.abc import Callable, Sequence
from typing import Any

from tools.figures import evidence

_TEACHERS = {"efficientnet_b0": "EfficientNet-B0", "resnet50": "ResNet-50", "resnet152": "ResNet-152"}
_RATIOS: tuple[tuple[str, str, Sequence[float | None]], ...] = (
    (
        "from the store / `keras.distillation.Distiller` in its best form",
        "stored / peer_best",
        (None, 3.3, 8.0),
    ),
    ("from the store / `fit` of the student alone", "stored / student", (0.95,)),
    ("teacher in every step / the peer's best form", "online / peer_best", (1.0,)),
    ("teacher in every step / the peer's default form", "online / peer_default", (1.5,)),
    ("making the store / the teacher's bare inference in its faster dtype", "store / ", (0.95,)),
)
_COMPARED_WITH_ITS_GOAL = {("efficientnet_b0", "online / peer_default")}


def _ratio(teacher: str, name: str) -> dict[str, Any]:
    """Returns a ratio by its name or a prefix: the plain inference is in the dtype that is faster there."""
    ratios: dict[str, dict[str, Any]] = evidence.read(teacher)["ratios"]
    return next(ratio for full, ratio in ratios.items() if full.startswith(name))


def distillation() -> str:
    """Returns the table of the ratios: the median over the rounds, and the smallest and largest of them."""
    rows = []
    for title, name, goals in _RATIOS:
        cells = [
            _cell(_ratio(teacher, name), goals[0] if (teacher, name) in _COMPARED_WITH_ITS_GOAL else None)
            for teacher in _TEACHERS
        ]
        rows.append([title, *cells, ", ".join("none" if goal is None else f"{goal:g}" for goal in goals)])
    return evidence.table(["", *_TEACHERS.values(), "goal"], rows)


def _cell(ratio: dict[str, Any], goal: float | None) -> str:
    text = f"{ratio['median']:.2f} ({ratio['min']:.2f} to {ratio['max']:.2f})"
    return f"{text}: missed" if goal is not None and ratio["median"] < goal else text


def memory() -> str:
    """Returns the table of the costs of a large store."""
    forms = [evidence.read("store_memory")[form] for form in ("all", "top")]
    above = ", ".join(f"{form['training']['memory']['above']['rss']:.0f}" for form in forms)
    opening = ", ".join(f"{1000 * form['opening_seconds']:.1f} ms" for form in forms)
    layout = forms[0]["layout"]
    views = f"{forms[0]['views']:,} views of {layout['classes']:,} classes"
    return evidence.table(
        ["", "", "goal"],
        [
            [
                f"store_memory.json: memory that training from {views} takes above the model's own, with all logits "
                "and with the largest",
                f"{above} MiB",
                "1 GB",
            ],
            ["opening that store, with all logits and with the largest", opening, "1 s"],
        ],
    )


def _median(teacher: str) -> str:
    return f"{_ratio(teacher, 'stored / peer_best')['median']:.1f}"


def _alone() -> str:
    medians = [_ratio(teacher, "stored / student")["median"] for teacher in _TEACHERS]
    return f"{min(medians):.1f} to {max(medians):.1f}"


def figures() -> dict[str, Callable[[], str]]:
    """Returns the figures by name."""
    return {
        "speed table": distillation,
        "store memory table": memory,
        "speed of efficientnet_b0": lambda: _median("efficientnet_b0"),
        "speed of resnet50": lambda: _median("resnet50"),
        "speed of resnet152": lambda: _median("resnet152"),
        "speed against fit": _alone,
    }
