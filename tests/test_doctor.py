"""What `tfkd doctor` says of recipes that would fail or disappoint, and of one that would not."""

from pathlib import Path

import pytest

from tests.data.photos import fill
from tests.test_pipeline import RECIPE, tfkd
from tfkd.doctor import Finding, examine
from tfkd.pipeline import open_data
from tfkd.progress import Lines
from tfkd.recipe_files import load


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("doctor")
    fill(folder / "photos", {"a": 20, "b": 20, "c": 20})
    fill(folder / "rare", {"a": 60, "b": 60, "c": 5})
    (folder / "recipe.py").write_text(RECIPE.replace('build_student"', 'build_student", batch_norm_momentum=0.5'))
    return folder


def found(folder: Path, *overrides: str, photos: str = "photos") -> list[Finding]:
    recipe = load(folder / "recipe.py", [f"data.source=folder:{folder / photos}", *overrides])
    return list(examine(recipe, open_data(recipe, folder / "runs" / recipe.name, Lines()), folder / "runs"))


def warnings(findings: list[Finding]) -> list[Finding]:
    """Returns what is wrong with the recipe itself; the disk may be full, and twenty photos test little."""
    beside = ("GiB free", "test images: an accuracy")
    return [it for it in findings if it.level != "ok" and not any(text in it.text for text in beside)]


def test_a_good_recipe_has_no_warning(folder: Path) -> None:
    findings = found(folder)
    assert [finding.text for finding in warnings(findings)] == []
    assert any("teacher" in finding.text and "input 40 px" in finding.text for finding in findings)
    assert any("student" in finding.text and "input 32 px" in finding.text for finding in findings)


@pytest.mark.parametrize(
    ("override", "text"),
    [
        ("distill.losses.0.temperature=1", "temperature 1 hides"),
        ("distill.training.epochs=11", "seen 6 times: a student memorises them"),
        ("student.batch_norm_momentum=0.99", "batch_norm_momentum 0.99 needs more than this training's 12 steps"),
        ("distill.control=false", "without the control nobody can tell"),
        ("student.model=tests.compress.network:build_shallow", "not smaller than its teacher"),
    ],
)
def test_what_disappoints_is_a_warning(folder: Path, override: str, text: str) -> None:
    (warning,) = warnings(found(folder, override))
    assert text in warning.text


def test_new_views_are_never_seen_too_often(folder: Path) -> None:
    findings = found(folder, "distill.training.epochs=11", "distill.targets=image")
    assert not [it for it in findings if "memorises" in it.text]


def test_a_rare_class_is_named(folder: Path) -> None:
    (warning,) = [it for it in found(folder, photos="rare") if "training images, " in it.text]
    assert warning.level == "warning" and "'c'" in warning.text


def test_an_error_decides_the_exit_code(folder: Path) -> None:
    code, output, errors = tfkd(folder, "student.model=tests.tiny:build_nothing", command="doctor")
    assert code == 2, output + errors
    assert "build_nothing" in output + errors and "Traceback" not in errors
