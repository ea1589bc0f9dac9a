"""The soft-label store: exactly what was written is read."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tfkd.distill.measures import softmax
from tfkd.errors import RequestError
from tfkd.store import layout
from tfkd.store.layout import Layout
from tfkd.store.soft_labels import SoftLabels, write_soft_labels

PROJECT = Path(__file__).parents[2]
LAYOUT = Layout(4, features={"stage:16": (2, 3, 5), "block/pooled": (6,)})
IMAGES = 11


def header_of(layout: Layout = LAYOUT, images: int = IMAGES, views: int = 3) -> dict[str, Any]:
    return {"fingerprint": "abc", "images": images, "views": views, "layout": layout.described()}


HEADER = header_of()


@pytest.fixture(autouse=True)
def _small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "MOST_ROWS", 4)


def predict(images: Any, view: int) -> dict[str, np.ndarray]:
    """Numbers that identify image and view, with a fraction for the position; float16 holds all of them."""
    first = 12.0 * view + np.asarray(images)
    shapes = {"logits": (4,), **LAYOUT.features}
    places = {name: np.arange(np.prod(shape)).reshape(shape) / 32 for name, shape in shapes.items()}
    return {
        name: (first.reshape(-1, *[1] * place.ndim) + place).astype(np.float16).astype(np.float32)
        for name, place in places.items()
    }


def teacher(images: Any, view: int) -> Iterator[dict[str, np.ndarray]]:
    """Predicts in batches of three, which do not end at the ends of shards."""
    for start in range(0, len(images), 3):
        yield predict(images[start : start + 3], view)


class Counting:
    """A teacher that records its calls and may be interrupted."""

    def __init__(self, patience: int = 1_000) -> None:
        self.calls: list[tuple[int, int]] = []
        self.patience = patience

    def __call__(self, images: Any, view: int) -> Iterator[dict[str, np.ndarray]]:
        for start in range(0, len(images), 3):
            if len(self.calls) >= self.patience:
                raise KeyboardInterrupt
            batch = images[start : start + 3]
            self.calls += [(view, int(image)) for image in batch]
            yield predict(batch, view)


def write(folder: Path, header: dict[str, Any] = HEADER, teacher: Any = teacher) -> int:
    done: list[int] = []
    write_soft_labels(folder, header, teacher, done.append)
    return sum(done)


def times(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in folder.glob("view-*.npy")}


def assert_read(store: SoftLabels, images: Any, view: int) -> None:
    read, expected = store.read(images, view), predict(images, view)
    assert read.keys() == expected.keys()
    for name, value in expected.items():
        assert read[name].dtype == np.float32
        np.testing.assert_array_equal(read[name], value)


def test_every_view_of_every_image_comes_back(tmp_path: Path) -> None:
    assert write(tmp_path) == 3 * IMAGES
    store = SoftLabels(tmp_path, HEADER)
    assert (store.images, store.views, store.layout) == (IMAGES, 3, LAYOUT)
    for view in range(3):
        assert_read(store, np.arange(IMAGES), view)
        assert_read(store, np.array([10, 0, 3, 3, 7]), view)
    assert store.read(np.array([], np.int64), 0)["stage:16"].shape == (0, 2, 3, 5)


def test_only_the_requested_features_are_read(tmp_path: Path) -> None:
    write(tmp_path)
    store = SoftLabels(tmp_path, HEADER, ["block/pooled"])
    assert store.shapes == {"logits": (4,), "block/pooled": (6,)}
    read = store.read([3, 1], 2)
    assert read.keys() == {"logits", "block/pooled"}
    np.testing.assert_array_equal(read["block/pooled"], predict([3, 1], 2)["block/pooled"])
    assert SoftLabels(tmp_path, HEADER, []).read([3], 2).keys() == {"logits"}
    with pytest.raises(RequestError, match=r"has no feature 'block/poled'. Did you mean 'block/pooled'\?"):
        SoftLabels(tmp_path, HEADER, ["block/poled"])


def test_views_wrap_around(tmp_path: Path) -> None:
    write(tmp_path)
    store = SoftLabels(tmp_path, HEADER)
    np.testing.assert_array_equal(store.read([2], 7)["logits"], store.read([2], 1)["logits"])


def test_shards_hold_one_view_each_and_no_pickle(tmp_path: Path) -> None:
    write(tmp_path)
    shards = sorted(times(tmp_path))
    assert shards == [f"view-{view:03d}-{number:05d}.npy" for view in range(3) for number in range(3)]
    rows = np.load(tmp_path / "view-002-00001.npy", allow_pickle=False)
    assert rows.dtype == LAYOUT.dtype
    np.testing.assert_array_equal(rows["logits"], predict(np.arange(4, 8), 2)["logits"])


def test_an_interrupted_writer_keeps_finished_shards(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path, teacher=Counting(patience=18))
    finished = times(tmp_path)
    assert len(finished) == 5
    with pytest.raises(RequestError, match="unfinished"):
        SoftLabels(tmp_path, HEADER)
    rest = Counting()
    assert write(tmp_path, teacher=rest) == 3 * IMAGES
    assert rest.calls == [(1, image) for image in range(8, 11)] + [(2, image) for image in range(11)]
    assert {name: times(tmp_path)[name] for name in finished} == finished
    assert_read(SoftLabels(tmp_path, HEADER), np.arange(IMAGES), 1)


def test_more_views_extend_a_store(tmp_path: Path) -> None:
    write(tmp_path)
    finished = times(tmp_path)
    longer, more = header_of(views=5), Counting()
    assert write(tmp_path, longer, more) == 5 * IMAGES
    assert {view for view, _ in more.calls} == {3, 4}
    assert {name: times(tmp_path)[name] for name in finished} == finished
    for header, views in ((HEADER, 3), (longer, 5)):
        store = SoftLabels(tmp_path, header)
        assert store.views == views
        assert_read(store, np.array([1]), views - 1)
    assert write(tmp_path, HEADER, more) == 3 * IMAGES
    assert json.loads((tmp_path / "header.json").read_text())["views"] == 5


def test_an_unlisted_shard_is_recreated(tmp_path: Path) -> None:
    """The writer was killed between a shard and the list."""
    write(tmp_path)
    listed = json.loads((tmp_path / "shards.json").read_text())
    del listed["view-001-00002.npy"]
    (tmp_path / "shards.json").write_text(json.dumps(listed))
    (tmp_path / "view-001-00002.npy").write_bytes(b"something else")
    again = Counting()
    write(tmp_path, teacher=again)
    assert again.calls == [(1, image) for image in range(8, 11)]
    SoftLabels(tmp_path, HEADER).verify()


def test_each_gap_is_filled_in_one_pass(tmp_path: Path) -> None:
    write(tmp_path)
    for name in ("view-000-00000.npy", "view-000-00001.npy", "view-002-00000.npy", "view-002-00002.npy"):
        (tmp_path / name).unlink()
    again = Counting()
    write(tmp_path, teacher=again)
    assert again.calls == [(0, i) for i in range(8)] + [(2, i) for i in (0, 1, 2, 3, 8, 9, 10)]
    SoftLabels(tmp_path, HEADER).verify()


VIEWS = 15
WRITER = """
import sys, time
from pathlib import Path
from tests.store import test_soft_labels as here
from tfkd.store import layout

