"""Runs that keep to the lock of their teachers: a retrained teacher is refused before its soft labels are computed."""

import re
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest

from tests.data.photos import fill_tinted
from tests.pipeline.test_domains import InThisProcess
from tfkd.bundle.layout import MANIFEST, TEACHER_LOCK
from tfkd.bundle.manifest import Manifest
from tfkd.bundle.seal import seal
from tfkd.bundle.taught_by import require_taught_by
from tfkd.bundle.teacher_lock import read_lock, write_lock
from tfkd.bundle.verification import verify
from tfkd.errors import RequestError
from tfkd.inputs.image.tensors import signature
from tfkd.models import build_student
from tfkd.models.weights_digest import weights_digest
from tfkd.pipeline.folders import RunFolder
from tfkd.pipeline.lock_keeping import in_order
from tfkd.pipeline.lock_request import LockMode, LockRequest, lock_request
from tfkd.pipeline.run import begun, open_run, run_stages
from tfkd.pipeline.storage import stored_results
from tfkd.progress import Lines
from tfkd.recipe import Bench, Cost, Data, Distill, Export, FineTune, Gates, Recipe, Student, Teacher, Training
from tfkd.verification import VerifyError

CLASSES = ("blue", "green", "red")
OFF = dict.fromkeys(("better_than_chance", "not_worse_than_control", "diagnosis"), False)
LIMITS = dict.fromkeys(("min_relative_accuracy", "max_accuracy_drop", "min_agreement", "min_float_agreement"))

pytestmark = pytest.mark.usefixtures("started_tensorflow")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    fill_tinted(home / "photos", dict.fromkeys(CLASSES, 30))
    return home


def recipe(home: Path, *overrides: str) -> Recipe:
    teacher = Teacher(
        model="tests.tiny:build_teacher",
        weights="none",
        image_size=32,
        fine_tune=FineTune(epochs=2, batch_size=16, learning_rate=1e-2),
    )
    asked = Recipe(
        name="tiny",
        data=Data(source=f"folder:{home / 'photos'}", image_size=32, validation_share=0.3, test_share=0.2),
        teachers=[teacher],
        student=Student(model="tests.tiny:build_student", weights="none"),
        distill=Distill(views=1, control=False, training=Training(epochs=1, batch_size=16)),
        export=Export(tflite=["fp32"], coreml=[], calibration_images=8, golden_images=2),
        bench=Bench(runs=5, warmup=1),
        gates=Gates(**OFF, **LIMITS),
        cost=Cost(per_hour=2.5, currency="EUR"),
    )
    return asked.with_(*overrides)


def run(home: Path, mode: LockMode | None, last: str, *overrides: str) -> Path:
    """Runs stages with the lock file of the folder; returns the folder of the run."""
    asked = recipe(home, *overrides)
    lock = LockRequest(mode, home / "tiny.teacher.lock") if mode else None
    opened = open_run(asked, RunFolder(home / "runs/tiny"), Lines(), InThisProcess(), keep=True)
    run_stages(replace(opened, lock=lock), last, home / "bundles/tiny")
    return home / "runs/tiny"


@pytest.fixture(scope="module")
def finished(home: Path) -> Path:
    """A whole run that wrote the lock."""
    return run(home, "lock", "report")


def retrained(home: Path, finished: Path, capsys: pytest.CaptureFixture[str]) -> tuple[str, str]:
    """Trains the teacher again, too slowly to learn; returns the error of a locked run, and what it showed before."""
    stores = sorted((finished / "soft_labels").iterdir())
    with pytest.raises(RequestError) as error:
        run(home, "locked", "soft_labels", "teachers.fine_tune.epochs=1", "teachers.fine_tune.learning_rate=1e-6")
    assert sorted((finished / "soft_labels").iterdir()) == stores  # none was paid for
    return str(error.value), capsys.readouterr().out


def test_the_lock_is_in_the_run_in_the_bundle_and_where_it_was_asked_for(home: Path, finished: Path) -> None:
    written = (home / "tiny.teacher.lock").read_bytes()
    assert written == (finished / "teacher.lock").read_bytes()
    assert written == (home / "bundles/tiny" / TEACHER_LOCK).read_bytes()
    assert TEACHER_LOCK in (home / "bundles/tiny/SHA256SUMS").read_text()
    lock = read_lock(home / "tiny.teacher.lock")
    (teacher,) = lock.teachers
    logits = np.load(next((finished / "teacher").glob("*/validation_logits.npy")))
    assert teacher.predictions is not None
    top = teacher.predictions.top(len(logits))
    np.testing.assert_array_equal(top.classes[:, 0], logits.argmax(axis=1))
    assert lock.data.sampled == 27 == len(logits) and sorted(lock.data.truth().tolist()) == sorted([0, 1, 2] * 9)


