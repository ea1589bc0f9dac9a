import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tests.data.photos import READING, fill
from tfkd.data import folder
from tfkd.data.batches import example_errors, numbered_views, plain_batches, view_batches
from tfkd.data.cache import ViewCache
from tfkd.data.dataset import Split
from tfkd.data.renderings import rendered_split
from tfkd.errors import RequestError
from tfkd.inputs.image.mixing import draw
from tfkd.inputs.image.rendering import transform
from tfkd.inputs.image.tensors import signature
from tfkd.inputs.image.views import center, make_view
from tfkd.inputs.seeds import partners, view_seeds
from tfkd.recipe import Augment


@pytest.fixture
def split(tmp_path: Path) -> Split:
    return folder.listing(str(fill(tmp_path, {"a": 4, "b": 7})), READING).splits["train"]


def gathered(batches: tf.data.Dataset) -> dict[str, np.ndarray]:
    parts = list(batches.as_numpy_iterator())
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def test_center_is_the_middle_square() -> None:
    image = np.zeros((10, 30, 3), np.uint8)
    image[:, 10:20] = 200
    wide = center(Image.fromarray(image), 5)
    np.testing.assert_array_equal(wide[:, 1:4], np.full((5, 3, 3), 200, np.uint8))
    np.testing.assert_array_equal(wide[:, [0, 4]], np.full((5, 2, 3), 175, np.uint8))  # 1/8 of the triangle is outside
    tall = center(Image.fromarray(np.ascontiguousarray(image.transpose(1, 0, 2))), 5)
    np.testing.assert_array_equal(tall, wide.transpose(1, 0, 2))


def test_plain_batches_keep_the_order_and_the_last_batch(split: Split) -> None:
    batches = list(plain_batches(split, signature(16), 4).as_numpy_iterator())
    assert [images.shape for images, _ in batches] == [(4, 16, 16, 3), (4, 16, 16, 3), (3, 16, 16, 3)]
    np.testing.assert_array_equal(np.concatenate([labels for _, labels in batches]), split.labels)
    np.testing.assert_array_equal(batches[1][0][2], center(split.load(6), 16))
    assert batches[0][0].dtype == np.float32


def test_no_stream_has_a_tuning_thread_to_wait_for(split: Split) -> None:
    indices = np.arange(4)
    for stream in (
        plain_batches(split, signature(16), 4),
        view_batches(split, Augment(), signature(16), 4, indices, view_seeds(1, indices, 0)),
    ):
        assert stream.prefetch(2).options().autotune.enabled is False


def test_views_do_not_depend_on_order_batch_size_or_threads(split: Split) -> None:
    indices = np.array([3, 0, 10, 3, 7, 5])
    seeds = view_seeds(1, indices, 0)
    seeds[3] = view_seeds(1, indices[3:4], 1)[0]
    reference = gathered(view_batches(split, Augment(), signature(24), 4, indices, seeds))
    np.testing.assert_array_equal(reference["index"], indices)
    np.testing.assert_array_equal(reference["label"], split.labels[indices])
    order = np.array([5, 2, 0, 4, 1, 3])
    shuffled = gathered(view_batches(split, Augment(), signature(24), 5, indices[order], seeds[order], threads=1))
    np.testing.assert_array_equal(shuffled["inputs"], reference["inputs"][order])
    assert not (reference["inputs"][0] == reference["inputs"][3]).all()
    alone = make_view(split.load(10), seeds[2], Augment(), 24)
    np.testing.assert_array_equal(reference["inputs"][2], alone)


def test_a_photo_that_fails_in_a_stream_is_one_of_our_errors(split: Split) -> None:
    Path(split.examples.root, split.name(5)).unlink()
    with pytest.raises(RequestError, match=rf"^{split.name(5)} can no longer be read \(No such file"), example_errors():
        list(plain_batches(split, signature(16), 4))


@dataclasses.dataclass(frozen=True, eq=False)
class Counted(Split):
    """A split that records which photos it decodes."""

    loaded: list[int] = dataclasses.field(default_factory=list)

    def load(self, i: int) -> Image.Image:
        self.loaded.append(int(i))
        return super().load(i)


