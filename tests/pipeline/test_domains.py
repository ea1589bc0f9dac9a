"""Runs with a teacher per domain: who learns from which photos, what is stored and what is measured."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from tests.data.photos import fill
from tests.pipeline.test_folds import Pretending, names
from tests.pipeline.test_folds import finish as finish_stages
from tfkd.bundle.consistency import contradictions
from tfkd.data import Dataset
from tfkd.data.domains import membership
from tfkd.distill.measures import accuracy
from tfkd.errors import RequestError
from tfkd.pipeline.context import RunContext
from tfkd.pipeline.doctor import examine
from tfkd.pipeline.executor import Finished, LocalExecutor
from tfkd.pipeline.folders import RunFolder
from tfkd.pipeline.run import Outcome, open_run, run_stages
from tfkd.pipeline.stages import teacher
from tfkd.pipeline.stages.soft_labels import SOFT_LABELS
from tfkd.pipeline.stages.student_figures import figures_of
from tfkd.pipeline.stages.teacher import TEACHER
from tfkd.pipeline.stages.trainings import stores_behind
from tfkd.progress import Lines, Progress
from tfkd.recipe import Bench, Data, Distill, Export, FineTune, Gates, Recipe, SoftTargets, Student, Teacher, Training
from tfkd.report import console, facts, units
from tfkd.store.soft_labels import SoftLabels
from tfkd.training.job import Job, StudentResult, TeacherJob, TeacherResult
from tfkd.training.student import train_student
from tfkd.training.teaching import open_stores

XRAY, MRI = "xray/*", "mri/*"

pytestmark = pytest.mark.usefixtures("started_tensorflow")


def trained(domain: str | None, **settings: object) -> Teacher:
    tuning = FineTune(epochs=1, batch_size=8)
    model = "tests.tiny:build_teacher"
    return Teacher(model=model, weights="none", image_size=32, fine_tune=tuning, domain=domain, **settings)


def recipe(photos: Path, *teachers: Teacher, **data: object) -> Recipe:
    off = ("better_than_chance", "not_worse_than_control", "diagnosis")
    limits = ("min_relative_accuracy", "max_accuracy_drop", "min_agreement", "min_float_agreement")
    return Recipe(
        name="domains",
        data=Data(source=f"folder:{photos}", image_size=32, **{"validation_share": 0.3, "test_share": 0.3, **data}),
        teachers=list(teachers),
        student=Student(model="tests.tiny:build_student", weights="none"),
        distill=Distill(
            losses=[SoftTargets(temperature="auto")],
            targets="image",
            views=2,
            control=False,
            training=Training(epochs=1, batch_size=8),
        ),
        export=Export(tflite=["fp32"], coreml=[], calibration_images=8, golden_images=2),
        bench=Bench(runs=5, warmup=1),
        gates=Gates(**dict.fromkeys(off, False), **dict.fromkeys(limits, None)),
    )


@dataclass
class InThisProcess(LocalExecutor):
    """Trains students without a process of their own.

    Attributes:
        taught: photos of each split that a teacher was given.
    """

    taught: list[list[str]] = field(default_factory=list)

    def prepare(self, job: TeacherJob, data: Dataset, progress: Progress) -> TeacherResult:
        self.taught.append(names(data.train, data.validation, data.test, data.unlabelled))
        return super().prepare(job, data, progress)

    def train(
        self, jobs: list[Job], total: int, progress: Progress, finished: Finished = lambda place, result: None
    ) -> list[StudentResult]:
        return [train_student(job, lambda count: None, progress.say) for job in jobs]


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes of two kinds of photos."""
    root = tmp_path_factory.mktemp("photos")
    return fill(root, {f"{name}/{kind}": 10 for name in "ab" for kind in ("xray", "mri")})


@pytest.fixture(scope="module")
def unlabelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fill(tmp_path_factory.mktemp("unlabelled"), {"xray": 2, "mri": 3}, start=100)


