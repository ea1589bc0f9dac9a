from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tests.data.photos import fill
from tfkd.data import folder
from tfkd.data.batches import center, photo_errors, plain_batches, view_batches
from tfkd.data.dataset import Split
from tfkd.data.views import make_view, view_seeds
from tfkd.errors import RequestError
from tfkd.recipe import Augment


@pytest.fixture
def split(tmp_path: Path) -> Split:
    return folder.listing(str(fill(tmp_path, {"a": 4, "b": 7}))).splits["train"]


def gathered(batches: tf.data.Dataset) -> dict[str, np.ndarray]:
    parts = list(batches.as_numpy_iterator())
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def test_center_is_the_middle_square() -> None:
    image = np.zeros((10, 30, 3), np.uint8)
    image[:, 10:20] = 200
    result = center(image, 5)
    assert (result.shape, result.dtype) == ((5, 5, 3), tf.float32)
    np.testing.assert_allclose(result, 200, rtol=1e-6)
    assert center(image.transpose(1, 0, 2), 64).shape == (64, 64, 3)


def test_plain_batches_keep_the_order_and_the_last_batch(split: Split) -> None:
    batches = list(plain_batches(split, 16, 4).as_numpy_iterator())
    assert [images.shape for images, _ in batches] == [(4, 16, 16, 3), (4, 16, 16, 3), (3, 16, 16, 3)]
    np.testing.assert_array_equal(np.concatenate([labels for _, labels in batches]), split.labels)
    np.testing.assert_allclose(batches[1][0][2], center(split.load(6), 16), atol=1e-3)


def test_views_do_not_depend_on_order_batch_size_or_threads(split: Split) -> None:
    indices = np.array([3, 0, 10, 3, 7, 5])
    seeds = view_seeds(1, indices, 0)
    seeds[3] = view_seeds(1, indices[3:4], 1)[0]
    reference = gathered(view_batches(split, Augment(), 24, 4, indices, seeds))
    np.testing.assert_array_equal(reference["index"], indices)
    np.testing.assert_array_equal(reference["label"], split.labels[indices])
    order = np.array([5, 2, 0, 4, 1, 3])
    shuffled = gathered(view_batches(split, Augment(), 24, 5, indices[order], seeds[order], threads=1))
    np.testing.assert_array_equal(shuffled["image"], reference["image"][order])
    assert not (reference["image"][0] == reference["image"][3]).all()
    alone = make_view(split.load(10), seeds[2], Augment(), 24)
    np.testing.assert_allclose(reference["image"][2], alone, atol=0.01)


def test_a_photo_that_fails_in_a_stream_is_told_in_our_words(split: Split) -> None:
    Path(split.photos.root, split.name(5)).unlink()
    with pytest.raises(RequestError, match=rf"^{split.name(5)} can no longer be read \(No such file"), photo_errors():
        list(plain_batches(split, 16, 4))
