from pathlib import Path

import pytest

from tests.data.photos import READING, fill
from tfkd.data import folder
from tfkd.data.check import check
from tfkd.data.dataset import Split
from tfkd.errors import RequestError


def listed(root: Path) -> dict[str, Split]:
    return folder.listing(str(root), READING).splits


def damaged(tmp_path: Path) -> Path:
    root = fill(tmp_path / "set", {"a": 8, "b": 8})
    photo = root / "a" / "003.jpg"
    photo.write_bytes(photo.read_bytes()[:300])
    (root / "b" / "scan.heic").write_bytes(b"\0\0\0\x18ftypheic")
    return root


def test_damaged_files_are_named_counted_and_left_out(tmp_path: Path) -> None:
    splits = listed(damaged(tmp_path))
    calls: list[tuple[int, int]] = []
    outcome = check(splits, 0.2, lambda done, total: calls.append((done, total)))
    assert [line.split(":")[0] for line in outcome.rejected] == ["a/003.jpg", "b/scan.heic"]
    sound = outcome.splits["train"]
    assert len(sound) == 15
    assert not {"a/003.jpg", "b/scan.heic"} & {sound.name(i) for i in range(15)}
    assert calls[-1] == (17, 17)


def test_too_many_damaged_files_stop_the_run(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"2 of 17 examples cannot be read, over data.max_rejected = 0.1: a/003.jpg"):
        check(listed(damaged(tmp_path)), 0.1)


def test_the_result_is_reused_until_a_file_changes(tmp_path: Path) -> None:
    root = damaged(tmp_path)
    first = check(listed(root), 1.0, folder=tmp_path / "kept")
    calls: list[int] = []
    second = check(listed(root), 1.0, lambda done, total: calls.append(done), tmp_path / "kept")
    assert calls == []
    assert (first.rejected, first.content) == (second.rejected, second.content)
    assert first.splits["train"].numbers.tolist() == second.splits["train"].numbers.tolist()
    (root / "a" / "003.jpg").write_bytes((root / "a" / "004.jpg").read_bytes())
    third = check(listed(root), 1.0, lambda done, total: calls.append(done), tmp_path / "kept")
    assert calls
    assert len(third.rejected) == 1
    assert third.content != first.content
