"""The records of the stages: their order, and their results in `stage.json`."""

from pathlib import Path
from typing import Any

import pytest

from tests.data.photos import fill
from tfkd.pipeline import stages
from tfkd.pipeline.folders import RunFolder
from tfkd.pipeline.graph import ORDER, groups, stages_of
from tfkd.pipeline.kind import StageKind
from tfkd.pipeline.stages import STAGES
from tfkd.pipeline.stages.data import open_data
from tfkd.progress import Lines
from tfkd.recipe import Data, Distill, FineTune, Prune, Recipe, Student, Teacher

# As in the `stage.json` of a quickstart run, shortened.
KEPT: dict[str, dict[str, Any]] = {
    "teacher": {
        "parameters": 3425834,
        "image_size": 64,
        "accuracy": 0.534,
        "validation_accuracy": 0.525,
        "calibration_error": 0.144,
        "seconds": 27.0,
        "kind": "network",
        "tuning": None,
    },
    "soft_labels": {
        "views": 270,
        "seconds": 5.35,
        "layout": {"classes": 10, "top": 4, "features": {"pooled": [64], "stage:8": [4, 4, 32]}},
        "inference": {"batch": 64, "dtype": "float32", "images_per_second": {"float32": 9.5}, "top1_changed": None},
    },
    "student": {
        "trainings": [
            {
                "kind": "student",
                "seed": seed,
                "parameters": 1036802,
                "accuracy": 0.1,
                "validation_accuracy": 0.2,
                "epochs": 1,
                "seconds": 22.8,
                "temperature": 2.2,
                "finish": [0.19, 0.2],
            }
            for seed in (1, 2)
        ]
    },
    "control": {"trainings": []},
    "compress": {
        "compressions": [
            {
                "kind": "prune",
                "epochs": 1,
                "seconds": 1.5,
                "validation_accuracy": 0.5,
                "accuracy": 0.5,
                "sparsity": 0.5,
                "clusters": 99,
            }
        ],
        "accuracy": 0.5,
        "quantized": False,
        "seconds": 1.5,
    },
    "export": {
        "files": [{"path": "ios/a.mlmodel", "format": "mlmodel", "precision": "fp32", "ios": 12}],
        "missing": [
            {"path": "onnx/a.onnx", "format": "onnx", "precision": "fp32", "reason": "no operator", "required": False}
        ],
        "teachers_not_exported": {"teacher_fp32": "Erfinv"},
        "thresholds": {"a": {"promise": 0.9, "value": 0.3, "images": 9, "recall": 1.0, "precision": 0.5}},
        "rejections": {},
        "temperature": None,
    },
    "report": {"bundle": "bundle", "student": "student/0/seed-1/best.keras"},
}


@pytest.mark.parametrize("name", KEPT)
def test_a_stored_result_is_read_and_written_without_change(name: str) -> None:
    kind = STAGES[name]
    result = kind.read(KEPT[name])
    assert isinstance(result, kind.result)
    assert kind.work_result(result).result == KEPT[name]


def test_the_duration_of_a_stage_is_the_sum_of_its_trainings() -> None:
    assert STAGES["student"].work_result(STAGES["student"].read(KEPT["student"])).seconds == pytest.approx(45.6)
    assert STAGES["report"].work_result(STAGES["report"].read(KEPT["report"])).seconds == 0


def test_every_stage_has_the_name_of_its_file() -> None:
    folder = Path(stages.__file__).parent
    assert all(kind.name == name and (folder / f"{name}.py").is_file() for name, kind in STAGES.items())
    assert ("data", *STAGES) == ORDER


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    return Recipe(
        name="order",
        data=Data(source=f"folder:{fill(tmp_path / 'photos', {'a': 12, 'b': 12})}", image_size=32),
        teachers=[Teacher(model="resnet50", fine_tune=FineTune()), Teacher(model="resnet50", fine_tune=None)],
        student=Student(model="tests.tiny:build_student"),
        distill=Distill(assistants=[Student(model="tests.tiny:build_student")]),
        compress=[Prune()],
    )


def test_a_teacher_that_is_used_as_it_is_comes_first_and_the_control_trains_beside_the_student(
    recipe: Recipe, tmp_path: Path
) -> None:
    data = open_data(recipe, RunFolder(tmp_path), Lines())
    found = list(stages_of(recipe, data, tmp_path))
    assert found[:6] == ["teacher", "soft_labels", "teacher-2", "soft_labels-2", "assistant", "assistant_labels"]
    order = groups(recipe, found)
    assert order[0] == ["teacher-2"] and ["control", "student"] in order
    assert [name for group in order for name in group][-5:] == ["compress", "export", "verify", "bench", "report"]


def test_a_record_gives_each_of_several_stages_a_number() -> None:
    teacher: StageKind[Any] = STAGES["teacher"]
    assert [teacher.numbered(number) for number in range(3)] == ["teacher", "teacher-2", "teacher-3"]
