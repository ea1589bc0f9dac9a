"""Runs with data.folds: who learns from which photos, what is pooled, and what is refused before a training."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from tests.data.photos import fill, fill_tinted
from tfkd.bundle.consistency import contradictions
from tfkd.bundle.manifest import Manifest
from tfkd.bundle.verification import verify
from tfkd.compress.job import CompressJob
from tfkd.compress.results import CompressResult
from tfkd.data import Dataset, Split, open_source
from tfkd.errors import RequestError
from tfkd.pipeline import compare, fit, sweep
from tfkd.pipeline.context import RunContext
from tfkd.pipeline.doctor import DoctorFinding, _folds
from tfkd.pipeline.executor import Finished
from tfkd.pipeline.filling import StoreJob, StoreResult, by_fold
from tfkd.pipeline.fold_runs import parts_of
from tfkd.pipeline.folders import STUDENT_MODEL, TEST_LOGITS, RunFolder, of_seed
from tfkd.pipeline.graph import groups
from tfkd.pipeline.run import open_run, run
from tfkd.pipeline.stages import teacher
from tfkd.pipeline.stages.folds import FOLDS, pooled_logits
from tfkd.pipeline.stages.student import STUDENT
from tfkd.pipeline.stages.teacher import TEACHER
from tfkd.pipeline.storage import clean, stored_results
from tfkd.pipeline.work import run_group
from tfkd.progress import Lines, Progress
from tfkd.recipe import (
    Bench,
    Data,
    Distill,
    Export,
    FineTune,
    Finish,
    Fit,
    Gates,
    Prune,
    Recipe,
    Student,
    Teacher,
    Training,
    shrunk,
)
from tfkd.report import facts
from tfkd.store.layout import Layout
from tfkd.training.job import Job, StudentResult, TeacherJob, TeacherResult
from tfkd.training.saving import save_array

FOLDS_OF = 3

pytestmark = pytest.mark.usefixtures("started_tensorflow")


def names(*splits: Split | None) -> list[str]:
    return [split.name(i) for split in splits if split is not None for i in range(len(split))]


def recipe(photos: Path, **changes: object) -> Recipe:
    values: dict[str, object] = {
        "name": "folds",
        "data": Data(source=f"folder:{photos}", image_size=32, folds=FOLDS_OF),
        "teachers": [Teacher(model="tests.tiny:build_teacher", weights="none", fine_tune=FineTune(epochs=2))],
        "student": Student(model="tests.tiny:build_student", weights="none"),
        "distill": Distill(views=2, training=Training(epochs=2), repeats=2, finish=Finish(epochs=1)),
    }
    return Recipe(**{**values, **changes})


@dataclass
class Pretending:
    """Trains nothing: predicts the position of a photo among all, and by which folds the network was not trained.

    Attributes:
        taught: photos that each teacher learned from, by its file.
        stores: the jobs and images of the stores.
        students: the trainings of students and controls.
        broken_after: number of teachers after which it is interrupted.
        validated: validation accuracy by seed.
        finished: validation accuracy before and after the training on the labels alone.
    """

    taught: dict[Path, list[str]] = field(default_factory=dict)
    stores: list[tuple[StoreJob, Dataset]] = field(default_factory=list)
    students: list[Job] = field(default_factory=list)
    broken_after: int = 1_000
    validated: dict[int, float] = field(default_factory=lambda: {1: 0.5, 2: 0.75})
    finished: tuple[float, float] = (0.75, 0.5)

    def prepare(self, job: TeacherJob, data: Dataset, progress: Progress) -> TeacherResult:
        if len(self.taught) == self.broken_after:
            raise KeyboardInterrupt
        job.folder.joinpath("teacher.keras").write_text("weights")
        self.taught[job.folder / "teacher.keras"] = names(data.train, data.validation)
        save_array(_logits(data, job.folder), job.folder / TEST_LOGITS)
        return TeacherResult(1000, 40, 1.0, 0.5, 0.1, seconds=2.0)

    def fill(self, job: StoreJob, data: Dataset, progress: Progress) -> StoreResult:
        self.stores.append((job, data))
        return StoreResult(1, 1.0, Layout.for_classes(3, {}), {})

    def train(
        self, jobs: list[Job], total: int, progress: Progress, finished: Finished = lambda place, result: None
    ) -> list[StudentResult]:
        self.students += jobs
        results = []
        for job in jobs:
            job.folder.mkdir(parents=True, exist_ok=True)
            (job.folder / STUDENT_MODEL).write_text("weights")
            data = open_source(job.recipe.data, job.recipe.seed, checked=job.checked)
            save_array(_logits(data, job.folder), job.folder / TEST_LOGITS)
            finish = self.finished if job.recipe.distill.finish else None
            results.append(StudentResult(job.kind, job.seed, 10, 1.0, self.validated[job.seed], 2, 1.0, finish=finish))
        return results

    def compress(self, job: CompressJob, progress: Progress) -> CompressResult:
        raise AssertionError


def _logits(data: Dataset, folder: Path) -> np.ndarray:
    part = next((parent.name for parent in folder.parents if parent.parent.name == "fold"), "0")
    numbers = [int(name.rpartition("/")[2].partition(".")[0]) for name in names(data.test)]
    return np.stack([np.array(numbers, np.float32), np.full(len(numbers), float(part.replace("-", ".")))], axis=1)


def finish(run: RunContext, last: str = "student") -> None:
    """Runs the stages up to one, without the checks against chance."""
    stages = list(run.stages)
    for group in groups(run.recipe, stages[: stages.index(last) + 1]):
        run_group(run, group)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fill(tmp_path_factory.mktemp("photos"), {"a": 9, "b": 9})


@pytest.fixture(scope="module")
def executor() -> Pretending:
    return Pretending()


@pytest.fixture(scope="module")
def pretended(photos: Path, executor: Pretending, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunContext]:
    """A run up to the student."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(teacher, "check_networks", lambda *arguments: None)
        run = open_run(recipe(photos), RunFolder(tmp_path_factory.mktemp("run")), Lines(), executor)
        finish(run)
        yield run


