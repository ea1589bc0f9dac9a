"""The benchmark of distill="auto": which photos it takes, and what it calls reached."""

from collections import Counter
from typing import Any

import pytest

from tools.benchmarks.auto_accuracy import FIVE, GOALS, drawn, judged, reached_at

CLASSES = (*FIVE, "skirt")
PHOTOS = {
    (split, label): [f"clothing/{split}/{label}/{number}.jpg" for number in range(count)]
    for split, count in (("train", 60), ("validation", 5), ("test", 7))
    for label in CLASSES
}


def test_ten_labels_per_class_leave_the_other_training_photos_unlabelled() -> None:
    parts = drawn("ten", PHOTOS)
    labelled = [name for part, names in parts.items() if "train" in part for name in names]
    assert Counter(name.split("/")[2] for name in labelled) == dict.fromkeys(CLASSES, 10)
    assert sorted(labelled + parts["rest"]) == sorted(
        name for (split, _), each in PHOTOS.items() if split == "train" for name in each
    )
    assert all(
        parts[f"photos/{split}/{label}"] == PHOTOS[split, label]
        for split in ("validation", "test")
        for label in CLASSES
    )
    assert drawn("ten", PHOTOS) == parts


def test_two_hundred_photos_are_all_that_is_learnt_from() -> None:
    parts = drawn("two_hundred", PHOTOS)
    used = [name for part, names in parts.items() if "test" not in part for name in names]
    assert Counter(name.split("/")[2] for name in used) == dict.fromkeys(FIVE, 40)
    assert all(name.split("/")[1] == "train" for name in used) and len(set(used)) == 200


def found(students: list[float], controls: list[float], steps: list[float | None]) -> dict[str, Any]:
    fields = {"accuracies": students, "control_accuracies": controls, "teacher_accuracy": 0.8}
    return {**fields, "steps_to_the_validation_accuracy_of_the_control": steps}


@pytest.mark.parametrize(
    ("benchmark", "figures", "met"),
    [
        ("ten", found([0.78, 0.76], [0.6, 0.7], [0.2, 0.4]), {"relative": True, "gain": True}),
        ("ten", found([0.75, 0.75], [0.7, 0.7], [0.2, 0.4]), {"relative": False, "gain": False}),
        ("all", found([0.7, 0.7], [0.7, 0.7], [0.4, 0.6]), {"gain": True, "steps": True}),
        ("all", found([0.7, 0.69], [0.7, 0.7], [0.4, None]), {"gain": False, "steps": False}),
        ("two_hundred", found([0.73], [0.7], [1.0]), {"relative": True}),
    ],
)
def test_a_goal_is_met_by_the_mean_over_the_seeds(
    benchmark: str, figures: dict[str, Any], met: dict[str, bool]
) -> None:
    assert judged(benchmark, figures)["met"] == met and met.keys() == GOALS[benchmark].keys()


def test_steps_are_counted_to_the_first_epoch_that_is_as_good() -> None:
    curve = [{"epoch": number + 1, "validation_accuracy": value} for number, value in enumerate([0.1, 0.5, 0.4, 0.6])]
    assert (reached_at(curve, 0.5), reached_at(curve, 0.55), reached_at(curve, 0.7)) == (0.5, 1.0, None)