def test_the_locked_teacher_passes_and_the_lock_stays_as_it_is(
    home: Path, finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (home / "tiny.teacher.lock").read_bytes()
    for mode in ("locked", "lock"):
        run(home, mode, "soft_labels", "student.width=2")
        assert f"the teachers are those of {home / 'tiny.teacher.lock'}" in capsys.readouterr().out
    assert (home / "tiny.teacher.lock").read_bytes() == before


def test_a_retrained_teacher_is_refused_with_the_difference_and_the_choice(
    home: Path, finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    error, shown = retrained(home, finished, capsys)
    assert error.count("\n") == 0 and "the teacher 'tests.tiny:build_teacher' has other weights" in error
    assert "accept these with --relock" in error and "No soft labels were computed." in error
    assert "of the recipe: teachers.0.fine_tune.epochs was 2, it is 1" in shown
    assert re.search(
        r"agrees with the locked one for (\d|1\d|2[0-6]) of 27 validation examples \(.* %, 95 % inter", shown
    )
    assert re.search(r"class '\w+': recall 100.0 % → .*; \d+ of 9 predicted otherwise", shown)
    assert re.search(r"predictions that moved: \d+ from '\w+' to '\w+'", shown)
    assert "to build again: soft_labels, 45 views" in shown and "to build again: student, 45 examples" in shown
    assert re.search(r"to build again: student, .*; took \d+ s, .* CPU-\w+, EUR \d.* the last time", shown)
    assert re.search(r"to build again in all, as the last time: .*, EUR \d", shown)
    assert f"accept these: tfkd run RECIPE --relock student.weights={finished}" in shown
    page = (finished / "teacher_lock.html").read_text()
    assert "✗ other teachers" in page and "teachers.0.fine_tune.epochs was 2, it is 1" in page


def test_the_kept_teacher_that_is_shown_can_be_used_in_place_of_the_other(
    home: Path, finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, shown = retrained(home, finished, capsys)
    (line,) = [line for line in shown.splitlines() if "is the locked one: " in line]
    run(home, "locked", "teacher", *line.partition("is the locked one: ")[2].split())
    assert "the teachers are those of" in capsys.readouterr().out


def test_other_data_is_refused_before_a_teacher_is_trained(home: Path, finished: Path) -> None:
    teachers = sorted((finished / "teacher").iterdir())
    with pytest.raises(RequestError, match=r"is the lock of another data set: the labelled examples of .* are others"):
        run(home, "locked", "teacher", "data.validation_share=0.2")
    assert sorted((finished / "teacher").iterdir()) == teachers


def test_the_lock_of_another_run_is_refused(home: Path, finished: Path) -> None:
    with pytest.raises(RequestError, match="is the lock of the run 'tiny', this is 'other'"):
        run(home, "locked", "teacher", "name=other")


def test_an_accepted_teacher_distils_again_from_the_old_student_and_stays_so(
    home: Path, finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = next((finished / "student").glob("*/seed-1/student.keras"))
    lock = (home / "tiny.teacher.lock").read_bytes()
    accepted = ("teachers.fine_tune.epochs=1", f"student.weights={home / 'bundles/tiny'}")
    try:
        run(home, "relock", "report", *accepted)
        assert "has other weights" in capsys.readouterr().out
        opened = recipe(home, *accepted), RunFolder(finished), Lines()
        resolved = open_run(*opened).recipe
        assert resolved.student.weights == str(old)
        (kept,) = [each for each in stored_results(open_run(*opened)) if old.is_relative_to(each.folder)]
        assert kept.current  # tfkd clean keeps it
        begun_with = build_student(resolved.student, signature(32), len(CLASSES), seed=7)
        for one, other in zip(begun_with.get_weights(), keras.models.load_model(old).get_weights(), strict=True):
            np.testing.assert_array_equal(one, other)
        bundle = home / "bundles/tiny"
        manifest = Manifest.model_validate_json((bundle / MANIFEST).read_bytes())
        run(home, "locked", "report", *accepted)  # the student of this run is another one by now
        assert Manifest.model_validate_json((bundle / MANIFEST).read_bytes()) == manifest
    finally:
        write_lock(read_lock(finished / "teacher.lock"), home / "new.lock")
        (home / "tiny.teacher.lock").write_bytes(lock)


def test_a_damaged_lock_is_replaced_without_the_advice_to_do_so(
    home: Path, finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = home / "tiny.teacher.lock"
    content = file.read_text()
    file.write_text(content.replace('"share": 1.0', '"share": 2.0'))
    run(home, "relock", "teacher")
    shown = capsys.readouterr().out
    assert "replaced a lock that could not be compared: " in shown and "was edited" in shown
    assert "--relock" not in shown and file.read_text() == content


def test_a_student_cannot_start_from_what_is_no_weights(home: Path, finished: Path) -> None:
    (home / "README.md").write_text("read me")
    teachers = sorted((finished / "teacher").iterdir())
    with pytest.raises(RequestError, match=r"README\.md of tests\.tiny:build_student are no weights that it can"):
        run(home, None, "teacher", f"student.weights={home / 'README.md'}", "teachers.fine_tune.epochs=3")
    assert sorted((finished / "teacher").iterdir()) == teachers


def test_a_bundle_says_whether_a_teacher_taught_it(home: Path, finished: Path, tmp_path: Path) -> None:
    bundle = home / "bundles/tiny"
    manifest = Manifest.model_validate_json((bundle / MANIFEST).read_bytes())
    mine = read_lock(bundle / TEACHER_LOCK).teachers[0].weights

    files = sorted((finished / "teacher").glob("*/teacher.keras"), key=lambda file: weights_digest(file) != mine)
    (check,) = [each for each in verify(bundle, teacher=files[0]) if each.name == "teacher"]
    assert check.passed and f"{files[0]} is 'tests.tiny:build_teacher', which taught the bundle" in check.found
    require_taught_by(bundle, manifest, bundle / TEACHER_LOCK)
    with pytest.raises(VerifyError, match="did not teach this bundle: it has the digest"):
        require_taught_by(bundle, manifest, files[1])
    for other in (next(home.glob("photos/red/*")), home / "photos"):
        with pytest.raises(RequestError, match="is no teacher: it is "):
            require_taught_by(bundle, manifest, other)
    other_lock = read_lock(bundle / TEACHER_LOCK)
    other_lock.teachers[0].weights = "0" * 64
    write_lock(other_lock, tmp_path / "other.lock")
    with pytest.raises(VerifyError, match=r"did not teach this bundle: the teacher .* has other weights"):
        require_taught_by(bundle, manifest, tmp_path / "other.lock")


def test_a_lock_that_was_exchanged_in_a_bundle_is_noticed(home: Path, finished: Path, tmp_path: Path) -> None:

    copy = Path(shutil.copytree(home / "bundles/tiny", tmp_path / "tiny"))
    lock = read_lock(copy / TEACHER_LOCK)
    write_lock(lock.model_copy(update={"classes": ["a", "b", "c"]}), copy / TEACHER_LOCK)
    seal(copy)
    (check,) = [each for each in verify(copy) if each.name == "numbers"]
    assert check.verdict == "failed" and "teacher.lock: it has other classes" in check.found


@pytest.mark.parametrize(
    ("mode", "content", "message"),
    [
        ("locked", None, "There is no lock file .*; write it with --lock"),
        ("locked", "{}", "is no lock of a teacher"),
        ("lock", "edited", "is no lock of a teacher: it is not JSON"),
    ],
)
def test_an_unusable_lock_is_refused_before_the_data_are_opened(
    tmp_path: Path, mode: LockMode, content: str | None, message: str
) -> None:
    if content is not None:
        (tmp_path / "a.lock").write_text(content)
    request = LockRequest(mode, tmp_path / "a.lock")
    with pytest.raises(RequestError, match=message), begun(recipe(tmp_path), Lines(), tmp_path, lock=request):
        pass


def test_the_lock_file_is_beside_the_recipe_unless_it_is_named() -> None:
    modes: dict[LockMode, bool] = {"lock": False, "locked": True, "relock": False}
    assert lock_request(modes, None, Path("a/b.py"), "pets") == LockRequest("locked", Path("a/pets.teacher.lock"))
    assert lock_request(modes, Path("x.lock"), None, "pets") == LockRequest("locked", Path("x.lock"))
    assert lock_request(dict.fromkeys(modes, False), None, Path("b.py"), "pets") is None
    with pytest.raises(RequestError, match="the recipe has none, so name the lock file with --lock-file"):
        lock_request(modes, None, None, "pets")
    with pytest.raises(RequestError, match="--lock, --locked and --relock exclude each other"):
        lock_request(dict.fromkeys(modes, True), None, Path("b.py"), "pets")
    with pytest.raises(RequestError, match="is read with --lock, --locked or --relock"):
        lock_request(dict.fromkeys(modes, False), Path("x.lock"), Path("b.py"), "pets")


def test_all_teachers_come_first_where_they_are_compared() -> None:
    groups = [["teacher"], ["soft_labels"], ["teacher-2"], ["soft_labels-2"], ["control", "student"]]
    compared, free = (SimpleNamespace(lock=lock) for lock in (LockRequest("locked", Path("a.lock")), None))
    assert in_order(compared, groups) == [groups[0], groups[2], groups[1], *groups[3:]]  # type: ignore[arg-type]
    assert in_order(free, groups) == groups  # type: ignore[arg-type]