def test_no_photo_is_labelled_by_a_teacher_that_has_seen_it(pretended: RunContext, executor: Pretending) -> None:
    assert len(executor.taught) == 3 + 3  # without one fold, and without two
    assert len(executor.stores) == 1 + 3  # of all photos, and without each fold
    fold_of = dict(zip(names(pretended.data.train), pretended.data.train.folds.tolist(), strict=True))  # type: ignore[union-attr]
    for job, data in executor.stores:
        held_out = set(data.test.folds.tolist()) if not data.is_pooled else set()  # type: ignore[union-attr]
        assert set(job.by_fold) == {0, 1, 2} - held_out
        for fold, network in job.by_fold.items():
            seen = {fold_of[name] for name in executor.taught[network.file]}
            assert seen == {0, 1, 2} - held_out - {fold}


def test_every_photo_is_predicted_by_networks_without_its_fold(pretended: RunContext, executor: Pretending) -> None:
    data, found = pretended.data, pretended.result(FOLDS)
    expected = [[int(name.rpartition("/")[2].partition(".")[0]) for name in names(data.test)], data.test.folds + 1]  # type: ignore[operator]
    for seed in (1, 2):
        for kind in ("control", "student"):
            np.testing.assert_array_equal(pooled_logits(pretended, kind, seed), np.stack(expected, axis=1))  # type: ignore[arg-type]
    np.testing.assert_array_equal(teacher.logits_on_test(pretended, 0), np.stack(expected, axis=1))
    assert pretended.result(TEACHER).seconds == 6.0
    assert (found.seeds, found.validation_accuracies, len(found.control_accuracies)) == ((1, 2), (0.5, 0.75), 2)
    trained = {(tuple(job.recipe.data.held_out), job.kind, job.seed) for job in executor.students}
    parts = {((fold,), kind, seed) for fold in range(3) for kind in ("control", "student") for seed in (1, 2)}
    assert trained == parts | {((), "student", 2)}


