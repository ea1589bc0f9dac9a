"""A teacher is fine-tuned on training images, measured on the others, and frozen."""

from pathlib import Path

import keras
import numpy as np
import pytest

from tests import tiny
from tests.data.photos import fill
from tfkd.data import open_source
from tfkd.data.batches import plain_batches
from tfkd.data.dataset import Dataset, Split
from tfkd.inputs.image.tensors import signature
from tfkd.models import build_teacher
from tfkd.progress import Lines
from tfkd.recipe import Augment, Data, FineTune, Teacher
from tfkd.training import teacher as module
from tfkd.training.job import TuningChoice
from tfkd.training.teacher import BATCH_NORM_MOMENTUM, _settle_batch_norm, _thaw, load_teacher, prepare_teacher

OWN = Teacher(model="tests.tiny:build_teacher", weights="none", image_size=40)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Images of which 1 of 5 on validation and 4 of 5 on test are of the first class."""
    counts = {"train/a": 6, "train/b": 6, "validation/a": 1, "validation/b": 4, "test/a": 4, "test/b": 1}
    return open_source(Data(source=f"folder:{fill(tmp_path_factory.mktemp('photos'), counts)}"), 1)


@pytest.mark.parametrize("fine_tune", [None, FineTune(epochs=1, batch_size=4, warmup_epochs=0)])
def test_accuracies_are_those_of_their_splits(data: Dataset, tmp_path: Path, fine_tune: FineTune | None) -> None:
    teacher = OWN.model_copy(update={"fine_tune": fine_tune})
    result = prepare_teacher(teacher, data, Augment(), 1, tmp_path, Lines())
    model = load_teacher(tmp_path / "teacher.keras")
    assert not model.trainable_variables

    def logits(split: Split) -> np.ndarray:
        return np.concatenate([model(images).numpy() for images, _ in plain_batches(split, signature(40), 8)])

    np.testing.assert_allclose(np.load(tmp_path / "test_logits.npy"), logits(data.test), atol=1e-4)
    for found, split in ((result.accuracy, data.test), (result.validation_accuracy, data.validation)):
        assert found == np.mean(logits(split).argmax(axis=1) == split.labels)


def test_a_fraction_of_the_top_layers_is_thawed_and_no_batch_norm() -> None:
    model = build_teacher(Teacher(model="resnet20", weights="none", image_size=32), 2, 1)
    backbone = model.get_layer("backbone")
    backbone.trainable = False
    _thaw(backbone, 0.5)
    half = len(backbone.layers) // 2
    kinds = keras.layers.BatchNormalization
    assert not any(layer.trainable for layer in backbone.layers[: half - 1])
    assert all(layer.trainable is not isinstance(layer, kinds) for layer in backbone.layers[half + 1 :])
    assert sum(isinstance(layer, kinds) for layer in backbone.layers[half + 1 :]) > 1


def test_batch_norm_settles_within_a_short_training() -> None:
    layers = [keras.layers.BatchNormalization(momentum=momentum) for momentum in (0.99, 0.8)]
    model = keras.Sequential([keras.Input((8, 8, 3)), *layers])
    _settle_batch_norm(model)
    assert [layer.momentum for layer in layers] == [BATCH_NORM_MOMENTUM, 0.8]


@pytest.mark.parametrize("after", [0.7, 0.5])
def test_fine_tuning_is_kept_only_where_validation_gains(
    data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: float
) -> None:
    monkeypatch.setattr(tiny, "build_teacher", tiny.build_blind_teacher)
    accuracies = iter([0.5, after])
    monkeypatch.setattr(module, "_validation_accuracy", lambda model, data: next(accuracies))
    tuning = FineTune(auto=True, epochs=1, batch_size=4, warmup_epochs=0)
    teacher = OWN.model_copy(update={"fine_tune": tuning})
    result = prepare_teacher(teacher, data, Augment(), 1, tmp_path, Lines())
    assert result.tuning == TuningChoice(0.5, after)
    kernel = load_teacher(tmp_path / "teacher.keras").layers[-1].kernel
    assert bool(np.any(kernel)) is (after > 0.5)  # which was zeros before
