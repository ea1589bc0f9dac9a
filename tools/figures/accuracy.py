"""Accuracies: docs/evidence of distill_accuracy.py and compression_accuracy.py."""

import statistics
from collections.abc import Callable
from typing import Any

from tfkd.report import units
from tools.figures import comparisons, evidence

_HALF = "half as long"
_GOAL = 4.0
_FIFTH_GOAL = 8.0
# File, its title in docs/distillation.md and in docs/evidence/README.md, and the goal of the gain in points.
_MEASURED: tuple[tuple[str, str, str, float | None], ...] = (
    (
        "distill_clothing_fifth_patient",
        "clothing, a fifth of the labels, the other photos unlabelled, 60 epochs",
        "a fifth of the labels, the other photos unlabelled, 60 epochs, one method",
        _FIFTH_GOAL,
    ),
    ("distill_clothing_fifth", "the same, 30 epochs", "the same, every method, 30 epochs", _FIFTH_GOAL),
    (
        "distill_clothing_patient",
        "clothing, all labels, 400 epochs with CutMix",
        "all labels, 400 epochs, the strong hint alone",
        _GOAL,
    ),
    (
        "distill_clothing",
        "clothing, all labels, every method, 200 epochs without CutMix",
        "all labels, every method, 200 epochs without CutMix",
        _GOAL,
    ),
    ("distill_clothing_plain", "", "the same, the strong hint alone", _GOAL),
    (
        "distill_cifar10",
        "CIFAR-10, 9,000 photos, all labelled, 100 epochs",
        "9,000 photos of CIFAR-10, all labelled, every method, 100 epochs",
        None,
    ),
)


# Evidence of auto_accuracy.py, and its title in docs/distillation.md.
_AUTO = {
    "auto_ten": "ten labels per class, 2,968 unlabelled photos, MobileNetV2 at 96 px",
    "auto_all": "all 3,068 labels, MobileNetV2 at 96 px",
    "readme_200": "40 photos of each of five classes, nothing else, SqueezeNet 1.1 at 127 px, as in README.md",
}


def _trials(name: str) -> list[dict[str, Any]]:
    trials: list[dict[str, Any]] = evidence.read(name)["trials"]
    return trials


def _gains(trial: dict[str, Any]) -> list[float]:
    return evidence.gains(trial["accuracies"], trial["control_accuracies"])


def methods(name: str) -> str:
    """Returns the table of every method and of the control, the best on validation first."""
    whole = [trial for trial in _trials(name) if _HALF not in trial["name"]]
    whole.sort(key=lambda trial: (-len(trial["seeds"]), -statistics.mean(trial["validation_accuracies"])))
    rows = [_control(whole[0], "**control**"), *map(_method, whole)]
    for trial in _trials(name):
        if _HALF in trial["name"]:
            rows += [_control(trial, f"control, {_HALF}"), _method(trial)]
    return evidence.table(["method", "seeds", "validation", "test", "gain over the control"], rows)


def _control(trial: dict[str, Any], title: str) -> list[str]:
    validation, test = trial["control_validation_accuracies"], trial["control_accuracies"]
    return [title, str(len(test)), evidence.spread(validation), evidence.spread(test), ""]


def _method(trial: dict[str, Any]) -> list[str]:
    worse = ", worse than its control" if statistics.mean(_gains(trial)) < 0 else ""
    validation, test = evidence.spread(trial["validation_accuracies"]), evidence.spread(trial["accuracies"])
    return [f"{trial['name']}{worse}", str(len(trial["seeds"])), validation, test, evidence.gain(_gains(trial))]


def _best(name: str) -> dict[str, Any]:
    """Returns the method that is best on validation, among those with the most seeds."""
    return max(_trials(name), key=lambda each: (len(each["seeds"]), statistics.mean(each["validation_accuracies"])))


def _verdict(gains: list[float], goal: float | None) -> str:
    if goal is None:
        return "none"
    return f"{goal:g}" if 100 * statistics.mean(gains) >= goal else f"{goal:g}: missed"


def _p_values(name: str) -> str:
    """'0.0001', or '0.35 to 1.0': p-values of the methods with several seeds, each against the control."""
    values = sorted(trial["p_value"] for trial in _trials(name) if len(trial["seeds"]) > 1)
    lowest, highest = (f"{value:.4f}" if value < 0.01 else f"{value:.2g}" for value in (values[0], values[-1]))
    return lowest if lowest == highest else f"{lowest} to {highest}"


