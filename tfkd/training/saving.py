"""Writes Keras models and NumPy arrays atomically, and reads them without running code from them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tfkd.files import append_hash, replacing
from tfkd.models import registered  # noqa: F401  (registers the layers of the files)


def save_model(model: keras.Model, path: Path) -> None:
    """Writes a model as a `.keras` file."""
    with replacing(path) as partial:
        model.save(partial)


def load_model(path: Path) -> keras.Model:
    """Reads a `.keras` file of this run; refuses layers that contain code."""
    return keras.saving.load_model(path, compile=False, safe_mode=True)


def save_array(array: Any, path: Path) -> None:
    """Writes one array as `.npy`."""
    with replacing(path) as partial, partial.open("wb") as stream:
        np.save(stream, array, allow_pickle=False)


def save_arrays(arrays: Sequence[Any], path: Path) -> None:
    """Writes arrays as `.npz`, in their order, with the file's own hash at the end."""
    with replacing(path) as partial:
        np.savez(partial, *arrays)
        append_hash(partial)


def load_arrays(path: Path) -> list[Any]:
    """Returns the arrays that `save_arrays` wrote, in their order."""
    with np.load(path, allow_pickle=False) as arrays:
        return [arrays[f"arr_{number}"] for number in range(len(arrays.files))]
