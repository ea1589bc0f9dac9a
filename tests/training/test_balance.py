"""Rare classes: weights in the loss with the labels, balanced sampling, and both in every kind of training."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.data.photos import fill
from tfkd.compress.student import _as_training
from tfkd.data import open_source
from tfkd.data.dataset import Dataset
from tfkd.distill.losses.label import LabelLoss
from tfkd.errors import RequestError
from tfkd.inputs.image.tensors import signature
from tfkd.models import build_student, build_teacher
from tfkd.progress import Silent
from tfkd.recipe import Augment, Data, Distill, FineTune, Prune, Recipe, Student, Teacher, Training, files
from tfkd.store.layout import Layout
from tfkd.store.soft_labels import write_soft_labels
from tfkd.teachers.head import fitted
from tfkd.training import loop, teacher
from tfkd.training.balance import balanced_order, class_weights, require_known_classes
from tfkd.training.job import Job, Store
from tfkd.training.student import _alone, distilled

LABELS = np.array([0] * 12 + [1] * 4)  # as in the data
BALANCED = [16 / (2 * 12), 16 / (2 * 4)]
NAMED = dict(zip(("common", "rare"), BALANCED, strict=True))
BOTH = Training(epochs=2, batch_size=8, class_weight=NAMED, sampling="balanced")


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    splits = ("train", "validation", "test")
    counts = {f"{split}/{name}": count for split in splits for name, count in (("common", 12), ("rare", 4))}
    photos = fill(tmp_path_factory.mktemp("photos"), counts)
    return Recipe(
        name="rare",
        data=Data(source=f"folder:{photos}", image_size=32, augment=Augment(mix="cutmix")),
        teachers=[Teacher(model="resnet50", fine_tune=FineTune(epochs=1))],
        student=Student(model="tests.tiny:build_student", weights="none"),
        distill=Distill(views=2, training=BOTH),
    )


@pytest.fixture(scope="module")
def data(recipe: Recipe) -> Dataset:
    return open_source(recipe.data, recipe.seed)


@pytest.fixture(scope="module")
def job(recipe: Recipe, data: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Job:
    folder = tmp_path_factory.mktemp("store")
    header = {"fingerprint": "a", "images": len(data.train), "views": 2, "layout": Layout(2).described()}

    def predict(images: np.ndarray, view: int) -> Iterator[dict[str, np.ndarray]]:
        return iter([{"logits": np.zeros((len(images), 2), np.float32)}])

    write_soft_labels(folder, header, predict, lambda count: None)
    counts = {"images": len(data.train), "labelled": len(data.train), "stores": (Store(folder, header),)}
    common = {"rendering": "rgb", "folder": folder / "job", "checked": folder / "checked", "student": recipe.student}
    return Job(kind="student", seed=1, recipe=recipe, **common, **counts)


def test_balanced_weights_are_those_of_scikit_learn_and_named_ones_leave_the_others_at_1() -> None:
    labels = np.array([*LABELS, -1, -1])
    assert class_weights(Training(class_weight="balanced"), labels, ["common", "rare"]) == BALANCED
    assert np.mean(np.array(BALANCED)[LABELS]) == 1
    named = Training(class_weight={"cafe\N{COMBINING ACUTE ACCENT}": 3})
    assert class_weights(named, labels, ["a", "caf\N{LATIN SMALL LETTER E WITH ACUTE}"]) == [1.0, 3.0]
    assert class_weights(Training(), labels, ["a", "b"]) is None


def test_the_loss_of_an_image_is_weighted_by_its_class_and_of_a_mixed_one_by_both() -> None:
    logits = tf.constant([[1.0, -2.0, 0.5]])
    plain, weighted = LabelLoss(0.1), LabelLoss(0.1, class_weights=[1.0, 5.0, 0.5])
    first, second, none = (float(plain.call(tf.constant([k]), logits)[0]) for k in (1, 2, -1))
    assert none == 0 == float(weighted.call(tf.constant([-1]), logits)[0])
    np.testing.assert_allclose(weighted.call(tf.constant([1]), logits), [5 * first], rtol=1e-6)
    mixed = tf.constant([[0.0, 0.25, 0.75]])
    np.testing.assert_allclose(weighted.call(mixed, logits), [0.25 * 5 * first + 0.75 * 0.5 * second], rtol=1e-6)
    again = LabelLoss.from_config(json.loads(json.dumps(weighted.get_config())))
    np.testing.assert_array_equal(again.call(mixed, logits), weighted.call(mixed, logits))


def test_a_balanced_order_shows_every_class_alike_and_unlabelled_images_where_they_were() -> None:
    labels = np.array([*LABELS, -1, -1, -1])
    natural = loop.epoch_order(1, 0, len(labels), len(labels))
    orders = {(seed, epoch): balanced_order(natural, labels, seed, epoch) for seed in (1, 2) for epoch in (0, 1)}
    assert len({tuple(order) for order in orders.values()}) == 4
    np.testing.assert_array_equal(orders[1, 0], balanced_order(natural, labels, 1, 0))
    for order in orders.values():
        np.testing.assert_array_equal(order[labels[natural] < 0], natural[labels[natural] < 0])
        assert np.bincount(labels[order][labels[order] >= 0]).tolist() == [8, 8]
        rare = order[labels[order] == 1].tolist()
        assert len(set(rare[:4])) == len(set(rare[4:])) == 4, "every rare image before any comes again"
        assert len(set(order[labels[order] == 0].tolist())) == 8


@pytest.mark.parametrize("learner", [distilled, _alone])
def test_student_and_control_are_balanced_alike(job: Job, data: Dataset, learner: Any) -> None:
    network = build_student(job.student, signature(32), 2, 1)
    model, batches, _ = learner(job, network, data, signature(32))
    assert model._label_loss.items[0].class_weights == BALANCED
    mixed = np.concatenate([y.numpy() for _, y in batches(1)])
    assert mixed.shape == (16, 2)
    np.testing.assert_allclose(mixed.sum(axis=1), 1)
    natural = replace(job, recipe=job.recipe.with_("distill.training.sampling=natural", "data.augment.mix=none"))
    plain = replace(job, recipe=job.recipe.with_("data.augment.mix=none"))
    for each, counts in ((plain, [8, 8]), (natural, [12, 4])):
        _, batches, _ = learner(each, network, data, signature(32))
        assert np.bincount(np.concatenate([y.numpy() for _, y in batches(0)])).tolist() == counts


def test_the_backbone_of_a_teacher_is_balanced(data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[int] = []

    def fit(learner: Any, model: Any, batches: Any, *arguments: Any) -> Any:
        assert learner._label_loss.items[0].class_weights == BALANCED
        shown.extend(np.bincount(np.concatenate([y.numpy() for _, y in batches(0)])).tolist())
        return [], 0.0

    monkeypatch.setattr(loop, "fit", fit)
    own = Teacher(model="tests.tiny:build_teacher", weights="none", image_size=40)
    tuning = FineTune(**{**BOTH.model_dump(), "epochs": 1})
    teacher._train_thawed(build_teacher(own, 2, 1), tuning, False, data, Augment(), 1, tmp_path, Silent())
    assert shown == [8, 8]


def test_a_head_finds_more_of_a_rare_class_that_is_balanced() -> None:
    rng = np.random.default_rng(1)
    labels = np.repeat([0, 1], [190, 10])
    features = (rng.normal(size=(200, 2)) + 0.8 * labels[:, None]).astype(np.float32)

    def recall(**settings: Any) -> float:
        tuning = FineTune(head_epochs=3, head_learning_rate=0.3, batch_size=40, **settings)
        kernel, bias = fitted(features, labels, ["common", "rare"], tuning, 1)
        return float(np.mean((features @ kernel + bias).argmax(axis=1)[labels == 1]))

    plain = recall()
    assert plain <= 0.3
    for settings in ({"class_weight": "balanced"}, {"sampling": "balanced"}):
        assert recall(**settings) >= plain + 0.4, settings


def test_a_compression_is_balanced_as_the_student_unless_it_says_otherwise(job: Job) -> None:
    def of(block: Prune) -> Training:
        return _as_training(job, block, job.folder).recipe.distill.training

    assert (of(Prune()).class_weight, of(Prune()).sampling, of(Prune()).epochs) == (NAMED, "balanced", 5)
    own = of(Prune(training=Training(class_weight={"rare": 2})))
    assert (own.class_weight, own.sampling) == ({"rare": 2.0}, "natural")


@pytest.mark.parametrize(
    ("override", "where"),
    [
        ("distill.training.class_weight.raer=3", "distill.training"),
        ("teachers.0.fine_tune.class_weight.raer=3", "teachers.0.fine_tune"),
        ('compress=[{"kind": "qat", "training": {"class_weight": {"raer": 3}}}]', "compress.0.training"),
    ],
)
def test_weights_of_unknown_classes_are_refused(recipe: Recipe, data: Dataset, override: str, where: str) -> None:
    changed = recipe.with_("distill.training.class_weight=null", override)
    with pytest.raises(RequestError, match=f"{where}.class_weight names the class 'raer', which does not .* 'rare'"):
        require_known_classes(changed, data)
    require_known_classes(recipe.with_("distill.training.class_weight=null", override.replace("raer", "rare")), data)


@pytest.mark.parametrize("setting", ["class_weight", "sampling"])
def test_a_class_without_training_images_cannot_be_balanced(recipe: Recipe, data: Dataset, setting: str) -> None:
    common = replace(data, train=data.train.take(np.flatnonzero(data.train.labels == 0)))
    plain = recipe.with_("distill.training.class_weight=null", "distill.training.sampling=natural")
    require_known_classes(plain, common)
    with pytest.raises(RequestError, match="class 'rare' has no training examples"):
        require_known_classes(plain.with_(f"distill.training.{setting}=balanced"), common)


@pytest.mark.parametrize("weight", ["0", "-1", "NaN", "Infinity", "true", "1e9", '"3"', "[1]"])
def test_impossible_weights_are_refused(recipe: Recipe, weight: str) -> None:
    values = files.values_of(recipe.with_("distill.training.class_weight=null"))
    changed = files.overridden(values, [f"distill.training.class_weight.rare={weight}"])
    with pytest.raises(RequestError, match=r"training\.class_weight: the weight of 'rare' must be a number from 1e-06"):
        files.parse(changed, "here")


@pytest.mark.parametrize("place", ["distill.training", "teachers.0.fine_tune"])
def test_a_training_that_is_balanced_twice_is_refused(recipe: Recipe, place: str) -> None:
    message = rf"{place}: class_weight=balanced and sampling=balanced together .* remove one of them"
    with pytest.raises(RequestError, match=message):
        recipe.with_(f"{place}.class_weight=balanced", f"{place}.sampling=balanced")


@pytest.mark.parametrize("value", ["balance", "{}", "3", "[1, 3]"])
def test_other_class_weights_are_refused(recipe: Recipe, value: str) -> None:
    with pytest.raises(RequestError, match=r"class_weight.*: must be 'balanced', or a weight for each"):
        recipe.with_(f"distill.training.class_weight={value}")
