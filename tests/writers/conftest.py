"""One tiny classifier, exported once to every format."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tfkd.inputs.image.tensors import signature
from tfkd.recipe import Export
from tfkd.writers import ExportedFile, card_of, export

SIZE = 32
SIGNATURE = signature(SIZE)
DATA = "d2d097e1cca402d3"
RECIPE = {
    "name": "tiny",
    "seed": 1,
    "data": {"image_size": SIZE, "test_share": 0.3},
    "teachers": [{"model": "large", "weights": "none"}, {"model": "larger", "weights": "none"}],
    "student": {"model": "tiny"},
    "distill": {"repeats": 1, "control": True},
    "export": {
        "author": "Ada",
        "license": "MIT",
        "version": "3",
        "description": "Tells cats from dogs",
        "thresholds": True,
    },
}
CARD = card_of(RECIPE, ("cat", "dog", "größerer Hund"), DATA)


@dataclass(frozen=True)
class Exported:
    """What an export wrote, and what it was made from."""

    model: Any
    folder: Path
    files: list[ExportedFile]
    told: list[str]
    images: np.ndarray
    probabilities: np.ndarray

    def path(self, ending: str) -> Path:
        (file,) = [file for file in self.files if file.path.endswith(ending)]
        return self.folder / file.path


def make_model(classes: int = 3, size: int = SIZE) -> Any:
    import keras

    keras.utils.set_random_seed(5)
    layers = keras.layers
    image = keras.Input((size, size, 3))
    x = layers.Rescaling(1 / 128, offset=-1)(image)
    for filters in (8, 16):
        x = layers.Conv2D(filters, 3, strides=2, padding="same", use_bias=False)(x)
        x = layers.ReLU(6.0)(layers.BatchNormalization()(x))
    x = layers.ReLU(6.0)(layers.DepthwiseConv2D(3, padding="same")(x))
    logits = layers.Dense(classes, kernel_initializer=keras.initializers.RandomNormal(stddev=3.0))
    return keras.Model(image, logits(layers.GlobalAveragePooling2D()(x)))


@pytest.fixture(scope="session")
def model() -> Any:
    return make_model()


@pytest.fixture(scope="session")
def images() -> np.ndarray:
    """Coloured noise whose range is narrower than 0..255, uint8 [40, 32, 32, 3]."""
    rng = np.random.default_rng(7)
    levels = rng.integers(30, 200, (40, 1, 1, 3))
    return (levels + rng.integers(-20, 21, (40, SIZE, SIZE, 3))).astype(np.uint8)


@pytest.fixture(scope="session")
def exported(model: Any, images: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    import tensorflow as tf

    folder = tmp_path_factory.mktemp("bundle")
    told: list[str] = []
    files = export(model, Export(), CARD, images, folder, told.append).files
    probabilities = tf.nn.softmax(model(images.astype(np.float32), training=False)).numpy()
    return Exported(model, folder, files, told, images, probabilities)
