"""Suspected wrong labels of a run: who judges which photos, and the list in its folder."""

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.data.photos import fill
from tfkd.pipeline.context import RunContext
from tfkd.pipeline.folders import RunFolder
from tfkd.pipeline.run import open_run, run
from tfkd.pipeline.stages.suspects import COLUMNS, suspects_of, write_suspects
from tfkd.pipeline.stages.teacher import TEACHER
from tfkd.progress import Lines
from tfkd.recipe import Data, Distill, FineTune, Recipe, Student, Teacher
from tfkd.report.suspects import line, says
from tfkd.training.saving import save_array

CLASSES = ("ash", "elm", "oak")
COUNTS = {"train": 12, "validation": 4, "test": 6}  # per class
WRONG = {"train-elm-3", "test-oak-0", "validation-ash-2"}  # named by their true class
UNSURE = 3.0  # logit of the right class, lowest; above those of the others

pytestmark = pytest.mark.usefixtures("started_tensorflow")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos named by their true class, three of them in the folder of the next class, and a teacher's predictions."""
    home, rng, rows = tmp_path_factory.mktemp("suspects"), np.random.default_rng(0), []
    fill(home / "made", {"all": sum(COUNTS.values()) * len(CLASSES)})
    made = sorted((home / "made" / "all").iterdir())
    for split, count in COUNTS.items():
        for k, name in enumerate(CLASSES):
            for number in range(count):
                stem = f"{split}-{name}-{number}"
                folder = home / "photos" / split / (CLASSES[(k + 1) % 3] if stem in WRONG else name)
                folder.mkdir(parents=True, exist_ok=True)
                made.pop().rename(folder / f"{stem}.jpg")
                rows.append((f"{stem}.jpg", (UNSURE + rng.random()) * np.eye(3)[k] - 1))
    _write(home / "teacher.csv", rows)
    _write(home / "classes.csv", [(name, np.where(logits > 0, 9, -9)) for name, logits in rows])
    _write(home / "untested.csv", [row for row in rows if not row[0].startswith("test")])
    return home


def _write(path: Path, rows: list[tuple[str, np.ndarray]]) -> None:
    lines = [",".join((name, *(f"{logit:.4f}" for logit in logits))) for name, logits in rows]
    path.write_text("\n".join([",".join(("name", *CLASSES)), *lines]))


@pytest.fixture(scope="module")
def opened(home: Path) -> Callable[[str], RunContext]:
    """Returns a run with a file of predictions whose soft labels are finished."""

    def of(predictions: str) -> RunContext:
        recipe = Recipe(
            name=predictions,
            data=Data(source=f"folder:{home / 'photos'}", image_size=32),
            teachers=[Teacher(predictions=str(home / f"{predictions}.csv"))],
            student=Student(model="tests.tiny:build_student", weights="none"),
            distill=Distill(targets="image", views=1),
        )
        run(recipe, Lines(), home / "runs", home / "bundles", until="soft_labels")
        return open_run(recipe, RunFolder(home / "runs" / predictions), Lines())

    return of


def test_flipped_labels_are_listed_first_under_the_names_of_their_files(
    opened: Callable[[str], RunContext], home: Path
) -> None:
    context = opened("teacher")
    found = write_suspects(context)
    assert found is not None and found.entry.parts == ["train", "validation", "test"]
    assert (found.entry.judges, found.entry.examples, found.entry.suspects) == (["teacher"], 66, 3)
    with context.folder.suspected_labels.open() as stream:
        header, *rows = csv.reader(stream)
    assert tuple(header) == COLUMNS
    assert {Path(row[0]).stem for row in rows} == WRONG and all((home / "photos" / row[0]).is_file() for row in rows)
    for name, label, suggested, probability, score in rows:
        assert suggested in name.rpartition("/")[2] and label in name.rpartition("/")[0] and label != suggested
        assert 0 < float(score) < float(probability) <= 1
    assert [float(row[4]) for row in rows] == sorted((float(row[4]) for row in rows), reverse=True)
    path = context.folder.suspected_labels
    assert line(found.entry, path).startswith(
        f"3 suspected wrong labels among 66 examples (train, validation and test); {path} lists them"
    )
    assert "Nothing was changed or left out" in says(found.entry)


def test_a_teacher_of_classes_alone_ranks_nothing(opened: Callable[[str], RunContext]) -> None:
    context = opened("classes")
    context.folder.suspected_labels.write_text("of an earlier run")
    found = write_suspects(context)
    assert found is not None and found.found == () and not context.folder.suspected_labels.exists()
    assert line(found.entry, Path()) == (
        "No label could be judged: the predictions are equally confident of every example, so that none can be ranked."
    )


def test_only_splits_with_predictions_are_judged(opened: Callable[[str], RunContext]) -> None:
    found = suspects_of(opened("untested"))
    assert found is not None and found.entry.parts == ["train", "validation"]
    assert {Path(found.examples.name(each.position)).stem for each in found.found} == WRONG - {"test-oak-0"}


def test_a_teacher_that_was_trained_here_judges_no_training_photo(
    opened: Callable[[str], RunContext], home: Path
) -> None:
    settings = opened("teacher").recipe
    tuned = [Teacher(model="tests.tiny:build_teacher", weights="none", fine_tune=FineTune(epochs=1))]
    context = open_run(settings.model_copy(update={"teachers": tuned}), RunFolder(home / "tuned"), Lines())
    assert suspects_of(context) is None, "no teacher is finished"
    folder = context.folder_of(TEACHER)
    folder.mkdir(parents=True)
    for name, split in (("test", context.data.test), ("validation", context.data.validation)):
        logits = np.linspace(3, 5, len(split))[:, None] * np.eye(3, dtype=np.float32)[split.labels]
        save_array(logits, folder / f"{name}_logits.npy")
    found = suspects_of(context)
    assert found is not None and found.entry.parts == ["validation", "test"]
    assert (found.entry.examples, found.entry.suspects) == (3 * (4 + 6), 0)
    assert line(found.entry, Path()) == "No suspected wrong labels among 30 examples (validation and test)"
