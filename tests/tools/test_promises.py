"""The benchmark of promised recalls: its photos, what it counts, and a run with networks that train in a second."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.data.photos import fill, fill_tinted, zipped
from tests.tools.benchmark import run
from tfkd.verification.records import Gate
from tfkd.verification.scores import from_counts
from tools.benchmarks.promises import COMMON, RARE, TRAININGS, drawn, figures, summary

FOUND = {
    (split, label): [f"clothing/{split}/{label}/{number}.jpg" for number in range(count)]
    for split, count in (("train", 60), ("test", 7))
    for label in (*COMMON, RARE, "skirt")
}


def test_the_rare_class_is_three_percent_of_the_photos() -> None:
    parts = drawn(FOUND, 1)
    assert {label: len(names) for label, names in parts.items()} == {**dict.fromkeys(COMMON, 67), RARE: 6}
    assert drawn(FOUND, 1) == parts and drawn(FOUND, 2)[RARE] != parts[RARE]


def seed(right: int, predicted: int, verdict: str) -> dict[str, Any]:
    scores = from_counts({RARE: (10, predicted, right), COMMON[0]: (90, 100 - predicted, 90)})
    gate = Gate.model_validate({"name": "a", "value": None, "limit": None, "passed": False, "verdict": verdict})
    return {"files": {"int8": dict.fromkeys(("without threshold", "with threshold"), figures(scores, gate))}}


def test_recall_and_precision_are_of_the_photos_of_all_seeds() -> None:
    found = summary([seed(2, 2, "failed"), seed(4, 10, "not judged")])["int8"]["with threshold"]
    assert (found["recall"], found["precision"], found["verdicts"]) == (0.3, 0.5, ["failed", "not judged"])
    low, high = found["interval"]
    assert 0.1 < low < 0.3 < high < 0.55


@pytest.mark.slow
def test_every_training_is_judged_with_the_threshold_and_without(tmp_path: Path) -> None:
    fill_tinted(tmp_path / "train", {**dict.fromkeys(COMMON[:2], 110), RARE: 20})
    fill(tmp_path / "test", {COMMON[2]: 110})
    archive = zipped(tmp_path, tmp_path.parent / "promised.zip", top="clothing/")
    done = run("promises", "--smoke", "--images", str(archive), "--out", "out.json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    assert list(found["trainings"]) == list(TRAININGS) and found["command"].startswith("python -m tools.benchmarks.")
    for each in found["trainings"].values():
        (only,) = each["seeds"]
        assert only["splits"].keys() == {"train", "validation", "test"} and only["threshold"]["images"] == 3
        for file in only["files"].values():
            assert file["with threshold"]["right"] >= file["without threshold"]["right"]
            assert file["with threshold"]["images"] == 3
