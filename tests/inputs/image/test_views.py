import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.data.photos import picture
from tfkd.inputs.image.views import _crop_box, make_view, resample
from tfkd.inputs.seeds import drawn, view_seeds
from tfkd.recipe import Augment

STILL = Augment(min_area=1.0, max_aspect=1.0, flip=False, brightness=0, contrast=0, saturation=0)
COLOURLESS = Augment(brightness=0, contrast=0, saturation=0)


def photo(width: int = 213, height: int = 160, seed: int = 0) -> Image.Image:
    return picture(seed, width, height)


def halved(view: np.ndarray) -> np.ndarray:
    size = len(view) // 2
    return view.reshape(size, 2, size, 2, 3).mean((1, 3))


def test_a_view_depends_only_on_its_seed() -> None:
    seeds = view_seeds(1, np.arange(3), 0)
    views = [make_view(photo(), seed, Augment(), 48) for seed in (*seeds, seeds[0])]
    np.testing.assert_array_equal(views[0], views[3])
    assert all(view.shape == (48, 48, 3) and view.dtype == np.uint8 for view in views)
    assert np.abs(views[0].astype(int) - views[1]).mean() > 2


@pytest.mark.parametrize("shape", [(213, 160), (28, 28), (90, 400)])
def test_a_view_is_the_same_at_every_size(shape: tuple[int, int]) -> None:
    image = photo(*shape)
    for seed in view_seeds(3, np.arange(8), 2):
        small, large = (make_view(image, seed, Augment(), size) for size in (48, 96))
        assert np.abs(halved(large) - small).mean() < 1.5


@settings(max_examples=200, deadline=None)
@given(
    height=st.integers(1, 3000),
    width=st.integers(1, 3000),
    numbers=st.lists(st.floats(0, 1, exclude_max=True), min_size=4, max_size=4),
    min_area=st.floats(0.05, 1),
    max_aspect=st.floats(1, 2),
)
@example(height=253, width=310, numbers=[0.75, 0.0, 0.5, 0.0], min_area=1.0, max_aspect=1.5)  # rounds to above the edge
def test_crops_stay_inside_and_keep_their_limits(
    height: int, width: int, numbers: list[float], min_area: float, max_aspect: float
) -> None:
    top, left, tall, wide = _crop_box(height, width, numbers, Augment(min_area=min_area, max_aspect=max_aspect))
    tolerance = 1e-9 * max(height, width)
    assert min(top, left) >= 0
    assert top + tall <= height + tolerance
    assert left + wide <= width + tolerance
    assert 1 / max_aspect - 1e-9 <= wide / tall <= max_aspect + 1e-9
    widest = tall >= height - tolerance or wide >= width - tolerance
    assert tall * wide >= min_area * height * width * (1 - 1e-9) or widest


@pytest.mark.parametrize("shape", [(1, 1), (1, 3000), (3000, 1), (2, 3)])
def test_the_narrowest_photos_give_views(shape: tuple[int, int]) -> None:
    image = Image.new("RGB", shape, (10, 20, 30))
    for seed in view_seeds(0, np.arange(50), 0):
        np.testing.assert_array_equal(make_view(image, seed, COLOURLESS, 8), np.full((8, 8, 3), (10, 20, 30)))


def test_a_still_view_of_a_square_photo_is_the_photo() -> None:
    image = photo(40, 40)
    np.testing.assert_array_equal(make_view(image, np.array([1, 2]), STILL, 40), image)


def triangle(first: float, extent: float, length: int, size: int) -> np.ndarray:
    """Returns float64 [size, length], the weights of a triangle filter as wide as the larger of two pixels."""
    scale = extent / size
    middles = first + (np.arange(size) + 0.5) * scale
    distances = np.abs(np.arange(length) + 0.5 - middles[:, None]) / max(scale, 1.0)
    weights = np.maximum(1.0 - distances, 0.0)
    return weights / weights.sum(1, keepdims=True)


@pytest.mark.parametrize("box", [(11.0, 20.0, 101.0, 150.0), (0.0, 0.0, 160.0, 213.0), (30.4, 7.7, 88.3, 120.6)])
@pytest.mark.parametrize("size", [32, 200])
def test_resampling_weighs_pixels_by_a_triangle(box: tuple[float, float, float, float], size: int) -> None:
    image = photo(213, 160, 7)
    top, left, tall, wide = box
    rows, columns = triangle(top, tall, 160, size), triangle(left, wide, 213, size)
    expected = np.einsum("yh,hwc,xw->yxc", rows, np.asarray(image, np.float64), columns, optimize=True)
    assert np.abs(np.asarray(resample(image, box, size)) - expected).max() <= 1.5  # rounded twice, once a direction


def test_colours_follow_their_definitions() -> None:
    image = photo(32, 32)
    augment = STILL.model_copy(update={"brightness": 0.5, "contrast": 0.4, "saturation": 0.9})
    for seed in view_seeds(0, np.arange(4), 0):
        brightness, contrast, saturation = 1 + (2 * drawn(seed, 0).random(8)[5:] - 1) * (0.5, 0.4, 0.9)
        pixels = np.asarray(image, np.float64)
        grey = pixels @ (0.299, 0.587, 0.114)
        expected = grey[..., None] + (pixels - grey[..., None]) * saturation
        expected = brightness * (grey.mean() + (expected - grey.mean()) * contrast)
        np.testing.assert_allclose(make_view(image, seed, augment, 32), expected.clip(0, 255), atol=0.6)  # whole values


def test_half_of_the_views_are_mirrored() -> None:
    image = Image.new("RGB", (8, 8))
    image.paste("white", (4, 0, 8, 8))
    augment = STILL.model_copy(update={"flip": True})
    mirrored = [make_view(image, seed, augment, 8)[0, 0, 0] > 127 for seed in view_seeds(0, np.arange(40), 0)]
    assert 10 < sum(mirrored) < 30