layout.MOST_ROWS = 4

def slow(images, view):
    for batch in here.teacher(images, view):
        time.sleep(0.002)
        yield batch

here.write(Path(sys.argv[1]), here.header_of(views=here.VIEWS), slow)
"""


def test_a_killed_writer_leaves_a_store_that_can_be_finished(tmp_path: Path) -> None:
    header = header_of(views=VIEWS)
    for moment in range(4):
        command = [sys.executable, "-c", WRITER, str(tmp_path)]
        process = subprocess.Popen(command, cwd=PROJECT, env={**os.environ, "PYTHONPATH": str(PROJECT)})
        before, deadline = len(times(tmp_path)), time.monotonic() + 60
        while len(times(tmp_path)) < before + 2 + moment:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
        process.wait()
    kept = json.loads((tmp_path / "shards.json").read_text())
    rest = Counting()
    assert write(tmp_path, header, rest) == VIEWS * IMAGES
    assert len(rest.calls) < VIEWS * IMAGES
    assert kept.items() <= json.loads((tmp_path / "shards.json").read_text()).items()
    store = SoftLabels(tmp_path, header)
    store.verify()
    for view in range(VIEWS):
        assert_read(store, np.arange(IMAGES), view)


@pytest.mark.parametrize("damage", ["flip", "truncate", "remove"])
def test_damage_is_named_and_repaired(tmp_path: Path, damage: str) -> None:
    write(tmp_path)
    shard = tmp_path / "view-001-00002.npy"
    content = bytearray(shard.read_bytes())
    if damage == "flip":
        content[-3] ^= 1
        shard.write_bytes(content)
    elif damage == "truncate":
        shard.write_bytes(content[:-8])
    else:
        shard.unlink()
    with pytest.raises(RequestError, match=r"view-001-00002.*run the recipe again") as caught:
        SoftLabels(tmp_path, HEADER).read([9], 1)
    assert str(tmp_path) in str(caught.value)
    write(tmp_path)
    SoftLabels(tmp_path, HEADER).verify()


def test_a_checksum_is_compared_at_the_first_read(tmp_path: Path) -> None:
    write(tmp_path)
    shard = tmp_path / "view-001-00002.npy"
    content = bytearray(shard.read_bytes())
    content[-3] ^= 1
    shard.write_bytes(content)
    store = SoftLabels(tmp_path, HEADER)
    assert_read(store, np.arange(8), 1)
    with pytest.raises(RequestError, match="checksum"):
        store.read([8], 1)
    with pytest.raises(RequestError, match="checksum"):
        store.verify()


def test_a_shard_cut_short_while_it_is_read(tmp_path: Path) -> None:
    write(tmp_path)
    store = SoftLabels(tmp_path, HEADER)
    store.read([0], 0)
    os.truncate(tmp_path / "view-000-00000.npy", 200)
    with pytest.raises(RequestError, match="cut short"):
        store.read([3], 0)


@pytest.mark.parametrize("name", ["header.json", "shards.json"])
def test_an_unreadable_description(tmp_path: Path, name: str) -> None:
    write(tmp_path)
    (tmp_path / name).write_text('{"views": ')
    with pytest.raises(RequestError, match=name):
        SoftLabels(tmp_path, HEADER)
    again = Counting()
    write(tmp_path, teacher=again)
    assert len(again.calls) == (0 if name == "header.json" else HEADER["views"] * IMAGES)
    SoftLabels(tmp_path, HEADER).verify()


@pytest.mark.parametrize("field", ["fingerprint", "images", "views"])
def test_a_changed_header_is_noticed_and_repaired(tmp_path: Path, field: str) -> None:
    write(tmp_path)
    header = json.loads((tmp_path / "header.json").read_text())
    header[field] = header[field] + header[field]
    (tmp_path / "header.json").write_text(json.dumps(header))
    with pytest.raises(RequestError, match=r"header\.json"):
        SoftLabels(tmp_path, HEADER)
    again = Counting()
    write(tmp_path, teacher=again)
    assert again.calls == []
    SoftLabels(tmp_path, HEADER).verify()


def test_shards_of_another_store_are_not_taken_over_with_a_damaged_header(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "header.json").write_text("{")
    again = Counting()
    write(tmp_path, {**HEADER, "fingerprint": "xyz"}, again)
    assert len(again.calls) == HEADER["views"] * IMAGES


def test_a_store_of_another_teacher_is_refused(tmp_path: Path) -> None:
    write(tmp_path)
    other = {**HEADER, "fingerprint": "xyz"}
    with pytest.raises(RequestError, match=r"fingerprint = 'abc'.*'xyz'"):
        SoftLabels(tmp_path, other)
    with pytest.raises(RequestError, match=r"fingerprint = 'abc'.*'xyz'"):
        write(tmp_path, other)
    SoftLabels(tmp_path, HEADER).verify()


@pytest.mark.parametrize("image", [-1, IMAGES])
def test_an_image_that_is_not_in_the_transfer_set_is_refused(tmp_path: Path, image: int) -> None:
    write(tmp_path)
    with pytest.raises(RequestError, match="examples 0 to 10"):
        SoftLabels(tmp_path, HEADER).read([3, image], 0)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("name", ["logits", "stage:16"])
def test_a_prediction_of_nan_stops_the_filling(tmp_path: Path, bad: float, name: str) -> None:
    def broken(images: Any, view: int) -> Iterator[dict[str, np.ndarray]]:
        values = predict(images, view)
        values[name][-1, ..., -1] = bad
        yield values

    with pytest.raises(RequestError, match=f"NaN or infinity in {name}") as caught:
        write(tmp_path, teacher=broken)
    assert str(tmp_path) in str(caught.value)
    assert not times(tmp_path)


def test_predictions_of_the_wrong_shape_are_refused(tmp_path: Path) -> None:
    def broken(images: Any, view: int) -> Iterator[dict[str, np.ndarray]]:
        yield {**predict(images, view), "block/pooled": np.zeros((len(images), 1))}

    with pytest.raises(RequestError, match=r"block/pooled of shape \[1\] where \[6\]"):
        write(tmp_path, teacher=broken)


@pytest.mark.parametrize(("rows", "message"), [(-1, "teacher predicted 10"), (1, "teacher predicted more")])
def test_too_few_or_too_many_predictions_are_refused(tmp_path: Path, rows: int, message: str) -> None:
    with pytest.raises(RequestError, match=message):
        write(tmp_path, teacher=lambda images, view: iter([predict(np.arange(len(images) + rows), view)]))


def test_beyond_float16_logits_are_clipped_and_features_refused(tmp_path: Path) -> None:
    logits_only = header_of(Layout(4))
    write(tmp_path / "logits", logits_only, lambda images, view: [{"logits": np.full((len(images), 4), 1e6)}])
    assert SoftLabels(tmp_path / "logits", logits_only).read([0], 0)["logits"].max() == np.finfo(np.float16).max
    with pytest.raises(RequestError, match=r"block/pooled.*float16"):
        write(
            tmp_path / "features",
            teacher=lambda images, view: [{**predict(images, view), "block/pooled": np.full((len(images), 6), -1e6)}],
        )


def test_a_folder_that_is_not_a_store_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"header\.json"):
        SoftLabels(tmp_path, HEADER)


@pytest.mark.parametrize("scale", [1.0, 6.0, 30.0])
def test_top_k_gives_the_teachers_probabilities_back(tmp_path: Path, scale: float) -> None:
    layout = Layout(300, top=40)
    logits = (scale * np.random.default_rng(0).standard_normal((IMAGES, 300))).astype(np.float16).astype(np.float64)
    header = header_of(layout, views=1)
    write(tmp_path, header, lambda images, view: [{"logits": logits[images]}])
    read = SoftLabels(tmp_path, header).read(np.arange(IMAGES), 0)["logits"]
    expected = np.exp(logits - logits.max(axis=1, keepdims=True))
    expected /= expected.sum(axis=1, keepdims=True)
    for row, (kept, true) in enumerate(zip(softmax(read), expected, strict=True)):
        order = np.argsort(-true)
        top, others = order[:40], order[40:]
        np.testing.assert_allclose(kept[top], true[top], rtol=1e-5)
        np.testing.assert_allclose(kept[others], true[others].mean(), rtol=1e-4, atol=1e-30)
        np.testing.assert_array_equal(read[row, top], logits[row, top])


def test_threads_read_different_views_at_once(tmp_path: Path) -> None:
    write(tmp_path)
    store = SoftLabels(tmp_path, HEADER)
    failed: list[Exception] = []

    def read(view: int) -> None:
        rng = np.random.default_rng(view)
        try:
            for _ in range(100):
                assert_read(store, rng.integers(0, IMAGES, 5), view)
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=read, args=(view,)) for view in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed


def test_files_are_closed_when_another_view_is_read(tmp_path: Path) -> None:
    write(tmp_path, header_of(views=30))
    store = SoftLabels(tmp_path, header_of(views=30))
    before = len(list(Path("/proc/self/fd").iterdir()))
    for view in range(30):
        store.read(np.arange(IMAGES), view)
    assert len(list(Path("/proc/self/fd").iterdir())) <= before + 3
