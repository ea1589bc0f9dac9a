"""The soft-label store: what is written is read, and nothing else is."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tfkd.distill import soft_labels
from tfkd.distill.soft_labels import SoftLabels, write_soft_labels
from tfkd.errors import RequestError

HEADER = {"fingerprint": "abc", "images": 7, "views": 3, "classes": 4}


@pytest.fixture(autouse=True)
def _small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(soft_labels, "ROWS_PER_SHARD", 5)


def teacher(images: Any, view: int) -> Iterator[np.ndarray]:
    """Answers in batches of three with numbers that name image, view and class."""
    for start in range(0, len(images), 3):
        batch = np.asarray(images[start : start + 3])
        yield (100 * view + batch[:, None] + np.arange(4) / 8).astype(np.float32)


def write(folder: Path, header: dict[str, Any] = HEADER, answer: Any = teacher) -> int:
    done: list[int] = []
    write_soft_labels(folder, header, answer, done.append)
    return sum(done)


def test_every_view_of_every_image_comes_back(tmp_path: Path) -> None:
    assert write(tmp_path) == 21
    store = SoftLabels(tmp_path, HEADER)
    images = np.array([6, 0, 3, 3])
    for view in range(3):
        expected = 100 * view + images[:, None] + np.arange(4) / 8
        np.testing.assert_array_equal(store.logits(images, view), expected.astype(np.float32))


def test_views_wrap_around(tmp_path: Path) -> None:
    write(tmp_path)
    store = SoftLabels(tmp_path, HEADER)
    np.testing.assert_array_equal(store.logits([2], 7), store.logits([2], 1))


def test_an_interrupted_writer_keeps_finished_shards(tmp_path: Path) -> None:
    asked: list[int] = []

    def failing(images: Any, view: int) -> Iterator[np.ndarray]:
        for batch in teacher(images, view):
            if len(asked) >= 12:
                raise KeyboardInterrupt
            asked.extend(range(len(batch)))
            yield batch

    with pytest.raises(KeyboardInterrupt):
        write(tmp_path, answer=failing)
    finished = {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("shard-*.npy")}
    assert len(finished) == 2
    with pytest.raises(RequestError, match="unfinished"):
        SoftLabels(tmp_path, HEADER)
    asked.clear()

    def counting(images: Any, view: int) -> Iterator[np.ndarray]:
        asked.extend(images)
        yield from teacher(images, view)

    assert write(tmp_path, answer=counting) == 21
    assert len(asked) == 21 - 2 * 5
    assert {name: (tmp_path / name).stat().st_mtime_ns for name in finished} == finished
    np.testing.assert_array_equal(SoftLabels(tmp_path, HEADER).logits([6], 2)[0, 0], 206)


@pytest.mark.parametrize("damage", ["flip", "truncate", "remove"])
def test_damage_is_named(tmp_path: Path, damage: str) -> None:
    write(tmp_path)
    shard = tmp_path / "shard-00002.npy"
    content = bytearray(shard.read_bytes())
    if damage == "flip":
        content[-3] ^= 1
        shard.write_bytes(content)
    elif damage == "truncate":
        shard.write_bytes(content[:-8])
    else:
        shard.unlink()
    with pytest.raises(RequestError, match="shard-00002"):
        SoftLabels(tmp_path, HEADER)
    write(tmp_path)
    SoftLabels(tmp_path, HEADER)


def test_a_store_of_another_teacher_is_refused(tmp_path: Path) -> None:
    write(tmp_path)
    with pytest.raises(RequestError, match=r"fingerprint = 'abc'.*'xyz'"):
        SoftLabels(tmp_path, {**HEADER, "fingerprint": "xyz"})


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_an_answer_that_is_no_number_stops(tmp_path: Path, bad: float) -> None:
    def broken(images: Any, view: int) -> Iterator[np.ndarray]:
        yield np.full((len(images), 4), bad, np.float32)

    with pytest.raises(RequestError, match="NaN or infinity"):
        write(tmp_path, answer=broken)
    assert not list(tmp_path.glob("shard-*"))


def test_logits_beyond_float16_are_clipped(tmp_path: Path) -> None:
    write(tmp_path, answer=lambda images, view: iter([np.full((len(images), 4), 1e6, np.float32)]))
    assert SoftLabels(tmp_path, HEADER).logits([0], 0).max() == np.finfo(np.float16).max


def test_a_folder_that_is_no_store(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"header\.json"):
        SoftLabels(tmp_path, HEADER)