def _gains_by_seed(name: str) -> str:
    """'+4.3, +1.3 and +0.8': gains of the best method."""
    *first, last = [units.signed(100 * gain) for gain in _gains(_best(name))]
    return f"{', '.join(first)} and {last}"


def _validation_gain(name: str) -> str:
    best = _best(name)
    gains = evidence.gains(best["validation_accuracies"], best["control_validation_accuracies"])
    return units.signed(100 * statistics.mean(gains))


def _later(name: str, field: str) -> str:
    """'1.3': gain of the first seed in the second half of the training, in points."""
    (half,) = [trial for trial in _trials(name) if _HALF in trial["name"]]
    whole = next(trial for trial in _trials(name) if trial["name"] == half["name"].removesuffix(f", {_HALF}"))
    return f"{100 * (whole[field][0] - half[field][0]):.1f}"


def summary() -> str:
    """Returns the table of the best method of each experiment."""
    rows = []
    for name, title, _, goal in _MEASURED:
        if title:
            best, gains = _best(name), _gains(_best(name))
            gain = evidence.gain(gains)
            reached = goal is not None and "missed" not in _verdict(gains, goal)
            rows.append(
                [
                    title,
                    units.percent(statistics.mean(best["control_accuracies"])),
                    f"{best['name']}: {units.percent(statistics.mean(best['accuracies']))}",
                    f"**{gain}**" if reached else gain,
                    _verdict(gains, goal),
                ]
            )
    return evidence.table(["", "control", "best on validation", "gain", "goal"], rows)


def gains() -> str:
    """Returns the table of the gains alone."""
    rows = [
        [f"{name}.json: {title}", evidence.gain(_gains(_best(name))), _verdict(_gains(_best(name)), goal)]
        for name, _, title, goal in _MEASURED
    ]
    return evidence.table(["points gained over the control, of what is best on validation", "", "goal"], rows)


_COMPRESSIONS = {
    "int8, min_max ranges": '`ranges="min_max"`, int8',
    "int8, mse ranges": '`ranges="mse"`, int8',
    "16x8": "16x8",
    "QAT, int8": "`QuantizationAware()`, int8",
    "pruned 50 %, fp32": "`Prune()`, fp32",
    "pruned 50 %, int8": "`Prune()`, int8",
    "16 clusters, fp32": "`Cluster()`, fp32",
    "16 clusters, int8": "`Cluster()`, int8",
}
_IN_SHORT = {
    "int8, mse ranges": "int8 after training",
    "QAT, int8": "int8 with rounding in training",
    "pruned 50 %, fp32": "half of the weights pruned, fp32",
    "16 clusters, fp32": "16 clusters, fp32",
}


def _lost(name: str) -> dict[str, Any]:
    lost: dict[str, Any] = evidence.read("compression_accuracy")["points_lost"][name]
    return lost


def _drops(name: str) -> list[float]:
    """Returns the points lost by seed; the evidence has them rounded too."""
    accuracies = evidence.read("compression_accuracy")["accuracies"].values()
    return [100 * (found["float"] - found[name]) for found in accuracies]


def _number(value: float) -> str:
    return f"{value:.2f}".replace("-", "−")


def _average(name: str) -> str:
    return f"{_number(_lost(name)['mean_drop'])} ± {_lost(name)['standard_deviation']:.2f}"


def _goal(name: str) -> str:
    lost = _lost(name)
    if lost["goal"] is None:
        return ""
    return f"{lost['goal']:.1f}" if lost["mean_drop"] <= lost["goal"] else f"{lost['goal']:.1f}: missed"


def compressions() -> str:
    """Returns the table of the points that each compression loses."""
    rows = [
        [title, _average(name), ", ".join(map(_number, _drops(name))), _goal(name)]
        for name, title in _COMPRESSIONS.items()
    ]
    return evidence.table(["file", "lost on average", "by seed", "goal"], rows)


def compressions_in_short() -> str:
    """Returns those that have a goal."""
    title = "points lost to the float student, pipelines/clothing.py, three seeds (compression_accuracy.json)"
    rows = [[short, _average(name), _goal(name)] for name, short in _IN_SHORT.items()]
    earlier = evidence.read("transcribed")["rounding_in_training"]
    lost = f"{_number(earlier['mean_drop'])} ± {earlier['standard_deviation']:.2f}"
    rows.insert(2, ["the same in an earlier run (transcribed.json)", lost, f"{earlier['goal']:.1f}: missed"])
    return evidence.table([title, "", "goal"], rows)


