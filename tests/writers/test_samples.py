"""The photos that calibrate quantized files, and those that go beside them."""

from pathlib import Path

import numpy as np

from tests.data.photos import fill
from tests.writers.conftest import SIGNATURE
from tfkd.data import open_evaluation, open_source
from tfkd.recipe import Data
from tfkd.writers import samples


def test_calibration_images_are_training_images(tmp_path: Path) -> None:
    data = open_source(Data(source=f"folder:{fill(tmp_path, {'a': 10, 'b': 10})}"), 1)
    images = samples.calibration(data, SIGNATURE, 6, 1)
    expected, _ = samples.examples(data.train, SIGNATURE, 6, 1)
    np.testing.assert_array_equal(images, expected)
    for other in (data.validation, data.test):
        for image in samples.examples(other, SIGNATURE, 100, 1)[0]:
            assert not (images == image).all(axis=(1, 2, 3)).any()


def test_measured_images_calibrate_where_there_are_no_others(tmp_path: Path) -> None:
    data = open_evaluation(Data(source=f"folder:{fill(tmp_path, {'a': 10, 'b': 10})}"), 1)
    assert len(samples.calibration(data, SIGNATURE, 6, 1)) == 6


def test_every_class_calibrates(tmp_path: Path) -> None:
    data = open_source(Data(source=f"folder:{fill(tmp_path, {'a': 10, 'b': 14, 'c': 10})}"), 1)
    for count in (3, 6, 12):
        _, positions = samples.examples(data.train, SIGNATURE, count, 1)
        assert np.bincount(data.train.labels[positions]).tolist() == [count // 3] * 3