def test_the_student_that_ships_learns_from_all_photos_what_the_folds_chose(
    pretended: RunContext, executor: Pretending
) -> None:
    (shipped,) = (job for job in executor.students if not job.recipe.data.held_out)
    assert (shipped.seed, shipped.labelled, shipped.images) == (2, 18, 18)
    assert shipped.recipe.distill.finish is None, "the training on labels alone made the folds worse"
    assert pretended.recipe.distill.finish is not None
    assert pretended.result(STUDENT).best.seed == 2
    assert "control" not in pretended.stages
    assert (of_seed(pretended.folder_of(STUDENT), 2) / STUDENT_MODEL).is_file()


def test_what_the_folds_cost_is_kept_until_it_is_asked_for(pretended: RunContext, photos: Path) -> None:
    found = stored_results(pretended)
    assert all(each.current and each.finished for each in found)
    named = [each.name for each in found]
    assert named.count("teacher without fold 1 and 3") == 1 and named.count("student without fold 2") == 1
    other = pretended.recipe.model_copy(update={"name": pretended.folder.path.name})
    assert clean(other, Lines(), pretended.folder.path.parent) == []


def test_a_killed_run_repeats_no_finished_teacher(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(teacher, "check_networks", lambda *arguments: None)
    killed, again = Pretending(broken_after=2), Pretending()
    with pytest.raises(KeyboardInterrupt):
        finish(open_run(recipe(photos), RunFolder(tmp_path), Lines(), killed), "teacher")
    finish(open_run(recipe(photos), RunFolder(tmp_path), Lines(), again), "teacher")
    assert (len(killed.taught), len(again.taught)) == (2, 1)
    assert not killed.taught.keys() & again.taught.keys()


def test_a_teacher_that_is_not_trained_here_has_no_parts_without_two_folds(photos: Path) -> None:
    as_it_is = [Teacher(model="tests.tiny:build_teacher", weights="none", fine_tune=None)]
    assert list(parts_of(recipe(photos, teachers=as_it_is))) == [(0,), (1,), (2,)]
    assert list(parts_of(recipe(photos))) == [(0,), (1,), (2,), (0, 1), (0, 2), (1, 2)]


def test_predictions_by_fold_are_in_the_order_of_the_images() -> None:
    asked = []

    def predictor(fold: int) -> object:
        def predict(positions: np.ndarray, view: int) -> Iterator[dict[str, np.ndarray]]:
            asked.append((fold, view, len(positions)))
            for half in np.array_split(positions, 2):
                yield {"logits": np.stack([half, np.full(len(half), fold)], axis=1).astype(np.float32)}

        return predict

    folds = np.random.default_rng(0).integers(0, 3, 1500)
    positions = np.arange(10, 1400)
    found = list(by_fold({fold: predictor(fold) for fold in range(3)}, folds)(positions, 5))  # type: ignore[misc]
    rows = np.concatenate([batch["logits"] for batch in found])
    np.testing.assert_array_equal(rows, np.stack([positions, folds[positions]], axis=1))
    assert (
        len(found) == 2
        and sum(count for _, _, count in asked) == len(positions)
        and {view for _, view, _ in asked} == {5}
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"compress": [Prune()]}, "leave compress out"),
        ({"distill": Distill(training=Training(patience=2))}, "no validation examples for distill.training.patience"),
        ({"data": {"folds": 2}}, "data.folds=2 leaves tests.tiny:build_teacher no examples"),
        (
            {"gates": {"min_recall": {"a": 0.9}}},
            "gates.min_recall needs validation examples for its thresholds, and data.folds=3 leaves none",
        ),
        (
            {"data": {"folds": 3, "augment": {"mix": "mixup"}}, "distill": Distill(targets="view")},
            "set distill.targets",
        ),
    ],
)
def test_what_folds_cannot_do_is_refused(photos: Path, changes: dict[str, object], message: str) -> None:
    if isinstance(data := changes.get("data"), dict):
        changes = {**changes, "data": {"source": f"folder:{photos}", **data}}
    with pytest.raises(RequestError, match=message):
        recipe(photos, **changes)


