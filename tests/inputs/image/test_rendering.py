from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tests.data.photos import READING, fill
from tfkd.data import folder
from tfkd.data.renderings import rendered_split
from tfkd.errors import RequestError
from tfkd.inputs.image import rendering


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).uniform(0, 255, (*shape, 3)).astype(np.float32)


def sobel(luma: np.ndarray) -> np.ndarray:
    """The gradient's magnitude, written pixel by pixel in float64."""
    padded = np.pad(luma.astype(np.float64), 1, mode="edge")
    kernel = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]])
    result = np.zeros(luma.shape)
    for y, x in np.ndindex(*luma.shape):
        part = padded[y : y + 3, x : x + 3]
        result[y, x] = np.hypot((part * kernel).sum(), (part * kernel.T).sum())
    return result


@pytest.mark.parametrize("name", ["rgb", "grey", "edges"])
@pytest.mark.parametrize("shape", [(9, 7), (2, 9, 7), (2, 3, 9, 7)])
def test_every_image_is_changed_on_its_own(name: str, shape: tuple[int, ...]) -> None:
    images = noise(*shape)
    change = rendering.transform(name)
    result = change(tf.constant(images))
    assert result.shape == images.shape
    assert result.dtype == tf.float32
    one = change(tf.constant(images.reshape(-1, 9, 7, 3)[-1]))
    np.testing.assert_allclose(result.numpy().reshape(-1, 9, 7, 3)[-1], one, rtol=1e-6, atol=1e-4)


def test_rgb_is_the_image_itself() -> None:
    image = tf.constant(noise(5, 5))
    assert rendering.transform("rgb")(image) is image
    assert rendering.transform("folder:anywhere")(image) is image


def test_grey_is_luma() -> None:
    image = noise(5, 6)
    expected = image.astype(np.float64) @ (0.299, 0.587, 0.114)
    np.testing.assert_allclose(rendering.grey(tf.constant(image)), np.stack([expected] * 3, -1), rtol=1e-5)


def test_edges_are_sobel_magnitudes() -> None:
    image = noise(8, 9)
    expected = np.minimum(sobel(image.astype(np.float64) @ (0.299, 0.587, 0.114)) / 4, 255)
    np.testing.assert_allclose(rendering.edges(tf.constant(image)), np.stack([expected] * 3, -1), rtol=1e-4, atol=1e-2)


def test_a_full_edge_is_white_and_a_flat_image_black() -> None:
    image = np.zeros((6, 6, 3), np.float32)
    assert rendering.edges(tf.constant(image + 200)).numpy().max() < 1e-3
    image[:, 3:] = 255
    result = rendering.edges(tf.constant(image)).numpy()
    np.testing.assert_allclose(result[:, 2:4], 255, rtol=1e-5)
    np.testing.assert_allclose(result[:, [0, 1, 4, 5]], 0, atol=1e-3)


@pytest.mark.parametrize("name", ["gray", "folder:", "folder", "rgb:x", ""])
def test_an_unknown_rendering_is_refused(name: str, tmp_path: Path) -> None:
    split = folder.listing(str(fill(tmp_path, {"a": 1})), READING).splits["train"]
    with pytest.raises(RequestError, match="There is no rendering"):
        rendering.transform(name)
    with pytest.raises(RequestError, match="There is no rendering"):
        rendered_split(name, split)
    with pytest.raises(RequestError, match="Did you mean 'grey'"):
        rendering.transform("gray")


def test_a_folder_gives_other_pictures_and_the_rest_the_same(tmp_path: Path) -> None:
    split = folder.listing(str(fill(tmp_path / "photos", {"a": 2, "b": 1})), READING).splits["train"]
    fill(tmp_path / "depth", {"a": 2, "b": 1}, start=50)
    other = rendered_split(f"folder:{tmp_path / 'depth'}", split)
    assert [other.name(i) for i in range(3)] == [split.name(i) for i in range(3)]
    assert other.load(0) != split.load(0)
    assert rendered_split("edges", split).examples is split.examples


def test_apps_must_convert_photos_for_other_renderings_than_rgb() -> None:
    assert rendering.conversion("rgb") == ""
    assert rendering.conversion("edges") == "The model expects edges images; convert the photo first."
