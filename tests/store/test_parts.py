"""Parts of a store, filled by several processes in any order and killed anywhere: the bytes of one process."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.store.test_soft_labels import HEADER, LAYOUT, header_of, predict, teacher
from tfkd import files
from tfkd.errors import RequestError
from tfkd.store import layout, soft_labels
from tfkd.store.soft_labels import (
    SHARDS,
    SoftLabels,
    StorePart,
    join,
    most_parts,
    rows,
    shards_by_view,
    write_soft_labels,
)

PROJECT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "MOST_ROWS", 4)
    monkeypatch.setattr(soft_labels, "_ALIGNED", 4)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def fill(folder: Path, part: StorePart | None = None, header: dict[str, Any] = HEADER) -> None:
    write_soft_labels(folder, header, teacher, lambda views: None, part)


@pytest.fixture
def alone(tmp_path: Path) -> dict[str, bytes]:
    """The files of a store that one process filled."""
    fill(tmp_path / "alone")
    return contents(tmp_path / "alone")


@pytest.mark.parametrize("order", [[1, 2, 3], [3, 1, 2], [2, 2, 3, 1, 1]])
def test_parts_in_any_order_give_the_bytes_of_one_process(
    tmp_path: Path, alone: dict[str, bytes], order: list[int]
) -> None:
    for number in order:
        fill(tmp_path / "store", StorePart(number, 3))
    join(tmp_path / "store", HEADER)
    assert contents(tmp_path / "store") == alone


@given(images=st.integers(1, 60), views=st.integers(1, 5), of=st.integers(1, 40))
def test_parts_divide_a_store(images: int, views: int, of: int) -> None:
    header = header_of(images=images, views=views)
    found = [
        (view, shard)
        for number in range(1, of + 1)
        for view, shards in shards_by_view(header, StorePart(number, of)).items()
        for shard in shards
    ]
    assert found == [(view, shard) for view, shards in shards_by_view(header).items() for shard in shards]
    counts = [rows(header, StorePart(number, of)) for number in range(1, of + 1)]
    assert sum(counts) == images * views == rows(header)
    if of <= most_parts(header):
        assert min(counts) > 0


def test_parts_begin_where_a_batch_of_a_teacher_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(soft_labels, "_ALIGNED", 16)
    header = header_of(images=50)
    for number in range(1, 8):
        for shards in shards_by_view(header, StorePart(number, 7)).values():
            assert shards[0].first % 16 == 0


def test_a_missing_part_is_named_and_nothing_is_lost(tmp_path: Path, alone: dict[str, bytes]) -> None:
    fill(tmp_path / "store", StorePart(1, 3))
    fill(tmp_path / "store", StorePart(3, 3))
    with pytest.raises(RequestError, match=r"is not complete: view-001-00000.npy, .* Run the commands of all parts"):
        join(tmp_path / "store", HEADER)
    fill(tmp_path / "store", StorePart(2, 3))
    join(tmp_path / "store", HEADER)
    assert contents(tmp_path / "store") == alone


@pytest.mark.parametrize("damage", ["cut", "changed", "removed"])
def test_a_damaged_shard_is_found_and_filled_again(tmp_path: Path, alone: dict[str, bytes], damage: str) -> None:
    for number in (1, 2):
        fill(tmp_path / "store", StorePart(number, 2))
    shard = tmp_path / "store/view-002-00001.npy"
    content = shard.read_bytes()
    if damage == "removed":
        shard.unlink()
    else:
        shard.write_bytes(content[:-3] if damage == "cut" else content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(RequestError, match=r"is not complete: view-002-00001\.npy missing or damaged"):
        join(tmp_path / "store", HEADER)
    fill(tmp_path / "store", StorePart(2, 2))
    join(tmp_path / "store", HEADER)
    assert contents(tmp_path / "store") == alone


def test_another_division_keeps_what_is_finished(tmp_path: Path, alone: dict[str, bytes]) -> None:
    seen: list[int] = []

    def counting(images: Any, view: int) -> Iterator[dict[str, np.ndarray]]:
        seen.append(len(images))
        yield from teacher(images, view)

    fill(tmp_path / "store", StorePart(1, 2))
    for number in range(1, 4):
        write_soft_labels(tmp_path / "store", HEADER, counting, lambda views: None, StorePart(number, 3))
    assert sum(seen) == rows(HEADER) - rows(HEADER, StorePart(1, 2))
    join(tmp_path / "store", HEADER)
    assert contents(tmp_path / "store") == alone


def test_one_process_finishes_what_parts_began(tmp_path: Path, alone: dict[str, bytes]) -> None:
    fill(tmp_path / "store", StorePart(2, 3))
    before = (tmp_path / "store/view-001-00000.npy").stat().st_mtime_ns
    fill(tmp_path / "store")
    assert contents(tmp_path / "store") == alone
    assert (tmp_path / "store/view-001-00000.npy").stat().st_mtime_ns == before


def test_parts_of_another_store_are_not_taken(tmp_path: Path) -> None:
    other = {**HEADER, "fingerprint": "other"}
    fill(tmp_path / "other", StorePart(1, 1), other)
    fill(tmp_path / "store", StorePart(1, 2))
    for path in (tmp_path / "other").iterdir():
        if path.name not in ("header.json", StorePart(1, 2).listed_in):
            path.rename(tmp_path / "store" / path.name)
    with pytest.raises(RequestError, match="is not complete"):
        join(tmp_path / "store", HEADER)


def test_more_views_are_filled_in_parts(tmp_path: Path) -> None:
    more = header_of(views=5)
    fill(tmp_path / "alone")
    fill(tmp_path / "alone", header=more)
    fill(tmp_path / "store")
    for number in (2, 1):
        fill(tmp_path / "store", StorePart(number, 2), more)
    join(tmp_path / "store", more)
    assert contents(tmp_path / "store") == contents(tmp_path / "alone")
    SoftLabels(tmp_path / "store", more).verify()


def test_a_disk_that_fills_at_the_end_of_a_shard_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = np.save

    def cut(stream: Any, records: Any, allow_pickle: bool) -> None:
        whole(stream, records, allow_pickle=allow_pickle)
        stream.flush()
        stream.truncate(stream.tell() - 1)

    monkeypatch.setattr(soft_labels.np, "save", cut)
    with pytest.raises(RequestError, match="No space left on device"):
        fill(tmp_path / "store", StorePart(1, 2))
    assert not list((tmp_path / "store").glob("view-*"))


SLOW = """
import sys, time
from pathlib import Path
from tests.store.test_soft_labels import HEADER, teacher
from tfkd.store import layout, soft_labels
from tfkd.store.soft_labels import StorePart, write_soft_labels