def test_parts_without_enough_photos_are_refused_before_anything_is_trained(tmp_path: Path) -> None:
    photos = fill(tmp_path / "photos", {"a": 3, "b": 9})
    message = r"data.folds=3, without fold 1 and 2: .*class 'a' has 1 training example, too few"
    with pytest.raises(RequestError, match=message):
        run(recipe(photos), Lines(), tmp_path / "runs", tmp_path / "bundles")
    data = open_source(recipe(photos).data, seed=1)
    assert [each.level for each in _folds(recipe(photos), data)] == ["error", "warning"]


def test_commands_that_compare_on_one_validation_split_refuse_folds(photos: Path, tmp_path: Path) -> None:
    for name, call in {
        "sweep": lambda: sweep.sweep({"one": recipe(photos)}, Lines(), tmp_path),
        "compare": lambda: compare.compare(recipe(photos), Lines(), tmp_path, tmp_path),
        "fit": lambda: fit.fit(recipe(photos, fit=Fit(max_kb=100)), Lines(), tmp_path, tmp_path),
    }.items():
        with pytest.raises(RequestError, match=f"tfkd {name} compares .* add data.folds=null"):
            call()
    assert shrunk(recipe(photos)).data.folds is None
    assert not list(tmp_path.iterdir())


def test_doctor_says_what_the_photos_can_show(tmp_path: Path) -> None:
    def told(counts: dict[str, int], **fields: object) -> list[DoctorFinding]:
        photos = fill(tmp_path / "-".join(map(str, counts.values())), counts)
        asked = recipe(photos, data=Data(source=f"folder:{photos}", **fields))
        return list(_folds(asked, open_source(asked.data, seed=1)))

    (plain,) = told({"a": 40, "b": 40}, test_share=0.25)
    assert plain.level == "warning"
    assert plain.text == (
        "20 test examples tell an accuracy of 90% from 70% at best; with data.folds=5, all 80 labelled examples tell "
        "it from 81%"
    )
    (folded,) = told({"a": 40, "b": 40}, folds=5)
    assert folded == DoctorFinding("ok", "5 folds: all 80 labelled examples tell an accuracy of 90% from 81% at best")
    (rare,) = told({"a": 40, "b": 4})
    assert "with data.folds=4, all 44" in rare.text


