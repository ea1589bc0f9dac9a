from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, ImageOps

from tests.data.photos import picture
from tfkd.inputs.image import operations
from tfkd.inputs.image.operations import OPERATIONS
from tfkd.inputs.image.views import make_view
from tfkd.inputs.seeds import drawn, view_seeds
from tfkd.recipe import Augment

Operation = Callable[[Image.Image, float], Image.Image]
GEOMETRY = (operations.rotate, operations.shear_x, operations.shear_y, operations.translate_x, operations.translate_y)
every = pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.__name__)


def scene(size: int) -> np.ndarray:
    """One picture at any size: smooth colours between 40 and 200, averaged over each pixel; uint8 [size, size, 3]."""
    fine = np.asarray(picture(5, 384, 384), np.float32) * (160 / 255) + 40
    block = 384 // size
    return np.rint(fine.reshape(size, block, size, block, 3).mean((1, 3))).astype(np.uint8)


def run(operation: Operation, view: np.ndarray, strength: float) -> np.ndarray:
    return np.asarray(operation(Image.fromarray(view), strength)).astype(int)


def halved(view: np.ndarray) -> np.ndarray:
    size = len(view) // 2
    return view.reshape(size, 2, size, 2, 3).mean((1, 3))


@every
def test_strength_zero_changes_nothing_and_strength_one_does(operation: Operation) -> None:
    view = scene(48)
    np.testing.assert_array_equal(run(operation, view, 0.0), view)
    assert np.abs(run(operation, view, 1.0) - view).mean() > 0.1


@every
@pytest.mark.parametrize("strength", [-1.0, 1.0])
def test_extreme_views_keep_their_shape_and_a_flat_one_its_colour(operation: Operation, strength: float) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)
    assert run(operation, noise, strength).shape == noise.shape
    for level in (0, 128, 255):
        result = run(operation, np.full_like(noise, level), strength)
        others = {operations.solarize: 255 - level} | dict.fromkeys(GEOMETRY, 128)
        assert set(np.unique(result)) <= {level, others.get(operation, level)}


@every
@pytest.mark.parametrize("strength", [-0.8, 0.6])
def test_the_result_is_the_same_at_every_size(operation: Operation, strength: float) -> None:
    small, large = (run(operation, scene(size), strength) for size in (96, 192))
    assert np.abs(halved(large) - small).mean() < 1.5


def test_equalize_and_autocontrast_agree_with_pillow() -> None:
    view = scene(64)  # the grid's own size: both measure the same
    image = Image.fromarray(view).resize((1024, 1024), Image.Resampling.NEAREST)  # it counts in steps
    assert (
        np.abs(run(operations.autocontrast, view, 1.0) - np.asarray(ImageOps.autocontrast(image))[::16, ::16]).max()
        <= 1.0
    )
    assert np.abs(run(operations.equalize, view, -1.0) - np.asarray(ImageOps.equalize(image))[::16, ::16]).max() <= 1.0


@pytest.mark.parametrize("operation", [operations.autocontrast, operations.equalize])
def test_a_flat_channel_does_not_change(operation: Operation) -> None:
    view = scene(64)
    view[..., 1] = 77
    result = run(operation, view, 1.0)
    assert (result[..., 1] == 77).all()
    assert result[..., 0].max() == 255


def test_posterize_and_solarize_follow_their_definitions() -> None:
    view = scene(48)
    np.testing.assert_array_equal(run(operations.posterize, view, -1.0), np.round(view / 16) * 16)
    solarized = np.where(view > 255 * 0.625, 255 - view, view)
    np.testing.assert_array_equal(run(operations.solarize, view, 0.75), solarized)


def test_sharpness_raises_or_lowers_detail() -> None:
    view = np.random.default_rng(0).integers(60, 190, (96, 96, 3), np.uint8)
    detail = [np.abs(np.diff(run(operations.sharpness, view, strength), axis=1)).mean() for strength in (-1, 0, 1)]
    assert detail[0] < 0.8 * detail[1] < detail[1] < 0.9 * detail[2]


@pytest.mark.parametrize(
    ("operation", "matrix", "shift"),
    [
        (
            operations.rotate,
            [[np.cos(np.pi / 12), -np.sin(np.pi / 12)], [np.sin(np.pi / 12), np.cos(np.pi / 12)]],
            [0, 0],
        ),
        (operations.shear_x, [[1, 0.15], [0, 1]], [0, 0]),
        (operations.shear_y, [[1, 0], [0.15, 1]], [0, 0]),
        (operations.translate_x, [[1, 0], [0, 1]], [0.15, 0]),
        (operations.translate_y, [[1, 0], [0, 1]], [0, 0.15]),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_geometry_takes_pixels_from_where_its_map_says(
    operation: Operation, matrix: list[list[float]], shift: list[float]
) -> None:
    size = 60
    place = (np.arange(size) + 0.5) / size - 0.5
    x, y = np.meshgrid(place, place)
    places = np.stack([128 + 100 * x, 128 + 100 * y, np.full_like(x, 128)], axis=-1)  # a pixel's value is its place
    ramps = np.rint(places).astype(np.uint8)
    source = np.einsum("ij,jhw->ihw", np.array(matrix), np.stack([x, y])) + np.array(shift)[:, None, None]
    inside = (np.abs(source) < 0.5 - 1 / size).all(0)
    outside = (np.abs(source) > 0.5 + 1 / size).any(0)
    result = run(operation, ramps, 0.5)
    expected = 128 + 100 * source.transpose(1, 2, 0)[inside]
    np.testing.assert_allclose(result[inside][:, :2], expected, atol=1.5)  # Pillow cuts fractions off
    assert (result[outside] == 128).all()
    assert inside.sum() > 1000
    assert outside.sum() > 50


def test_each_operation_is_drawn_equally_often() -> None:
    which, strength = np.array([drawn(seed, 1).random(2) for seed in view_seeds(4, np.arange(1000), 0)]).T
    which = (which * 10).astype(int)
    view = Image.fromarray(scene(16))
    for k, seed in enumerate(view_seeds(4, np.arange(12), 0)):
        expected = OPERATIONS[which[k]](view, 0.7 * (2 * strength[k] - 1))
        assert operations.operate(view, drawn(seed, 1), 1, 0.7) == expected
    assert len(set(which[:12])) > 5
    counts = np.bincount(which, minlength=len(OPERATIONS))
    assert ((counts > 65) & (counts < 135)).all()


def test_views_with_operations_depend_on_the_seed_and_are_the_same_at_every_size() -> None:
    photo = picture(3, 213, 160)
    augment = Augment(operations=2, magnitude=0.8)
    views = []
    for seed in view_seeds(3, np.arange(6), 2):
        small, again, large = (make_view(photo, seed, augment, size).astype(float) for size in (48, 48, 96))
        np.testing.assert_array_equal(small, again)
        assert np.abs(halved(large) - small).mean() < 4
        views.append(small)
    plain = [make_view(photo, seed, Augment(), 48) for seed in view_seeds(3, np.arange(6), 2)]
    assert sum(np.abs(view - without).mean() > 0.5 for view, without in zip(views, plain, strict=True)) >= 4


def test_without_operations_their_magnitude_does_not_matter() -> None:
    photo = picture(3, 213, 160)
    for seed in view_seeds(3, np.arange(3), 0):
        strong = make_view(photo, seed, Augment(operations=0, magnitude=1.0), 48)
        np.testing.assert_array_equal(strong, make_view(photo, seed, Augment(), 48))
