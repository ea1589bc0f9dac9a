"""`tfkd.run` and the objects of its result, on a few generated photos."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tfkd
from tests.data.photos import fill_tinted
from tests.pipeline.test_run import CLASSES, RECIPE
from tfkd.interface.runs import SoftLabelBatches
from tfkd.models import build_student
from tfkd.pipeline.folders import RunFolder
from tfkd.pipeline.run import open_run
from tfkd.pipeline.stages.trainings import job_in_run
from tfkd.progress import Silent
from tfkd.training.student import distilled

pytestmark = pytest.mark.slow

SCRIPT = """
import sys, tfkd
result = tfkd.run("recipe.py", 'export.coreml=[]', progress="--progress" in sys.argv)
print(result.passed, len(result.comparison))
assert "tensorflow" not in sys.modules
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with photos of three colours, the recipe, and a script without a guard."""
    home = tmp_path_factory.mktemp("home")
    fill_tinted(home / "photos", dict.fromkeys(CLASSES, 40))
    (home / "recipe.py").write_text(RECIPE)
    (home / "script.py").write_text(SCRIPT)
    return home


def call(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "script.py", *arguments]
    return subprocess.run(command, cwd=home, env=environment, capture_output=True, text=True)


@pytest.fixture(scope="module")
def result(home: Path) -> Any:
    """The result of a run by a script, opened here, where every stage is reused."""
    done = call(home)
    assert (done.stdout, done.stderr) == ("True 5\n", "")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        yield tfkd.run("recipe.py", "export.coreml=[]")


def test_progress_is_printed_on_request(result: Any, home: Path) -> None:
    done = call(home, "--progress")
    assert "student: reused" in done.stdout.splitlines() and done.stderr == ""


def test_the_result_shows_its_tables_as_values_text_and_html(result: Any) -> None:
    assert result.passed and result.folder == Path("runs/tiny")
    variants = [row["variant"] for row in result.comparison]
    assert variants == ["teacher fp32", *(f"student {form}" for form in ("fp32", "fp16", "dynamic", "int8"))]
    assert result.comparison[1]["accuracy"] == pytest.approx(result.manifest.student.accuracy, abs=0.1)
    assert [row["network"] for row in result.networks] == ["teacher", "control", "student"]
    assert len(result.gates) == len(result.manifest.gates)
    for table in (result.comparison, result.gates, result.networks, result.devices):
        assert table._repr_html_().startswith("<table>") and repr(table).count("\n") > len(table)
    assert "student int8" in repr(result) and "student int8" in result._repr_html_()


def test_the_students_are_keras_models(result: Any) -> None:
    assert list(result.students) == [1] and result.student is result.students[1]
    images = result.bundle.golden.images
    logits = result.student(images.astype(np.float32)).numpy()
    assert np.array_equal(logits.argmax(axis=1), result.bundle.predict(images).argmax(axis=1))
    with pytest.raises(KeyError):
        result.students[2]


def test_batches_hold_what_the_teacher_predicted_of_each_view(result: Any) -> None:
    batches = SoftLabelBatches(result.recipe)
    assert batches.classes == CLASSES and batches.views == 2
    epochs = [list(batches.epoch(number, 16)) for number in (0, 1, 2, 0)]
    assert {(x.shape, y.dtype.name, logits.shape) for x, y, logits in epochs[0]} == {
        ((16, 32, 32, 3), "int64", (16, 3))
    }
    assert len(epochs[0]) == batches.examples // 16
    for ours, again in zip(epochs[0], epochs[3], strict=True):
        assert all(map(np.array_equal, ours, again))
    assert not np.array_equal(epochs[0][0][0], epochs[2][0][0])
    right = np.mean([(logits.argmax(axis=1) == y).mean() for _, y, logits in epochs[0] + epochs[1]])
    assert right > 0.8  # rows of other images would be right by chance


def test_batches_are_those_that_the_student_was_trained_on(result: Any, tmp_path: Path) -> None:
    context = open_run(result.recipe, RunFolder(result.folder), Silent())
    signature = context.data.reading.signature(result.recipe.data)
    student = build_student(result.recipe.student, signature, 3, 1)
    job = job_in_run(context, "student", 1, tmp_path, result.recipe.student, assistants=0)
    _, trained_on, _ = distilled(job, student, context.data, signature)
    for epoch in (0, 1):  # of one view each
        theirs = [(x.inputs.numpy(), y.numpy(), x.predictions[0]["logits"].numpy()) for x, y in trained_on(epoch)]
        for one, other in zip(SoftLabelBatches(result.recipe).epoch(epoch), theirs, strict=True):
            assert all(map(np.array_equal, one, other))


def test_an_unfinished_run_is_an_error(result: Any, home: Path) -> None:
    other = result.recipe.with_("distill.training.epochs=5")
    with pytest.raises(tfkd.RequestError, match=r"has no finished student of this recipe; call tfkd\.run"):
        len(tfkd.RunReport(other, result.folder, None, None).students)
    stopped = tfkd.run(result.recipe, until="soft_labels")
    assert stopped.passed and "stopped before its bundle" in repr(stopped)
    assert "stopped before its bundle" in stopped._repr_html_()
    with pytest.raises(tfkd.RequestError, match="has no bundle yet"):
        len(stopped.comparison)
    with pytest.raises(tfkd.RequestError, match="There is no stage 'exprot'"):
        tfkd.run(result.recipe, until="exprot")


def test_a_recipe_is_changed_and_validated_again() -> None:
    recipe = tfkd.Recipe.model_validate(
        {"name": "a", "data": {"source": "folder:x"}, "teachers": [{"model": "resnet50"}]}
    )
    changed = recipe.with_("distill.views=4", "student.width=0.5", "teachers.model=teacher.keras")
    assert (changed.distill.views, changed.student.width, recipe.distill.views) == (
        4,
        0.5,
        type(recipe.distill)().views,
    )
    assert recipe.teachers[0].fine_tune is not None and changed.teachers[0].fine_tune is None
    with pytest.raises(tfkd.RequestError, match=r"the recipe 'a': .*Did you mean 'views'"):
        recipe.with_("distill.vews=4")
    with pytest.raises(tfkd.RequestError, match=r"distill\.views = 0"):
        recipe.with_("distill.views=0")
