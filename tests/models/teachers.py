"""Common parts of the tests of teachers."""

from pathlib import Path

import h5py
import keras
import numpy as np

from tfkd.recipe import Teacher


def untrained(name: str, **changes: object) -> Teacher:
    return Teacher(model=name, weights="none").model_copy(update=changes)


def photos(size: int, count: int = 2) -> np.ndarray:
    return np.random.default_rng(7).integers(0, 256, (count, size, size, 3)).astype(np.float32)


def write_h5(layers: list[keras.Layer], path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [layer.name.encode() for layer in layers]
        for layer in layers:
            group = file.create_group(layer.name)
            group.attrs["weight_names"] = [f"{n}".encode() for n in range(len(layer.weights))]
            for n, value in enumerate(layer.get_weights()):
                group.create_dataset(str(n), data=value)
