import gc
import threading
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.data.photos import READING, encoded, picture
from tfkd.data.cache import ExampleCache, ViewCache
from tfkd.data.dataset import Split
from tfkd.data.folder import unlabelled
from tfkd.errors import RequestError

PHOTO = 4 * 24 * 16  # bytes


@dataclass(frozen=True, eq=False)
class Counted(Split):
    """A split that records which photos it decodes."""

    loaded: list[int] = field(default_factory=list)

    def load(self, i: int) -> Image.Image:
        self.loaded.append(i)
        return super().load(i)


def photos(folder: Path, count: int) -> Counted:
    for k in range(count):
        (folder / f"{k:03}.jpg").write_bytes(encoded(picture(k), "JPEG", exif=b"Exif\0\0" + b"\0" * 9000))
    split = unlabelled(str(folder), READING)
    return Counted(split.examples, split.numbers, split.labels, split.reading)


def test_a_small_split_is_decoded_once(tmp_path: Path) -> None:
    split, kept = photos(tmp_path, 5), ExampleCache(5 * PHOTO)
    for i in (3, 0, 1, 2, 4) * 3:
        assert np.array_equal(kept.load(split, i), split.load(i))
        split.loaded.pop()
    assert split.loaded == [3, 0, 1, 2, 4]
    assert kept.bytes == 5 * PHOTO


def test_only_pixels_are_cached(tmp_path: Path) -> None:
    split, kept = photos(tmp_path, 1), ExampleCache(PHOTO)
    assert "exif" in kept.load(split, 0).info
    assert kept.load(split, 0).info == {}
    assert type(kept.load(split, 0)) is Image.Image  # that of a file would hold what else stood in it


def test_a_split_that_is_too_large_is_not_cached(tmp_path: Path) -> None:
    split, kept = photos(tmp_path, 5), ExampleCache(5 * PHOTO - 1)
    for i in (*range(5), 0, 1):
        kept.load(split, i)
        assert kept.bytes <= kept.limit
    assert kept.bytes == 0
    assert split.loaded == [*range(5), 0, 1]


def test_a_split_that_would_become_too_large_is_given_up_early(tmp_path: Path) -> None:
    split, kept = photos(tmp_path, 100), ExampleCache(99 * PHOTO)
    sizes = []
    for i in range(70):
        kept.load(split, i)
        sizes.append(kept.bytes)
    assert max(sizes) == 63 * PHOTO
    assert sizes[63:] == [0] * 7


def test_splits_share_the_limit_and_release_their_memory(tmp_path: Path) -> None:
    first, kept = photos(tmp_path, 3), ExampleCache(4 * PHOTO)
    second, third = first.take(np.arange(2)), first.take(np.arange(2))
    for i in range(3):
        kept.load(first, i)
    for i in range(2):
        kept.load(second, i)
    assert kept.bytes == 3 * PHOTO  # the second did not fit beside the first
    del first
    gc.collect()
    assert kept.bytes == 0
    for i in range(2):
        kept.load(third, i)
    assert kept.bytes == 2 * PHOTO


def test_threads_may_load_at_once(tmp_path: Path) -> None:
    split, kept = photos(tmp_path, 20), ExampleCache(20 * PHOTO)
    right: list[bool] = []

    def work(seed: int) -> None:
        order = np.random.default_rng(seed).permutation(20).tolist()
        right.extend(np.array_equal(kept.load(split, i), Split.load(split, i)) for i in order)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert right == [True] * 80
    assert kept.bytes == 20 * PHOTO


def test_a_missing_photo_is_an_error(tmp_path: Path) -> None:
    split, kept = photos(tmp_path, 2), ExampleCache(2 * PHOTO)
    (tmp_path / "001.jpg").unlink()
    with pytest.raises(RequestError, match=r"^001\.jpg can no longer be read"):
        kept.load(split, 1)
    assert kept.load(split, 0).size == (24, 16)


def test_views_are_cached_until_the_limit_is_reached() -> None:
    calls: list[tuple[int, int]] = []
    views = ViewCache(2 * 12)

    def load(index: int, seed: int) -> int:
        def make() -> np.ndarray:
            calls.append((index, seed))
            return np.full((2, 2, 3), 10 * seed + index, np.uint8)

        return int(views.load(index, np.array([seed, index]), make)[0, 0, 0])

    assert [load(1, 0), load(1, 1), load(1, 0), load(1, 1), load(2, 0), load(2, 0)] == [1, 11, 1, 11, 2, 2]
    assert calls == [(1, 0), (1, 1), (2, 0), (2, 0)]
