"""The benchmark of the costs of compression, run as by its users, with networks that train in a second."""

import json
import statistics
from pathlib import Path
from typing import Any

import pytest

from tests.data.photos import fill_tinted
from tests.pipeline.test_run import RECIPE
from tests.tools.benchmark import run

pytestmark = pytest.mark.slow

STUDENT = RECIPE.replace('"tests.tiny:build_student"', '"tests.compress.network:build_shallow"')


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("compression_accuracy")
    fill_tinted(folder / "photos", {"a": 14, "b": 12, "c": 10})
    (folder / "tiny.py").write_text(STUDENT)
    return folder


@pytest.fixture(scope="module")
def result(folder: Path) -> dict[str, Any]:
    done = run("compression_accuracy", "tiny.py", "--out", "out.json", cwd=folder)
    assert done.returncode == 0, done.stderr
    printed: dict[str, Any] = json.loads(done.stdout)
    assert json.loads((folder / "out.json").read_text(encoding="utf-8")) == printed
    return printed


def test_points_lost_are_those_of_every_seed(result: dict[str, Any]) -> None:
    assert result["accuracies"]
    for name, row in result["points_lost"].items():
        drops = [100 * (found["float"] - found[name]) for found in result["accuracies"].values()]
        assert row["drops"] == pytest.approx(drops, abs=1e-3)
        assert row["mean_drop"] == pytest.approx(statistics.fmean(drops), abs=1e-3)


def test_a_second_run_trains_nothing(folder: Path, result: dict[str, Any]) -> None:
    written = {path: path.stat().st_mtime_ns for path in (folder / "runs").rglob("model.tflite")}
    done = run("compression_accuracy", "tiny.py", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["accuracies"] == result["accuracies"]
    assert len(written) == len(result["points_lost"])
    assert written == {path: path.stat().st_mtime_ns for path in written}


def test_a_wrong_recipe_is_one_line(folder: Path) -> None:
    done = run("compression_accuracy", "none.py", cwd=folder)
    assert done.returncode == 2
    assert "none.py" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
