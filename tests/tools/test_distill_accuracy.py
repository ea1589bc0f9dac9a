"""The benchmark of the methods of distillation, run as by its users, with networks that train in a second."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.data.photos import fill_tinted
from tests.pipeline.test_run import RECIPE
from tests.tools.benchmark import run

pytestmark = pytest.mark.slow

METHODS = ["soft targets T=4", "soft targets T=2", "DIST", "hint (FitNets)"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the benchmark has been run."""
    folder = tmp_path_factory.mktemp("distill_accuracy")
    fill_tinted(folder / "photos", {"a": 14, "b": 12, "c": 10})
    (folder / "tiny.py").write_text(RECIPE)
    done = run("distill_accuracy", "tiny.py", "--methods", ";".join(METHODS), "--out", "out", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert (folder / "out.svg").is_file()
    return folder


@pytest.fixture(scope="module")
def trials(folder: Path) -> list[dict[str, Any]]:
    result = json.loads((folder / "out.json").read_text(encoding="utf-8"))
    assert list(result["methods"]) == METHODS
    found: list[dict[str, Any]] = result["trials"]
    return found


def test_the_three_best_on_validation_get_the_other_seeds(trials: list[dict[str, Any]]) -> None:
    once = {trial["name"]: trial for trial in trials[: len(METHODS)]}
    assert list(once) == METHODS
    first = {name: trial["validation_accuracies"][0] for name, trial in once.items()}
    (left,) = [name for name, trial in once.items() if trial["seeds"] == [1]]
    assert first[left] == min(first.values())
    assert [trial["seeds"] for name, trial in once.items() if name != left] == [[1, 2, 3]] * 3


def test_the_best_on_validation_is_trained_half_as_long_with_its_control(
    trials: list[dict[str, Any]], folder: Path
) -> None:
    *once, shorter = trials
    best = max(once, key=lambda trial: float(trial["validation_accuracies"][0]))
    assert shorter["name"] == f"{best['name']}, half as long"
    assert shorter["seeds"] == [1]
    curves = (folder / "runs").glob("*/sweep/*/curve.json")
    epochs = sorted(len(json.loads(curve.read_text(encoding="utf-8"))) for curve in curves)
    assert epochs[:2] == [epochs[-1] // 2] * 2
    assert set(epochs[2:]) == {epochs[-1]}


def test_all_methods_share_one_control(trials: list[dict[str, Any]]) -> None:
    controls = [trial["control_accuracies"] for trial in trials[: len(METHODS)]]
    longest = max(controls, key=len)
    assert len(longest) == 3
    assert all(own == longest[: len(own)] for own in controls)


def test_what_is_neither_a_benchmark_nor_a_recipe_is_one_line(tmp_path: Path) -> None:
    done = run("distill_accuracy", "clothng", "--out", "out", cwd=tmp_path)
    assert done.returncode == 2
    assert "clothng" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
