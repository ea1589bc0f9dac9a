"""A run on a table, from the teacher to the verified bundle of a tree, and what it refuses."""

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from tests.tables import write
from tfkd.bundle import monitoring
from tfkd.bundle.loading import load_bundle
from tfkd.bundle.manifest import read_manifest
from tfkd.bundle.verification import verify
from tfkd.data import open_source
from tfkd.errors import RequestError
from tfkd.pipeline.context import RunContext
from tfkd.pipeline.doctor import examine
from tfkd.pipeline.run import begun, run_stages
from tfkd.pipeline.stages.report import REPORT
from tfkd.pipeline.stages.soft_labels import SOFT_LABELS
from tfkd.pipeline.stages.student import STUDENT
from tfkd.pipeline.stages.teacher import TEACHER
from tfkd.pipeline.stages.trainings import trainings_in
from tfkd.progress import Silent
from tfkd.recipe import (
    Bench,
    Data,
    Distill,
    Export,
    FineTune,
    Forest,
    Gates,
    Recipe,
    Reject,
    Student,
    Teacher,
    Training,
    Tree,
)

pytestmark = pytest.mark.usefixtures("started_tensorflow")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("tables")
    write(home / "loans.csv", 400)
    return home


def recipe(home: Path, **changes: Any) -> Recipe:
    return Recipe(
        **{
            "name": "loans",
            "data": Data(source=f"table:{home / 'loans.csv'}", fraction=0.5, unlabelled="rest"),
            "teachers": [Teacher(model="mlp", fine_tune=FineTune(epochs=25, learning_rate=5e-3, batch_size=16))],
            "student": Tree(max_depth=4),
            "bench": Bench(runs=5, warmup=1),
            "export": Export(reject=Reject(coverage=0.8)),
            "gates": Gates(diagnosis=False),
        }
        | changes
    )


def finished(recipe: Recipe, home: Path, until: str) -> RunContext:
    with begun(recipe, Silent(), home / "runs") as context:
        run_stages(context, until, home / recipe.name)
    return context


@pytest.fixture(scope="module")
def run(home: Path) -> RunContext:
    return finished(recipe(home), home, REPORT.name)


def test_a_tree_learns_from_the_teacher_and_its_control_from_labels_alone(run: RunContext) -> None:
    assert run.result(TEACHER).accuracy > 0.8
    (student,), (control,) = (trainings_in(run, kind).trainings for kind in ("student", "control"))
    assert student.accuracy > 0.8 and control.accuracy > 0.6 and student.parameters > 50
    assert run.recipe.distill.views == 8
    (choice,) = [each for each in run.choices if each.field == "distill"]
    assert choice.answer.summary == "8 stored views" and "all of which the trees are fitted to" in choice.answer.why
    assert run.result(SOFT_LABELS).views == 8 * (len(run.data.train) + len(run.data.unlabelled or ()))


def test_the_bundle_is_verified_and_has_files_rules_and_columns(run: RunContext, home: Path) -> None:
    bundle = home / "loans"
    manifest = read_manifest(bundle)
    files = {artifact.path: artifact for artifact in manifest.artifacts}
    assert list(files) == ["android/loans_fp32.tflite", "ios/loans.mlmodel"] and not manifest.missing
    assert all(file.top1_vs_keras == 1.0 and file.max_abs_error < 1e-5 for file in files.values())
    assert [check for check in verify(bundle) if check.verdict == "failed"] == []
    assert not [gate for gate in manifest.gates if gate.name.startswith("one_partition")]
    rules = (bundle / "rules.txt").read_text()
    assert " of the rows" in rules and "?  (" in rules and ("income > " in rules or "job is " in rules)
    page = (bundle / "report.html").read_text(encoding="utf-8")
    assert 'id="rules"' in page and "One tree, " in page and "Student and teacher choose the same class" in page
    assert (bundle / "rules.svg").read_text().startswith("<svg")
    columns = json.loads((bundle / "columns.json").read_text())
    assert [column["name"] for column in columns] == ["age", "job", "income"]
    kotlin = (bundle / "android/LoansClassifier.kt").read_text()
    assert '"job" to listOf("cook", "diver", "nurse", "pilot"),' in kotlin
    assert "tabular-classification" in (bundle / "MODEL_CARD.md").read_text()


def test_the_bundle_withholds_labels_counts_and_accounts_for_its_cost(run: RunContext, home: Path) -> None:
    bundle, manifest = home / "loans", read_manifest(home / "loans")
    rejections = [artifact.rejection for artifact in manifest.artifacts]
    assert all(found and found.threshold and found.test and found.test.accepted for found in rejections)
    assert not [gate for gate in manifest.gates if gate.name.startswith("reject/") and gate.verdict == "failed"]
    for artifact in manifest.artifacts:
        reference = monitoring.read(bundle, artifact.path)
        assert reference.test.n == manifest.images and reference.unlabelled and reference.teacher
    for folder, suffix in (("android", "kt"), ("ios", "swift")):
        assert "tfkd-counts-1" in (bundle / folder / f"LoansCounter.{suffix}").read_text()
    assert manifest.cost is not None and manifest.cost.distillation.total is not None


def test_a_bundle_predicts_rows_of_values(run: RunContext, home: Path) -> None:
    bundle = load_bundle(home / "loans")
    rows = [{"age": 30, "job": "pilot", "income": 1.0}, {"age": 30, "job": "cook", "income": 0.5}]
    for path in ("loans_fp32.tflite", "loans.mlmodel"):
        found = bundle.predict(rows, path)
        assert np.asarray(found).argmax(axis=1).tolist() == [2, 0]