def headline() -> str:
    """Returns the table of the int8 student against its teacher."""
    title = "int8 student of pipelines/clothing.py against its EfficientNet-Lite2 teacher's fp32 file (clothing.json)"
    rows = [
        ["smaller", f"{comparisons.smaller():.1f} times", "11"],
        ["faster, one thread", f"{comparisons.faster():.1f} times", "14"],
        ["share of its accuracy", units.percent(comparisons.kept()), "96 %"],
        ["clustered, deflated against deflated: smaller", f"{comparisons.smaller_clustered():.1f} times", "20"],
    ]
    return evidence.table([title, "", "goal"], rows)


def auto() -> str:
    """Returns what the settings that a run chooses reached, beside their goals."""
    titles = ("clothing, students with ImageNet weights", "teacher", "control", "student", "gain", "of the teacher")
    return evidence.table(titles, [_auto(name, title) for name, title in _AUTO.items()])


def _auto(name: str, title: str) -> list[str]:
    found = evidence.read(name)
    accuracies, controls, goals = found["accuracies"], found["control_accuracies"], found["goals"]
    gain, relative = evidence.gain(evidence.gains(accuracies, controls)), units.percent(found["reached"]["relative"])
    if "gain" in goals:
        gain += f" (goal {goals['gain']:g}{'' if found['met']['gain'] else ': missed'})"
    if "relative" in goals:
        relative += f" (goal {units.percent(goals['relative'], 0)}{'' if found['met']['relative'] else ': missed'})"
    teacher = units.percent(found["teacher_accuracy"])
    return [title, teacher, evidence.spread(controls), evidence.spread(accuracies), gain, relative]


def _of_fit() -> dict[str, Callable[[], str]]:
    """Returns the figures of fit_budget.py."""
    found = evidence.read("fit_clothing")
    over = sum(bool(row["excesses"]) for row in found["rows"])
    return {
        "fit limit": lambda: units.milliseconds(found["limit_ms"]),
        "fit over": lambda: f"{over} of {len(found['rows'])}",
        "fit minutes": lambda: f"{found['seconds']['fit'] / 60:.1f}",
        "fit verdict": lambda: str(found["verdict"][0]),
    }


def figures() -> dict[str, Callable[[], str]]:
    """Returns the figures by name."""

    def teacher(name: str) -> Callable[[], str]:
        return lambda: units.percent(evidence.read(name)["teacher_accuracy"])

    def table(name: str) -> Callable[[], str]:
        return lambda: methods(name)

    def later(name: str, field: str) -> Callable[[], str]:
        return lambda: _later(name, field)

    def p_values(name: str) -> Callable[[], str]:
        return lambda: _p_values(name)

    names = [name for name, *_ in _MEASURED]
    fields = {
        "student": "accuracies",
        "control": "control_accuracies",
        "control on validation": "control_validation_accuracies",
    }
    return {
        **_of_fit(),
        "auto table": auto,
        "auto teacher of all labels": lambda: units.percent(
            evidence.read("auto_ten")["teacher_accuracy_with_all_labels"]
        ),
        "auto steps": lambda: units.percent(evidence.read("auto_all")["reached"]["steps"], 0),
        **{f"{name} p": p_values(name) for name in names},
        **{f"{name} second half of {who}": later(name, field) for name in names for who, field in fields.items()},
        "distill_clothing_patient by seed": lambda: _gains_by_seed("distill_clothing_patient"),
        "distill_clothing_patient on validation": lambda: _validation_gain("distill_clothing_patient"),
        **{f"{name} table": table(name) for name in names},
        **{f"{name} teacher": teacher(name) for name in names},
        "distillation table": summary,
        "gains table": gains,
        "distill_clothing_plain student": lambda: evidence.spread(_best("distill_clothing_plain")["accuracies"]),
        "distill_clothing_plain gain": lambda: evidence.gain(_gains(_best("distill_clothing_plain"))),
        "compressed float": lambda: units.percent(
            statistics.mean(found["float"] for found in evidence.read("compression_accuracy")["accuracies"].values())
        ),
        "compression table": compressions,
        "compression table in short": compressions_in_short,
        "clothing against its teacher": headline,
    }
