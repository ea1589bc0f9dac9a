"""`open_evaluation`: images that measure a finished model are not split."""

import shutil
from pathlib import Path

import pytest

from tests.data.photos import fill
from tfkd.data import Dataset, open_evaluation, open_source
from tfkd.errors import RequestError
from tfkd.recipe import Data


def opened(root: Path, **fields: object) -> Dataset:
    return open_evaluation(Data(source=f"folder:{root}", **fields), 1)


@pytest.mark.parametrize(
    ("counts", "train", "test", "note"),
    [
        ({"a": 5, "b": 6}, 0, 11, "there is no test split: all examples are measured"),
        ({"a": 5}, 0, 5, "all examples are measured"),
        ({"test/a": 5, "test/b": 6}, 0, 11, "those for calibration are drawn from the measured ones"),
        ({"train/a": 3, "train/b": 3, "test/b": 6}, 6, 6, ""),
        ({"train/a": 3, "train/b": 3, "val/a": 2, "test/b": 6}, 6, 6, ""),
        ({"train/a": 3, "train/b": 3, "val/b": 2}, 6, 2, "there is no test split: the validation split is measured"),
        ({"train/a": 3, "train/b": 3}, 0, 6, "all examples are measured"),
    ],
)
def test_the_measured_split(tmp_path: Path, counts: dict[str, int], train: int, test: int, note: str) -> None:
    start, root = 0, tmp_path
    for name, count in counts.items():
        fill(root, {name: count}, start)
        start += count
    data = opened(root)
    assert (len(data.train), len(data.test)) == (train, test)
    assert len(data.validation) == (2 if {"val/a", "test/b"} <= counts.keys() else 0)
    assert data.for_evaluation and any(note in line for line in data.notes) == bool(note)


def test_training_images_that_are_measured_do_not_calibrate(tmp_path: Path) -> None:
    fill(tmp_path, {"train/a": 3, "train/b": 3})
    fill(tmp_path, {"test/a": 3}, start=50)
    shutil.copy(tmp_path / "test" / "a" / "000.jpg", tmp_path / "train" / "a" / "x.jpg")
    data = opened(tmp_path)
    assert len(data.train) == 6 and "1 training example left out" in data.notes[0]
    shutil.rmtree(tmp_path / "train")
    shutil.copytree(tmp_path / "test", tmp_path / "train")
    assert len(opened(tmp_path).train) == 0


def test_another_use_is_another_fingerprint(tmp_path: Path) -> None:
    fill(tmp_path, {"a": 9, "b": 9})
    assert opened(tmp_path).fingerprint != open_source(Data(source=f"folder:{tmp_path}"), 1).fingerprint


def test_a_training_needs_a_training_split(tmp_path: Path) -> None:
    fill(tmp_path, {"test/a": 5, "val/b": 6})
    with pytest.raises(RequestError, match=r"has no training split \(found: test, validation\)"):
        open_source(Data(source=f"folder:{tmp_path}"), 1)


def test_a_split_without_a_readable_photo_is_refused(tmp_path: Path) -> None:
    fill(tmp_path, {"train/a": 9, "test/a": 0})
    with pytest.raises(RequestError, match="the test split holds no readable example"):
        opened(tmp_path)
