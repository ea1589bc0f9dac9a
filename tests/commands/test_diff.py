"""The command `tfkd diff`: what it prints and writes, and its exit codes."""

import json
from pathlib import Path

import pytest

from tests.bundle.teachers import lock_of_teachers, teacher_of
from tests.releases.bundles import BUNDLE, copied, swap_labels
from tfkd.bundle.teacher_lock import write_lock
from tfkd.cli import execute
from tfkd.monitor.lock_records import LockDiff
from tfkd.releases.records import Diff


def test_exit_codes_and_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    equal, swapped = copied(tmp_path / "equal"), copied(tmp_path / "swapped")
    swap_labels(swapped)
    written = ["--json", str(tmp_path / "diff.json"), "--out", str(tmp_path / "diff.html")]
    assert execute(["diff", str(BUNDLE), str(equal), "--max-size-increase", "0%", *written]) == 0
    assert "All 13 gates passed" in capsys.readouterr().out
    diff = Diff.model_validate_json((tmp_path / "diff.json").read_bytes())
    assert diff.passed and json.loads((tmp_path / "diff.json").read_text())["schema"] == "tfkd-diff-1"
    assert (tmp_path / "diff.html").read_text().startswith("<!doctype html>")
    assert execute(["diff", str(BUNDLE), str(swapped)]) == 1
    assert "labels 3 and 4 are swapped" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["gone"], "gone is no bundle"),
        ([str(BUNDLE), "--max-negative-flips", "x"], "--max-negative-flips: 'x' is not a limit of a change"),
        ([str(BUNDLE), "--out", "."], "cannot be written"),
        ([str(BUNDLE), "--json", str(BUNDLE / "new.json")], "is sealed. Name a file outside of it."),
        ([str(BUNDLE), "--data", "folder:gone"], "gone"),
    ],
)
def test_a_wrong_request_is_one_line(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["diff", str(BUNDLE), *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def test_locks_of_teachers_are_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old, new = tmp_path / "old.lock", tmp_path / "new.lock"
    write_lock(lock_of_teachers([0, 1, 2], teacher_of([0, 1, 2])), old)
    write_lock(lock_of_teachers([0, 1, 2], teacher_of([0, 1, 1], "b" * 64)), new)
    written = ["--json", str(tmp_path / "diff.json"), "--out", str(tmp_path / "diff.html")]
    assert execute(["diff", str(old), str(new), *written]) == 1
    assert "agrees with the locked one for 2 of 3" in " ".join(capsys.readouterr().out.split())
    found = LockDiff.model_validate_json((tmp_path / "diff.json").read_bytes())
    assert found.agreements[0].equal == 2 and (tmp_path / "diff.html").read_text().startswith("<!doctype html>")
    assert execute(["diff", str(old), str(old)]) == 0


def test_what_does_not_fit_to_locks_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lock = tmp_path / "a.lock"
    write_lock(lock_of_teachers([0, 1, 2], teacher_of([0, 1, 2])), lock)
    for arguments, message in (
        ([str(lock), "--data", "folder:x"], "--data is for bundles; leave it out"),
        ([str(lock), "--max-size-increase", "1%"], "--max-size-increase is for bundles"),
        ([str(BUNDLE)], "is a folder; name a regular file"),
        ([str(tmp_path / "gone.lock")], "gone.lock cannot be read"),
    ):
        assert execute(["diff", str(lock), *arguments]) == 2
        error = capsys.readouterr().err
        assert message in error and error.count("\n") == 1


def test_an_output_is_neither_an_input_nor_the_other_output(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lock = tmp_path / "a.lock"
    write_lock(lock_of_teachers([0, 1, 2], teacher_of([0, 1, 2])), lock)
    content, page = lock.read_bytes(), str(tmp_path / "page")
    for arguments, message in (
        (["--json", str(lock)], "a.lock is one of the inputs, which would be replaced"),
        (["--out", str(lock)], "a.lock is one of the inputs, which would be replaced"),
        (["--json", page, "--out", page], "page would replace"),
    ):
        assert execute(["diff", str(lock), str(lock), *arguments]) == 2
        error = capsys.readouterr().err
        assert message in error and error.count("\n") == 1
    assert lock.read_bytes() == content and not (tmp_path / "page").exists()


def test_links_to_files_stay_and_their_targets_are_written(tmp_path: Path) -> None:
    lock = tmp_path / "a.lock"
    write_lock(lock_of_teachers([0, 1, 2], teacher_of([0, 1, 2])), lock)
    links = {flag: tmp_path / f"link{flag}" for flag in ("--json", "--out")}
    for flag, link in links.items():
        link.symlink_to(f"target{flag}")
    assert execute(["diff", str(lock), str(lock), *(part for flag in links for part in (flag, str(links[flag])))]) == 0
    assert all(link.is_symlink() and (tmp_path / f"target{flag}").is_file() for flag, link in links.items())
