"""The evidence on drift, run as by its users, with networks that train in a second."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.data.photos import fill_tinted
from tests.pipeline.test_run import RECIPE
from tests.tools.benchmark import run

pytestmark = pytest.mark.slow


def test_it_counts_alarms_and_keeps_its_predictions(tmp_path: Path) -> None:
    fill_tinted(tmp_path / "photos", {"a": 60, "b": 60, "c": 60})
    fill_tinted(tmp_path / "others", {"x": 30})
    recipe = RECIPE.replace('"tests.tiny:build_student"', '"tests.compress.network:build_shallow"')
    (tmp_path / "tiny.py").write_text(recipe.replace("tiny:build_teacher", "tiny:build_deeper_teacher"))
    few = ("--splits", "train,test", "--foreign", "others", "--clean", "20", "--repeats", "4", "--out", "out.json")
    done = run("drift", "tiny.py", *few, cwd=tmp_path)
    assert done.returncode in (0, 1) and done.stdout, done.stderr
    report = json.loads((tmp_path / "out.json").read_text())
    assert report == json.loads(done.stdout)
    assert report["false_alarms"]["50"]["drawings"] == 20 and report["false_alarms"]["50"]["alarms"] <= 3
    corruptions = {"noise", "blur", "brightness", "JPEG", "fog"}
    assert report["detections"].keys() == corruptions | {"class frequencies", "new class"}
    assert report["accuracies"].keys() >= {"teacher fp32", "teacher pruned int8", "control fp32", "student int8"}
    assert report["estimates"]["clean"]["true"] == pytest.approx(report["accuracies"]["student int8"]["clean"], abs=0.2)
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "runs").glob("*/drift/*/*.npy")}
    assert len(kept) == 6 * 26 + 1
    again = run("drift", "tiny.py", *few, cwd=tmp_path)
    assert json.loads(again.stdout)["detections"] == report["detections"]
    assert kept == {path: path.stat().st_mtime_ns for path in kept}


def test_a_wrong_recipe_is_one_line(tmp_path: Path) -> None:
    done = run("drift", "none.py", cwd=tmp_path)
    assert done.returncode == 1 and "none.py" in done.stderr.splitlines()[-1] and "Traceback" not in done.stderr


def test_class_frequencies_are_drawn_in_full_or_not_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "tools" / "benchmarks")
    from drift_shifts import shifted  # type: ignore[import-not-found]

    labels, random = np.arange(1_200) % 10, np.random.default_rng(1)
    drawn = [shifted(labels, 10, 200, 5, random) for _ in range(200)]
    assert all(len(set(each.tolist())) == 200 for each in drawn)
    largest = [np.sort(np.bincount(labels[each], minlength=10))[-2:].sum() for each in drawn]
    assert np.mean(largest) == pytest.approx(200 * 20 / 28, rel=0.03)
    assert shifted(labels, 10, 1_000, 5, random) is None  # 714 of 240 examples