def test_damaged_columns_of_a_bundle_are_refused(run: RunContext, home: Path, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(home / "loans", tmp_path / "copy")
    columns = tmp_path / "copy/columns.json"
    columns.write_text(columns.read_text().replace('"income"', '"wealth"'))
    checks = {check.name: check for check in verify(tmp_path / "copy")}
    assert any(check.verdict == "failed" for check in checks.values())
    columns.unlink()
    with pytest.raises(RequestError, match=r"columns\.json cannot be read"):
        read_manifest(tmp_path / "copy")


def test_a_forest_learns_from_a_keras_model_over_rows(home: Path) -> None:
    data = open_source(recipe(home).data, 1)
    row = keras.Input((3,))
    model = keras.Model(row, keras.layers.Dense(3)(keras.layers.Dense(16, "relu")(keras.layers.Rescaling(0.02)(row))))
    signature = data.reading.signature(recipe(home).data)
    taken = np.stack([data.reading.plain(data.train.load(i), signature)[0] for i in range(len(data.train))])
    model.compile(keras.optimizers.Adam(0.01), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(taken, data.train.labels, batch_size=16, epochs=30, verbose=0)
    model.save(home / "own.keras")
    forest = recipe(
        home,
        name="forest",
        teachers=[Teacher(model=str(home / "own.keras"))],
        student=Forest(trees=5, max_depth=4),
        distill=Distill(views=2, control=False),
    )
    run = finished(forest, home, STUDENT.name)
    assert run.result(TEACHER).accuracy is not None and len(data.columns) == 3
    assert trainings_in(run, "student").trainings[0].parameters > 100
    row = keras.Input((4,))
    keras.Model(row, keras.layers.Dense(3)(row)).save(home / "other.keras")
    wider = recipe(home, name="wider", teachers=[Teacher(model=str(home / "other.keras"))])
    with pytest.raises(RequestError, match=r"other\.keras takes float32 \(None, 4\); these rows"):
        finished(wider, home, TEACHER.name)


def test_a_tree_learns_from_predictions_by_line(home: Path) -> None:
    lines = (home / "loans.csv").read_text().splitlines()[1:]
    table = home / "loans.csv"
    values = {"no": "0.8,0.1,0.1", "perhaps": "0.1,0.8,0.1", "yes": "0.1,0.1,0.8"}
    rows = [f'"{table}, line {number}",{values[line.split(",")[-1]]}' for number, line in enumerate(lines, start=2)]
    (home / "predicted.csv").write_text("\n".join(["row,no,perhaps,yes", *rows]))
    taught = recipe(home, name="predicted", teachers=[Teacher(predictions=str(home / "predicted.csv"))])
    run = finished(taught, home, STUDENT.name)
    assert run.recipe.distill.targets == "image" and run.recipe.distill.views == 1
    assert trainings_in(run, "student").trainings[0].epochs == 1


def test_the_doctor_speaks_of_rows_and_columns(home: Path) -> None:
    with begun(recipe(home), Silent(), home / "doctor") as context:
        texts = [finding.text for finding in examine(context.recipe, context.data, home / "doctor")]
    assert any(text.startswith("teacher mlp: ") and text.endswith("input 3 columns") for text in texts)
    assert any(text.startswith("tree is fitted at once to ") for text in texts)
    assert not any("epoch" in text and "steps" in text for text in texts)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"distill": Distill(training=Training(epochs=3))},
            r"is fitted at once .* does not read distill\.training",
        ),
        ({"distill": Distill(generations=2)}, r"does not read distill\.generations"),
        ({"export": Export(temperature="auto")}, r"export\.temperature divides logits"),
        ({"data": Data(source="table:x.csv", folds=3)}, r"supports neither data\.folds nor"),
        ({"compress": [{"kind": "prune"}]}, r"a tree is made smaller by student\.max_depth"),
    ],
)
def test_what_trees_do_not_read_is_refused(changes: dict[str, Any], message: str, home: Path) -> None:
    with pytest.raises(RequestError, match=message):
        recipe(home, **changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"student": Student(model="mobilenet_v2")},
            "mobilenet_v2 takes images, .* are rows of tables; use tree",
        ),
        ({"data": Data(source="embedded:fashion_mnist_mini", fraction=0.05)}, "Not for images: tree compares single"),
        ({"teachers": [Teacher(model="resnet20", weights="none")]}, "resnet20 does not take tables; use mlp"),
        (
            {"teachers": [Teacher(model="mlp", fine_tune=None)]},
            r"mlp starts from random weights; set fine_tune",
        ),
        ({"teachers": [Teacher(model="mlp", weights="imagenet")]}, "mlp has no published weights 'imagenet'"),
    ],
)
def test_networks_that_do_not_fit_are_refused(
    changes: dict[str, Any], message: str, home: Path, tmp_path: Path
) -> None:
    with (
        pytest.raises(RequestError, match=message),
        begun(recipe(home, **changes), Silent(), tmp_path) as context,
    ):
        run_stages(context, TEACHER.name, tmp_path)


def test_files_that_trees_cannot_have_are_not_written_by_default(home: Path) -> None:
    from tfkd.recipe.of_kind import with_kind_defaults

    found = with_kind_defaults(recipe(home))
    assert (found.export.tflite, found.export.coreml) == (["fp32"], ["mlmodel"])
    assert found.export.description == "Table classifier distilled with tfkd" and not found.gates.one_partition
    own = with_kind_defaults(recipe(home, export=Export(tflite=["fp32", "int8"])))
    assert own.export.tflite == ["fp32", "int8"]
