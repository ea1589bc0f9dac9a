"""Trains a dense layer on the stored features of a network that cannot be trained itself."""

import time
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np

from tfkd.data.dataset import Dataset
from tfkd.progress import Progress
from tfkd.recipe import FineTune
from tfkd.signature import Signature
from tfkd.teachers.base import Predict
from tfkd.teachers.measuring import predicted
from tfkd.training.saving import load_arrays, save_arrays
from tfkd.training.teacher import fit_head

FEATURES, HEAD = "features.npz", "head.npz"


def train(
    rows: Predict,
    signature: Signature,
    tuning: FineTune,
    data: Dataset,
    seed: int,
    folder: Path,
    progress: Progress,
) -> float:
    """Trains a head, or finds that of an earlier call; returns the seconds.

    Writes to `folder`: the features of the training images, and `head.npz` with kernel, bias and seconds.

    Args:
        rows: the network, from raw inputs to features.
        signature: its inputs.
        tuning: `head_epochs` and what belongs to them.
        data: the images.
        seed: seed of the order of the images.
        folder: folder of the results.
        progress: shows progress.
    """
    if not (folder / HEAD).is_file():
        start = time.perf_counter()
        if not (folder / FEATURES).is_file():
            save_arrays([predicted(rows, data.train, signature, progress, "teacher features")], folder / FEATURES)
        (features,) = load_arrays(folder / FEATURES)
        kernel, bias = fitted(features, data.train.labels, data.classes, tuning, seed)
        save_arrays([kernel, bias, time.perf_counter() - start], folder / HEAD)
    *_, seconds = load_arrays(folder / HEAD)
    return float(seconds)


def fitted(
    features: np.ndarray, labels: np.ndarray, classes: Sequence[str], tuning: FineTune, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the kernel, float32 [values, classes], and the bias of a dense layer that is trained on features.

    They are trained from zero, as the loss is convex, and on standardised features, so that the learning rate fits
    features of any scale.

    Args:
        features: float32 [n, values].
        labels: int [n].
        classes: names of the classes.
        tuning: settings of the training.
        seed: seed of the order of the images.
    """
    mean, deviation = features.mean(axis=0), features.std(axis=0)
    deviation = np.where(deviation > 0, deviation, 1.0).astype(np.float32)
    dense = keras.layers.Dense(len(classes), kernel_initializer="zeros", name="head")
    model = keras.Sequential([keras.Input(features.shape[1:]), dense])
    fit_head(model, (features - mean) / deviation, labels, classes, tuning, seed)
    kernel, bias = (np.asarray(each) for each in dense.get_weights())
    scaled = kernel / deviation[:, None]
    return scaled, bias - mean @ scaled