def _predictions(path: Path, photos: Sequence[str]) -> Path:
    """Writes predictions of a teacher that is right on all photos but one."""
    rows = [f"{name},{4 * ('a/' in name) - 2},{4 * ('b/' in name) - 2}" for name in photos]
    first = photos[0]
    path.write_text(
        "\n".join(["file,a,b", f"{first},{4 * ('b/' in first) - 2},{4 * ('a/' in first) - 2}", *rows[1:]]) + "\n"
    )
    return path


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle of a whole run, with the predictions of a teacher that was not trained here."""
    home = tmp_path_factory.mktemp("whole")
    data = Data(source=f"folder:{fill_tinted(home / 'photos', {'a': 12, 'b': 12})}", image_size=32, folds=2)
    file = _predictions(home / "teacher.csv", names(open_source(data, seed=1).train))
    asked = recipe(
        home / "photos",
        data=data,
        teachers=[Teacher(predictions=str(file))],
        student=Student(model="tests.tiny:build_student", weights="none", batch_norm_momentum=0.5),
        distill=Distill(targets="image", views=1, training=Training(epochs=15, batch_size=8, learning_rate=3e-2)),
        export=Export(tflite=["fp32", "int8"], coreml=[], calibration_images=8, golden_images=4),
        bench=Bench(runs=5, warmup=1),
        gates=Gates(
            min_relative_accuracy=None,
            min_accuracy=0.1,
            not_worse_than_control=False,
            min_balanced_accuracy=0.1,
            max_recall_drop={"a": 1.0},
        ),
    )
    outcome = run(asked, Lines(), home / "runs", home / "bundles")
    assert outcome.bundle is not None, outcome
    return outcome.bundle


def test_accuracies_of_a_bundle_are_those_of_its_folds(bundle: Path) -> None:
    manifest = Manifest.model_validate_json((bundle / "manifest.json").read_bytes())
    student = manifest.student
    assert manifest.data.splits == {"train": 24, "validation": 0, "test": 24}
    assert student.folds is not None and student.folds.folds == 2
    low, high = student.folds.interval
    assert low < student.accuracy < high or student.accuracy in (0.0, 1.0)
    assert manifest.teachers[0].accuracy == pytest.approx(23 / 24)
    assert all((each.accuracy, each.chance, each.agreement) == (None, None, None) for each in manifest.artifacts)
    assert all(each.top1_vs_keras is not None for each in manifest.artifacts)
    assert {row.accuracy for row in manifest.comparison} == {student.accuracy}
    assert manifest.suspected_labels is not None and manifest.suspected_labels.examples == 24
    assert manifest.suspected_labels.judges == ["teacher", "student"]
    assert [(use.what, len(use.recipes)) for use in manifest.test_uses] == [("teacher", 1), ("run", 1)]
    gates = {gate.name: gate for gate in manifest.gates}
    assert gates["min_accuracy/folds_int8.tflite"].value == student.accuracy
    assert student.scores is not None and {each.images for each in student.scores.classes.values()} == {12}
    assert gates["min_balanced_accuracy/folds_int8.tflite"].value == student.scores.balanced_accuracy.value
    assert "max_recall_drop/folds_int8.tflite/a" in gates and not any(each.scores for each in manifest.artifacts)
    assert "better_than_chance/student" in gates and "better_than_chance/folds_int8.tflite" not in gates
    said = facts.folds_say(manifest)
    assert said.startswith("Accuracy of 2 folds, pooled over 24 images, 95 % interval ")
    card, page = ((bundle / name).read_text() for name in ("MODEL_CARD.md", "report.html"))
    assert said in card and said in page and "neither network was trained on" not in page
    per_class = "student in Keras, 2 folds"
    assert f"all labelled images, each predicted without its fold, {per_class}" in card and per_class in page


def test_such_a_bundle_passes_verify_and_says_what_it_cannot_measure(bundle: Path) -> None:
    source = json.loads((bundle / "manifest.json").read_text())["data"]["source"]
    checks = {check.name: check for check in verify(bundle, source)}
    assert [check.name for check in checks.values() if check.verdict == "failed"] == []
    measured = checks["accuracy of android/folds_int8.tflite"]
    assert measured.verdict == "not judged" and "accuracy is that of 2 folds" in measured.found
    assert checks["data"].found.startswith("the 24 test examples that the bundle was measured on")


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("student.folds.interval", [0.8, 1.0], "the interval of the accuracy"),
        ("student.folds.folds", 3, "student.folds are 3, its recipe has 2"),
        ("student.folds", None, "student.folds are None, its recipe has 2"),
        ("student.folds.chance.balanced_accuracy", 0.7, "contradicts the balanced accuracy 0.7 of the student"),
        ("data.splits.validation", 5, "the splits are"),
        ("suspected_labels.parts", ["test"], "suspected_labels judges test, student.folds are 2"),
        ("suspected_labels.examples", 25, "suspected_labels judges 25 examples of 24"),
        ("artifacts.0.accuracy", 1.0, "is stated although the examples of its folds trained it"),
        ("artifacts.0.recall_changes", {"reference": "teacher", "classes": {}}, "recall_changes of android/folds_fp32"),
        ("student.recall_changes", None, "recall_changes of student have the reference None, not 'teacher'"),
        ("comparison.0.accuracy", 0.5, "of android/folds_fp32.tflite"),
    ],
)
def test_a_changed_number_of_folds_is_a_contradiction(bundle: Path, path: str, value: object, message: str) -> None:
    values = json.loads((bundle / "manifest.json").read_text())
    assert list(contradictions(Manifest.model_validate(values))) == []
    *places, last = path.split(".")
    part = values
    for place in places:
        part = part[int(place) if place.isdigit() else place]
    part[last] = value
    assert any(message in found for found in contradictions(Manifest.model_validate(values)))