@pytest.fixture(scope="module")
def predictions(photos: Path, unlabelled: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Logits of the MRI photos alone, all right but of one photo in five."""
    paths = [path.relative_to(root).as_posix() for root in (photos, unlabelled) for path in sorted(root.rglob("*.jpg"))]
    rows = [
        f"{path},{number % 5 - 1 if path[0] == 'a' else -2},{-2 if path[0] == 'a' else number % 5 - 1}"
        for number, path in enumerate(path for path in paths if "mri/" in path)
    ]
    table = tmp_path_factory.mktemp("predictions") / "mri.csv"
    table.write_text("\n".join(["file,a,b", *rows]))
    return table


@pytest.fixture(scope="module")
def executor() -> InThisProcess:
    return InThisProcess()


@pytest.fixture(scope="module")
def asked(photos: Path, unlabelled: Path, predictions: Path) -> Recipe:
    from_file = Teacher(predictions=str(predictions), domain=MRI)
    return recipe(photos, trained(XRAY, share=3.0), from_file, unlabelled=f"folder:{unlabelled}")


@pytest.fixture(scope="module")
def run(asked: Recipe, executor: InThisProcess, tmp_path_factory: pytest.TempPathFactory) -> RunContext:
    return open_run(asked, RunFolder(tmp_path_factory.mktemp("run")), Lines(), executor, keep=True)


@pytest.fixture(scope="module")
def finished(run: RunContext, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """A whole run: a teacher of X-ray photos that is trained, and one of MRI photos that is a file."""
    return run_stages(run, "report", tmp_path_factory.mktemp("bundles") / "domains")


def test_a_teacher_sees_the_photos_of_its_domain_alone(finished: Outcome, executor: InThisProcess) -> None:
    of_mri, of_xray = executor.taught  # what is used unchanged comes first
    assert len(of_xray) == 20 + 2 and all("xray/" in name for name in of_xray)
    assert len(of_mri) == 20 + 3 and all("mri/" in name for name in of_mri)


def test_the_combination_has_the_predictions_of_the_teacher_of_each_photo(finished: Outcome, run: RunContext) -> None:
    stores = stores_behind(run.recipe, run.data, run.stages, 0)
    transfer = names(run.data.train, run.data.unlabelled)
    everything = np.arange(len(transfer))
    first, second = (SoftLabels(each.folder, each.header, ()).read(everything, 0)["logits"] for each in stores)
    is_xray = np.array(["xray/" in name for name in transfer])
    assert (first[is_xray] != 0).any(axis=1).all() and not first[~is_xray].any()
    assert (second[~is_xray] != 0).any(axis=1).all() and not second[is_xray].any()
    (combination,), weights = open_stores(stores)
    assert weights == [1.0]
    np.testing.assert_array_equal(combination.read(everything, 0)["logits"], first + second)
    assert SOFT_LABELS.cost(run, 0).startswith(f"{2 * is_xray.sum()} views, ")


def test_accuracies_are_of_the_domain_and_of_the_combination(finished: Outcome, run: RunContext) -> None:
    manifest = finished.manifest
    assert manifest is not None and list(contradictions(manifest)) == []
    together, of_xray, of_mri = manifest.teachers
    labels, is_mri = run.data.test.labels, membership(run.data.test, MRI)
    assert (of_mri.domain.images, of_xray.domain.images) == (is_mri.sum(), (~is_mri).sum())  # type: ignore[union-attr]
    rows = teacher.ensemble_logits(run)
    assert of_mri.accuracy == pytest.approx(accuracy(rows[is_mri], labels[is_mri]))
    assert of_xray.accuracy == pytest.approx(accuracy(rows[~is_mri], labels[~is_mri]))
    assert together.accuracy == pytest.approx(accuracy(rows, labels))
    assert of_mri.chance.balanced_accuracy > 0.5  # type: ignore[union-attr]
    validation = [run.result(TEACHER, number).validation_accuracy for number in range(2)]
    counts = [int(membership(run.data.validation, each).sum()) for each in (XRAY, MRI)]
    assert figures_of(run, []).teacher == pytest.approx(np.average(validation, weights=counts))


def test_the_report_names_the_domains(finished: Outcome) -> None:
    manifest = finished.manifest
    assert manifest is not None
    assert [row["network"] for row in console.network_rows(manifest)][:3] == [
        "teacher",
        "teacher (xray/*)",
        "teacher (mri/*)",
    ]
    described = facts.teacher_described(manifest.teachers[2])
    assert f"domain mri/* (accuracy {units.percent(manifest.teachers[2].accuracy)} on " in described
    assert (finished.bundle / "report.html").read_text().count("<dt>Teacher of a domain</dt>") == 2  # type: ignore[operator]


def test_a_manifest_with_another_domain_contradicts_itself(finished: Outcome) -> None:
    assert finished.manifest is not None
    together, of_xray, of_mri = finished.manifest.teachers
    domain = of_mri.domain
    assert domain is not None

    def contradicting(**changes: object) -> str:
        teachers = [together, of_xray, of_mri.model_copy(update=changes)]
        return "; ".join(contradictions(finished.manifest.model_copy(update={"teachers": teachers})))  # type: ignore[union-attr]

    assert "'none', 'mri/*')]" in contradicting(domain=domain.model_copy(update={"pattern": "a/*"}))
    assert f"no whole number of {domain.images} test examples" in contradicting(accuracy=1 / 7)


def test_a_photo_that_moves_to_another_domain_makes_the_results_outdated(
    finished: Outcome, run: RunContext, asked: Recipe, photos: Path
) -> None:
    assert open_run(asked, run.folder, Lines()).stages["teacher"].result() is not None
    before, after = photos / "a/xray/000.jpg", photos / "a/mri/zzz.jpg"  # its place in the order stays
    before.rename(after)
    try:
        again = open_run(asked, run.folder, Lines())
    finally:
        after.rename(before)
    assert again.data.labelled == run.data.labelled
    assert again.stages["teacher"].result() is None


@pytest.mark.parametrize(
    ("teachers", "message"),
    [
        (
            (trained("x-ray/*"), trained(None)),
            r"teachers.0.domain='x-ray/\*' matches no example of .*, whose paths are",
        ),
        ((trained(XRAY), trained("a/*")), "10 examples are in the domain of no teacher, e.g. b/mri/"),
    ],
)
def test_wrong_domains_are_refused_before_anything_is_trained(
    photos: Path, tmp_path: Path, teachers: tuple[Teacher, ...], message: str
) -> None:
    with pytest.raises(RequestError, match=message):
        open_run(recipe(photos, *teachers), RunFolder(tmp_path), Lines())


def test_balance_without_a_class_in_the_domain_is_refused(photos: Path, tmp_path: Path) -> None:
    balanced = Teacher(
        model="tests.tiny:build_teacher",
        weights="none",
        fine_tune=FineTune(epochs=1, class_weight="balanced"),
        domain="a/*",
    )
    with pytest.raises(RequestError, match=r"'b' has no training examples in the domain 'a/\*'"):
        open_run(recipe(photos, balanced, trained("b/*")), RunFolder(tmp_path), Lines())


def test_doctor_names_a_wrong_domain(photos: Path, tmp_path: Path) -> None:
    from tfkd.pipeline.run import open_data

    unchanged = Teacher(model="tests.tiny:build_teacher", weights="none", fine_tune=None, domain="x-ray/*")
    wrong = recipe(photos, unchanged, trained(None))
    data = open_data(wrong, RunFolder(tmp_path), Lines())
    (error,) = (each.text for each in examine(wrong, data, tmp_path) if each.level == "error")
    assert "matches no example" in error


def test_folds_keep_to_the_domain(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(teacher, "check_networks", lambda *arguments: None)
    executor = Pretending()
    in_folds = recipe(photos, trained(XRAY), trained(MRI), folds=3, validation_share=0.4)
    context = open_run(in_folds, RunFolder(tmp_path), Lines(), executor)
    finish_stages(context, "teacher-2")
    kinds = [{name.split("/")[1] for name in each} for each in executor.taught.values()]
    assert sorted(map(sorted, kinds)) == [["mri"]] * 3 + [["xray"]] * 3
    is_xray = membership(context.data.test, XRAY)
    numbers = np.array([int(Path(name).stem) for name in names(context.data.test)])
    np.testing.assert_array_equal(teacher.logits_on_test(context, 0)[:, 0], numbers[is_xray])
    np.testing.assert_array_equal(teacher.ensemble_logits(context)[:, 0], numbers)


def test_folds_that_leave_a_domain_no_photos_are_refused(photos: Path, tmp_path: Path) -> None:
    one = recipe(photos, trained("a/xray/000.jpg"), trained(None), folds=3)
    context = open_run(one, RunFolder(tmp_path), Lines())
    with pytest.raises(RequestError, match=r"without fold \d.* is in it"):
        for fold in range(3):
            context.part([fold])