@pytest.mark.parametrize("mix", ["mixup", "cutmix"])
def test_mixed_views_are_two_views_and_return_their_fractions(split: Split, mix: str) -> None:
    augment = Augment(mix=mix, mix_share=0.5)
    indices = np.array([3, 0, 10, 3, 7, 5, 1, 2, 4, 6])
    seeds, others = view_seeds(1, indices, 2), partners(1, 2, indices, len(split))
    counted = Counted(split.examples, split.numbers, split.labels, split.reading)
    views = gathered(view_batches(counted, augment, signature(24), 4, indices, seeds, threads=1, partners=others))
    own = gathered(view_batches(split, Augment(), signature(24), 4, indices, seeds))
    theirs = gathered(view_batches(split, Augment(), signature(24), 4, others.positions, others.seeds))
    overlays = [draw(seed, augment) for seed in seeds]
    np.testing.assert_allclose(views["share"], [overlay.own_weight() for overlay in overlays], rtol=1e-6)
    np.testing.assert_array_equal(views["partner_label"], split.labels[others.positions])
    np.testing.assert_array_equal(views["label"], split.labels[indices])
    assert (views["share"].dtype, views["partner_label"].dtype) == (np.float32, np.int64)
    mixed = views["share"] < 1
    assert 0 < mixed.sum() < len(mixed)
    np.testing.assert_array_equal(views["inputs"][~mixed], own["inputs"][~mixed])
    for k in np.flatnonzero(mixed):
        expected = overlays[k].lay((own["inputs"][k],), (theirs["inputs"][k],))[0]
        np.testing.assert_allclose(views["inputs"][k], expected, atol=0.01)
    assert sorted(counted.loaded) == sorted({*indices, *others.positions[mixed]})


def test_a_recipe_that_mixes_nothing_has_no_use_for_partners(split: Split) -> None:
    indices = np.arange(len(split))
    seeds = view_seeds(1, indices, 0)
    plain = gathered(view_batches(split, Augment(), signature(24), 4, indices, seeds))
    others = partners(1, 0, indices, len(split))
    with_partners = gathered(view_batches(split, Augment(), signature(24), 4, indices, seeds, partners=others))
    without = gathered(view_batches(split, Augment(mix="cutmix", mix_share=1.0), signature(24), 4, indices, seeds))
    for views in (with_partners, without):
        assert views.keys() == plain.keys() == {"inputs", "index", "label"}
        np.testing.assert_array_equal(views["inputs"], plain["inputs"])


@pytest.mark.parametrize("mix", ["none", "cutmix"])
def test_cached_views_equal_recomputed_ones(split: Split, mix: str) -> None:
    augment, finished = Augment(mix=mix), ViewCache(1 << 20)
    for view, seed in ((0, 1), (1, 1), (0, 2), (1, 2), (0, 3)):
        order = np.random.default_rng(seed).permutation(len(split))
        kept = gathered(numbered_views(split, augment, 5, view, order, signature(24), 4, finished))
        batch = gathered(numbered_views(split, augment, 5, view, order, signature(24), 4))
        for name, values in batch.items():
            np.testing.assert_array_equal(kept[name], values)


def test_a_mixed_view_is_the_same_at_every_size(split: Split) -> None:
    augment = Augment(operations=1, mix="cutmix", mix_share=1.0)
    indices = np.arange(len(split))
    arguments = (4, indices, view_seeds(5, indices, 0))
    others = partners(5, 0, indices, len(split))
    small, large = (
        gathered(view_batches(split, augment, signature(size), *arguments, partners=others)) for size in (32, 64)
    )
    np.testing.assert_array_equal(small["share"], large["share"])
    halved = large["inputs"].reshape(-1, 32, 2, 32, 2, 3).mean((2, 4))
    assert np.abs(halved - small["inputs"]).mean() < 3


def test_a_partner_that_fails_in_a_stream_is_one_of_our_errors(split: Split) -> None:
    indices = np.array([0])
    others = partners(1, 0, indices, len(split))
    assert others.positions[0] != 0
    name = split.name(others.positions[0])
    Path(split.examples.root, name).unlink()
    augment = Augment(mix="mixup", mix_share=1.0)
    with pytest.raises(RequestError, match=rf"^{name} can no longer be read \(No such file"), example_errors():
        list(view_batches(split, augment, signature(16), 4, indices, view_seeds(1, indices, 0), partners=others))


def test_a_rendering_changes_the_finished_image(split: Split) -> None:
    def both(change: str) -> Iterator[np.ndarray]:
        indices = np.arange(len(split))
        seeds, others = view_seeds(1, indices, 0), partners(1, 0, indices, len(split))
        augment = Augment(mix="cutmix", mix_share=1.0)
        changed = rendered_split(change, split)
        yield np.concatenate([images for images, _ in plain_batches(changed, signature(16), 4)])
        for mixing in (None, others):
            yield gathered(view_batches(changed, augment, signature(16), 4, indices, seeds, partners=mixing))["inputs"]

    for rgb, edges in zip(both("rgb"), both("edges"), strict=True):
        np.testing.assert_allclose(edges, transform("edges")(tf.constant(rgb)), atol=0.05)
        assert np.abs(edges - rgb).mean() > 10
