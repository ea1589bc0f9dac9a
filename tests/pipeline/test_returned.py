"""`tfkd drift --samples`: the bundle's file and a teacher predict examples that came back."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.monitor.bundles import FILE, digest
from tests.releases.bundles import copied
from tests.tiny import build_teacher
from tfkd.bundle import monitoring
from tfkd.bundle.loading import load_bundle
from tfkd.cli import execute
from tfkd.distill.measures import softmax

COUNT = 60


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle with the reference of its int8 file and of an untrained teacher, and examples that both saw."""
    from tfkd.data import open_source
    from tfkd.recipe import Data

    home = tmp_path_factory.mktemp("returned")
    folder, data = copied(home / "fixture"), open_source(Data(source="embedded:fashion_mnist_mini"), seed=1)
    drawn = np.arange(4 * COUNT)
    images = np.stack([np.asarray(data.test.load(i).resize((32, 32))) for i in drawn])
    labels = data.test.labels[drawn]
    teacher = build_teacher(image_size=32, classes=10)
    teacher.save(home / "teacher.keras")
    taught = softmax(teacher(images.astype(np.float32), training=False).numpy())
    predicted = load_bundle(folder).predict(images, FILE)
    found = monitoring.reference(FILE, digest(folder), predicted, labels, teacher=taught, seed=1)
    assert found is not None
    monitoring.write(folder, found)
    for number in range(COUNT):
        name = data.classes[labels[number]].replace("/", "-")
        (home / "samples" / name).mkdir(parents=True, exist_ok=True)
        Image.fromarray(images[number]).save(home / "samples" / name / f"{number}.png")
        (home / "dark").mkdir(exist_ok=True)
        Image.fromarray(images[number] // 8).save(home / "dark" / f"{number}.png")
    return home


def test_examples_as_before_have_not_changed(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    teacher = ["--teacher", str(home / "teacher.keras"), "--file", FILE]
    assert execute(["drift", str(home / "fixture"), "--samples", str(home / "samples"), *teacher]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "60 examples that came back: nothing has changed" in text and "student ≠ teacher" in text
    assert "accuracy of the student" in text, "folders are named after classes"


def test_dark_examples_raise_an_alarm(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    samples = ["--samples", f"folder:{home / 'dark'}", "--file", FILE, "--runs", str(home / "none")]
    assert execute(["drift", str(home / "fixture"), *samples]) == 1
    text = " ".join(capsys.readouterr().out.split())
    assert "60 examples that came back: no teacher" in text and "accuracy of the student" not in text
    assert "the teacher of fixture is not in" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--samples", "gone"], "gone"),
        (["--samples", "samples", "--teacher", "gone.keras"], "There is no teacher gone.keras"),
        (["--samples", "samples", "--teacher", "fixture/labels.txt"], "labels.txt"),
    ],
)
def test_a_wrong_request_is_one_line(
    home: Path,
    arguments: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(home)
    assert execute(["drift", "fixture", "--file", FILE, *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def test_a_folder_of_few_examples_is_refused(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in sorted((home / "dark").iterdir())[:19]:
        shutil.copy(path, tmp_path)
    assert execute(["drift", str(home / "fixture"), "--samples", str(tmp_path), "--file", FILE]) == 2
    assert "holds 19 readable examples" in capsys.readouterr().err
