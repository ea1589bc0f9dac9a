import numpy as np
import pytest

from tfkd.inputs.image.mixing import ImageOverlay, draw
from tfkd.inputs.seeds import view_seeds
from tfkd.recipe import Augment

VIEWS = 3000


def shares(augment: Augment) -> tuple[np.ndarray, np.ndarray]:
    """Returns [VIEWS] fractions and [VIEWS, 4] boxes of the views of one image."""

    overlays = [draw(seed, augment) for seed in view_seeds(1, np.arange(VIEWS), 0)]
    return np.array([overlay.own_weight() for overlay in overlays]), np.array([overlay.box for overlay in overlays])


def distance(sample: np.ndarray, distribution: np.ndarray) -> float:
    """Returns the Kolmogorov-Smirnov distance of a sample from a distribution, given as a much larger sample."""
    below = np.searchsorted(np.sort(distribution), np.sort(sample)) / len(distribution)
    return float(np.abs(below - (np.arange(len(sample)) + 0.5) / len(sample)).max())


@pytest.mark.parametrize("mix", ["mixup", "cutmix"])
def test_the_requested_fraction_of_views_is_mixed(mix: str) -> None:
    share, _ = shares(Augment(mix=mix, mix_share=0.3))
    assert 0.26 < (share < 1).mean() < 0.34
    assert (share[share < 1] >= 0).all()
    assert (shares(Augment(mix=mix, mix_share=0.0))[0] == 1).all()
    assert (shares(Augment(mix="none", mix_share=1.0))[0] == 1).all()


def test_mixup_follows_its_beta_distribution() -> None:
    share, box = shares(Augment(mix="mixup", mix_share=1.0))
    beta = np.random.default_rng(0).beta(0.8, 0.8, 200_000)
    uniform = np.random.default_rng(0).uniform(size=200_000)
    assert distance(share, beta) < 0.03 < distance(share, uniform)
    assert (box == [0, 0, 1, 1]).all()


def test_whether_a_view_is_mixed_is_independent_of_the_fraction() -> None:
    share, _ = shares(Augment(mix="mixup", mix_share=0.5))
    all_mixed, _ = shares(Augment(mix="mixup", mix_share=1.0))
    is_mixed = share < 1
    np.testing.assert_array_equal(share[is_mixed], all_mixed[is_mixed])
    assert distance(share[is_mixed], all_mixed) < 0.05


def test_cutmix_covers_uniform_areas_by_squares_inside() -> None:
    share, box = shares(Augment(mix="cutmix", mix_share=1.0))
    top, left, bottom, right = box.T
    np.testing.assert_allclose(bottom - top, right - left, atol=1e-6)
    assert box.min() >= 0
    assert box.max() <= 1 + 1e-6
    np.testing.assert_allclose(share, 1 - (bottom - top) * (right - left), atol=1e-6)
    assert distance(share, np.linspace(0, 1, 100_000)) < 0.03
    small = bottom - top < 0.3
    assert distance(top[small] / (1 - (bottom - top)[small]), np.linspace(0, 1, 100_000)) < 0.1


@pytest.mark.parametrize("size", [8, 37, 96])
def test_an_overlay_covers_its_fraction_at_every_size(size: int) -> None:
    own, partner = np.zeros((size, size, 3), np.float32), np.full((size, size, 3), 200, np.float32)
    for seed in view_seeds(2, np.arange(10), 0):
        for mix in ("mixup", "cutmix"):
            overlay = draw(seed, Augment(mix=mix, mix_share=1.0))
            (mixed,) = overlay.lay((own,), (partner,))
            np.testing.assert_allclose(1 - mixed.mean() / 200, overlay.own_weight(), atol=1e-4)


def test_a_box_shows_the_partner_inside_and_the_image_outside() -> None:
    rng = np.random.default_rng(0)
    own, partner = rng.uniform(0, 255, (2, 20, 20, 3)).astype(np.float32)
    overlay = ImageOverlay((0.1, 0.25, 0.6, 0.775), 1.0)
    (mixed,) = overlay.lay((own,), (partner,))
    expected = own.copy()
    expected[2:12, 5:15] = partner[2:12, 5:15]
    expected[2:12, 15] = (own[2:12, 15] + partner[2:12, 15]) / 2  # the edge cuts these pixels in two
    np.testing.assert_allclose(mixed, expected, atol=1e-3)


def test_opacity_mixes_linearly() -> None:
    own, partner = np.random.default_rng(0).uniform(0, 255, (2, 6, 6, 3)).astype(np.float32)
    (mixed,) = ImageOverlay((0.0, 0.0, 1.0, 1.0), 0.3).lay((own,), (partner,))
    np.testing.assert_allclose(mixed, 0.7 * own + 0.3 * partner, atol=1e-3)
