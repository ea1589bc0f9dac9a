"""Lock files that cannot be used are refused before any work, and other files are never replaced."""

import os
from pathlib import Path

import pytest

from tests.bundle.teachers import lock_of_teachers, teacher_of
from tfkd.bundle.teacher_lock import write_lock
from tfkd.errors import RequestError
from tfkd.pipeline.lock_request import LockMode, LockRequest


@pytest.fixture
def file(tmp_path: Path) -> Path:
    write_lock(lock_of_teachers([0, 1], teacher_of([0, 1])), tmp_path / "a.lock")
    return tmp_path / "a.lock"


def refused(mode: LockMode, file: Path, own: Path = Path("runs/x/teacher.lock")) -> str:
    with pytest.raises(RequestError) as error:
        LockRequest(mode, file).require_usable(own)
    assert "\n" not in str(error.value) and "Free some space" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("mode", ["lock", "relock"])
def test_a_file_that_cannot_be_written_is_refused(tmp_path: Path, file: Path, mode: LockMode) -> None:
    assert "/proc: " in refused(mode, Path("/proc/x.lock"))
    assert "a.lock: Not a directory" in refused(mode, file / "x.lock")
    (tmp_path / "link.lock").symlink_to("/proc/x.lock")
    assert "/proc: " in refused(mode, tmp_path / "link.lock")


@pytest.mark.parametrize("mode", ["lock", "locked", "relock"])
def test_loops_pipes_devices_and_folders_are_refused(tmp_path: Path, mode: LockMode) -> None:
    (tmp_path / "loop").symlink_to("loop")
    os.mkfifo(tmp_path / "pipe")
    assert "loop leads to itself by symbolic links" in refused(mode, tmp_path / "loop")
    assert "pipe is a pipe or device" in refused(mode, tmp_path / "pipe")
    assert "/dev/zero is a pipe or device" in refused(mode, Path("/dev/zero"))
    assert "is a folder; name a regular file" in refused(mode, tmp_path)


def test_a_file_that_is_no_lock_is_not_replaced(tmp_path: Path, file: Path) -> None:
    recipe = tmp_path / "recipe.py"
    recipe.write_text("recipe = 1")
    (tmp_path / "link.lock").symlink_to(recipe)
    for path in (recipe, tmp_path / "link.lock"):
        assert "is no lock of a teacher, and would be replaced. Name another file" in refused("relock", path)
    file.write_text(file.read_text().replace("cat", "dog"))  # edited by hand
    LockRequest("relock", file).require_usable(tmp_path / "own.lock")


def test_the_lock_of_the_run_itself_is_refused(tmp_path: Path, file: Path) -> None:
    (tmp_path / "link.lock").symlink_to("a.lock")
    modes: tuple[LockMode, ...] = ("lock", "locked", "relock")
    for mode in modes:
        LockRequest(mode, file).require_usable(tmp_path / "own.lock")
        for path in (file, tmp_path / "link.lock"):
            assert "is the lock that the run itself writes" in refused(mode, path, own=file)
