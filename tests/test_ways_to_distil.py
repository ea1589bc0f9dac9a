"""Several teachers, assistants, generations, input renderings and sweeps: whole runs on a few generated photos."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.pipeline.test_run import CLASSES, RECIPE, home, kept, tfkd  # noqa: F401
from tfkd.bundle.manifest import Manifest

pytestmark = pytest.mark.slow

EVERYTHING = RECIPE.replace(
    "distill=Distill(views=2, training=Training(epochs=4, batch_size=16, learning_rate=1e-2)),",
    """distill=Distill(
        losses=[SoftTargets(temperature=Schedule(start=4.0, end=2.0)), Hint(), Dist(weight=0.5)],
        views=2,
        assistants=[Student(model="tests.tiny:build_student", width=2.0)],
        generations=2,
        control=False,
        training=Training(epochs=4, batch_size=16, learning_rate=1e-2, average=0.9, patience=3, clip_norm=1.0),
    ),""",
).replace("image_size=32)", 'image_size=32, augment=Augment(mix="cutmix", operations=1))')
EVERYTHING = EVERYTHING.replace("golden_images=3", 'golden_images=3, tflite=["fp32"], coreml=[]')
# A student of twelve steps is not as good as its teacher; here only the way to it matters.
EVERYTHING = EVERYTHING.replace("min_agreement=0.8", "min_agreement=0.8, min_relative_accuracy=None")


@pytest.fixture(scope="module")
def everything(home: Path) -> Path:  # noqa: F811
    """The folder after a run with two teachers, one of them a specialist on edges, and two assistants."""
    specialist = """        ),
        Teacher(
            model="tests.tiny:build_teacher", weights="none", image_size=32, rendering="edges", share=0.5,
            classes=["grass", "blue sky"], fine_tune=FineTune(epochs=2, batch_size=16, learning_rate=1e-2),
        ),
    ],
    student"""
    recipe = EVERYTHING.replace("        )\n    ],\n    student", specialist)
    (home / "everything.py").write_text(recipe.replace('name="tiny"', 'name="everything"'))
    code, output, errors = tfkd(home, recipe="everything.py")
    assert code == 0, output + errors
    return home


def test_teachers_form_an_ensemble(everything: Path) -> None:
    manifest = Manifest.model_validate_json((everything / "exported_models/everything/manifest.json").read_bytes())
    together, general, special = manifest.teachers
    assert together.parameters == general.parameters + special.parameters
    assert together.accuracy > 0.8
    bytes_of_both = sum(file.stat().st_size for file in (everything / "runs/everything/export").glob("teacher_fp32*"))
    assert manifest.comparison[0].bytes == bytes_of_both


def test_each_link_of_the_chain_is_a_stage(everything: Path) -> None:
    runs = everything / "runs/everything"
    for stage in ("teacher", "teacher-2", "assistant", "assistant_labels", "assistant-2", "assistant_labels-2"):
        assert (kept(runs, stage) / "stage.json").is_file(), stage
    assistant = json.loads((kept(runs, "assistant") / "stage.json").read_text())["value"]["result"]
    assert assistant["accuracy"] > 0.8


def test_projectors_do_not_ship(everything: Path) -> None:
    manifest = Manifest.model_validate_json((everything / "exported_models/everything/manifest.json").read_bytes())
    assert manifest.student.parameters == 8 * 27 + 4 * 8 + 9 * len(CLASSES)


def test_a_sweep_shares_one_store_and_resumes(home: Path) -> None:  # noqa: F811
    axes = ("distill.losses.0.temperature=2,4",)
    code, output, errors = tfkd(home, *axes, command="sweep")
    assert code == 0, output + errors
    folder = home / "runs/tiny/sweep"
    found = json.loads((folder / "sweep.json").read_text())
    assert found["trials"][0]["name"] == "distill.losses.0.temperature=2"
    assert len({trial["control_accuracies"][0] for trial in found["trials"]}) == 1
    assert "<svg" in (folder / "sweep.svg").read_text()
    assert "3 trainings, 0 of them already finished" in output
    code, output, _ = tfkd(home, *axes, command="sweep")
    assert code == 0
    assert "3 trainings, 3 of them already finished" in output
    assert json.loads((folder / "sweep.json").read_text()) == found


def test_a_sweep_of_teachers_is_refused(home: Path) -> None:  # noqa: F811
    code, _, errors = tfkd(home, "teachers.0.fine_tune.epochs=1,2", command="sweep")
    assert code == 2
    assert "run it separately" in errors


def test_a_tap_that_does_not_exist_is_refused_before_any_training(home: Path) -> None:  # noqa: F811
    recipe = RECIPE.replace('name="tiny"', 'name="wrong"').replace(
        "views=2,", 'views=2, losses=[Hint(student_tap="stage:64")],'
    )
    (home / "wrong.py").write_text(recipe)
    code, output, errors = tfkd(home, recipe="wrong.py")
    assert code == 2
    assert "stage:64" in errors
    assert "epoch" not in output


def test_weights_that_do_not_exist_are_refused_before_any_training(home: Path) -> None:  # noqa: F811
    (home / "weights.py").write_text(RECIPE.replace('name="tiny"', 'name="weights"'))
    student = ("student.model=squeezenet_1_1", "student.activation=relu", "student.weights=none.whl")
    code, output, errors = tfkd(home, *student, recipe="weights.py")
    assert code == 2, output + errors
    assert "none.whl" in errors
    assert not list((home / "runs/weights/teacher").rglob("stage.json"))


def test_a_store_that_lost_a_shard_is_filled_again(everything: Path) -> None:
    store = kept(everything / "runs/everything", "soft_labels")
    (shard,) = store.glob("view-001-*.npy")
    before = np.load(shard)
    shard.unlink()
    code, output, errors = tfkd(everything, "--until", "soft_labels", recipe="everything.py")
    assert code == 0, errors
    assert f"soft_labels: {shard.name} damaged or missing; recreated" in output and "soft_labels: done" in output
    np.testing.assert_array_equal(np.load(shard), before)


def test_a_student_of_new_views_learns_mean_predictions(home: Path) -> None:  # noqa: F811
    arguments = ("distill.targets=image", "data.augment.mix=cutmix", "distill.control=false", "--until", "student")
    code, output, errors = tfkd(home, *arguments)
    assert code == 0, output + errors
    done = json.loads((kept(home / "runs/tiny", "student") / "stage.json").read_text())["value"]
    (trained,) = done["result"]["trainings"]
    assert trained["accuracy"] > 0.8


def test_a_mean_over_views_has_no_map(home: Path) -> None:  # noqa: F811
    recipe = RECIPE.replace('name="tiny"', 'name="map"').replace(
        "views=2,", 'views=2, targets="image", losses=[Attention(teacher_tap="stage:2", student_tap="stage:2")],'
    )
    (home / "map.py").write_text(recipe)
    code, output, errors = tfkd(home, recipe="map.py")
    assert code == 2, output + errors
    assert "the loss 'attention' uses the spatial map 'stage:2'" in errors
    assert not (home / "runs/map/soft_labels").exists()