layout.MOST_ROWS = soft_labels._ALIGNED = 4

def slow(images, view):
    for batch in teacher(images, view):
        time.sleep(0.3)
        yield batch

write_soft_labels(Path(sys.argv[1]), HEADER, slow, lambda views: None, StorePart(int(sys.argv[2]), 2))
"""


def start(folder: Path, number: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", SLOW, str(folder), str(number)], cwd=PROJECT)


def test_killed_parts_are_filled_again_beside_each_other(tmp_path: Path, alone: dict[str, bytes]) -> None:
    folder = tmp_path / "store"
    running = [start(folder, number) for number in (1, 2)]
    for shard in ("view-000-00001.npy", "view-002-00000.npy"):
        while not (folder / shard).exists():
            time.sleep(0.005)
    for process in running:
        os.kill(process.pid, signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    with pytest.raises(RequestError, match="is not complete"):
        join(folder, HEADER)
    for process in [start(folder, number) for number in (2, 1)]:
        assert process.wait() == 0
    join(folder, HEADER)
    files.remove_partial(folder)
    assert contents(folder) == alone
    assert list(json.loads((folder / SHARDS).read_text()))[1] == "view-000-00000.npy"


def test_the_same_values_are_read_from_joined_parts(tmp_path: Path) -> None:
    for number in (2, 1):
        fill(tmp_path, StorePart(number, 2))
    join(tmp_path, HEADER)
    read = SoftLabels(tmp_path, HEADER).read([7, 0], view=2)
    expected = predict([7, 0], 2)
    assert all(np.array_equal(read[name], expected[name]) for name in ("logits", *LAYOUT.features))
