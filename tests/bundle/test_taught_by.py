"""Files and folders that are no teacher are told from a teacher that did not teach a bundle."""

import os
from pathlib import Path

import pytest

from tests.bundle.manifests import tiny_manifest
from tests.bundle.teachers import CLASSES, lock_of_teachers, teacher_of
from tfkd.bundle.layout import TEACHER_LOCK
from tfkd.bundle.manifest import Manifest, TeacherEntry
from tfkd.bundle.taught_by import require_taught_by
from tfkd.bundle.teacher_lock import write_lock
from tfkd.errors import RequestError
from tfkd.files import sha256
from tfkd.verification import VerifyError


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    (tmp_path / "README.md").write_text("read me")
    (tmp_path / "own.py").write_text("def teacher(): ...")
    (tmp_path / "known.bin").write_text("weights of the teacher")
    folder = tmp_path / "bundle"
    folder.mkdir()
    named = {"pets/known.bin": sha256(tmp_path / "known.bin")}
    write_lock(lock_of_teachers([0, 1, 2], teacher_of([0, 1, 2], files=named)), folder / TEACHER_LOCK)
    (folder / "manifest.json").touch()
    return folder


@pytest.fixture
def manifest() -> Manifest:
    teacher = TeacherEntry(
        model="resnet20",
        weights="none",
        fingerprint="0" * 16,
        parameters=None,
        image_size=None,
        accuracy=None,
        calibration_error=None,
    )
    return tiny_manifest(list(CLASSES)).model_copy(update={"teachers": [teacher]})


def judged(manifest: Manifest, bundle: Path, teacher: Path) -> str:
    with pytest.raises(RequestError) as error:
        require_taught_by(bundle, manifest, teacher)
    assert str(error.value).startswith(f"{teacher} is ") and "\n" not in str(error.value)
    return str(error.value)


def test_what_is_no_teacher_is_refused_with_what_to_give(bundle: Path, manifest: Manifest, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    os.mkfifo(tmp_path / "pipe.keras")
    assert "is no teacher: it is a folder without a file of one. Give" in judged(manifest, bundle, tmp_path / "empty")
    found = judged(manifest, bundle, tmp_path / "README.md")
    assert "is no teacher: it is no file of a model or of predictions. Give" in found
    assert "is no teacher: it is a bundle, which holds none. Give" in judged(manifest, bundle, bundle)
    assert "is a pipe or device; name a regular file" in judged(manifest, bundle, tmp_path / "pipe.keras")


def test_files_of_teachers_in_a_folder_are_named(bundle: Path, manifest: Manifest, tmp_path: Path) -> None:
    run, single = tmp_path / "runs/pets", tmp_path / "single"
    (run / "teacher/abc").mkdir(parents=True)
    single.mkdir()
    for file in (run / "teacher/abc/teacher.keras", run / "teacher.lock", single / "cats.onnx"):
        file.touch()
    for folder, names in {
        run: f"{run}/teacher.lock, {run}/teacher/abc/teacher.keras",
        run / "teacher": f"{run}/teacher/abc/teacher.keras",
        run / "teacher/abc": f"{run}/teacher/abc/teacher.keras",
        single: f"{single}/cats.onnx",
    }.items():
        assert judged(manifest, bundle, folder).endswith(
            f"is no teacher: it is a folder. Name one file in it: {names}."
        )


def test_a_file_with_the_contents_of_a_locked_one_is_a_teacher_by_any_name(
    bundle: Path, manifest: Manifest, tmp_path: Path
) -> None:
    found = require_taught_by(bundle, manifest, (tmp_path / "known.bin").rename(tmp_path / "known.dat"))
    assert "was fine-tuned to 'resnet20'" in found[1]
    for name in ("other.onnx", "other.bin"):  # a form of models, and that of the locked file
        (tmp_path / name).write_text("other")
        with pytest.raises(VerifyError, match="did not teach this bundle: it has the digest"):
            require_taught_by(bundle, manifest, tmp_path / name)
