"""Every compressed form of a small network with layers large enough to be compressed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import coremltools as ct
import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.verification.coreml.converted import WEIGHTS
from tests.writers.conftest import CARD, SIGNATURE, SIZE
from tfkd.files import content_digest, content_size
from tfkd.recipe import CoremlForm, oldest_ios
from tfkd.verification import coreml
from tfkd.writers import exported_file
from tfkd.writers.coreml import write
from tfkd.writers.coreml_compression import palette
from tfkd.writers.graph import frozen

pytestmark = pytest.mark.slow

FORMS: tuple[CoremlForm, ...] = get_args(CoremlForm)
# Probabilities may differ so far from Keras: weights of 8, 6 and 4 bits, and half of the weights gone.
NEARNESS = {"fp32": 1e-6, "fp16": 1e-2, "int8": 0.05, "palette6": 0.1, "palette4": 0.4, "pruned": 0.7}
SHARES = {"int8": 0.55, "palette6": 0.45, "palette4": 0.33, "pruned": 0.65}  # of the package in fp16

Write = Callable[..., Path]


@pytest.fixture(scope="module")
def wide() -> Any:
    keras.utils.set_random_seed(3)
    layers = keras.layers
    image = keras.Input((SIZE, SIZE, 3))
    x = layers.Rescaling(1 / 128, offset=-1)(image)
    for filters in (32, 64, 64):
        x = layers.ReLU(6.0)(layers.BatchNormalization()(layers.Conv2D(filters, 3, strides=2, padding="same")(x)))
    logits = layers.Dense(3, kernel_initializer=keras.initializers.RandomNormal(stddev=3.0))
    return keras.Model(image, logits(layers.GlobalAveragePooling2D()(x)))


@pytest.fixture(scope="module")
def written(wide: Any, tmp_path_factory: pytest.TempPathFactory) -> Write:
    """Writes a form of the network, traced once."""
    folder = tmp_path_factory.mktemp("forms")
    made: dict[tuple[str, ...], Path] = {}

    def writer(form: CoremlForm, place: str = "first", ios: int | None = None) -> Path:
        if (form, place) not in made:
            file = exported_file(form, "n", ios)
            write(graph, file, folder / place / file.path, CARD, None)
            made[form, place] = folder / place / file.path
        return made[form, place]

    with frozen(wide, CARD) as graph:
        yield writer


@pytest.mark.parametrize("form", FORMS)
def test_every_form_predicts_as_keras(written: Write, wide: Any, images: np.ndarray, form: CoremlForm) -> None:
    path = written(form)
    precision = exported_file(form, "n").precision
    wanted = tf.nn.softmax(wide(images.astype(np.float32), training=False)).numpy()
    assert wanted.std(0).mean() > 0.01, "predictions that are all alike would prove little"
    error = np.abs(coreml.predict(path, [images]) - wanted).max()
    assert error < NEARNESS[precision]
    assert precision == "fp32" or error > 1e-6, "nothing was compressed"
    coreml.check(path, CARD, SIGNATURE)
    specification = ct.utils.load_spec(str(path))
    assert specification.description.metadata.userDefined["precision"] == precision
    assert specification.specificationVersion == oldest_ios(form) - 9, "version 4 came with iOS 13"


def test_forms_are_as_small_as_their_names_say(written: Write) -> None:
    half = (written("mlpackage") / WEIGHTS).stat().st_size
    for precision, share in SHARES.items():
        assert (written(f"mlpackage_{precision}") / WEIGHTS).stat().st_size < share * half, precision
    whole = content_size(written("mlmodel"))
    assert content_size(written("mlmodel_fp16")) < 0.55 * whole
    assert content_size(written("mlmodel_int8")) < 0.3 * whole


@pytest.mark.parametrize("form", ["mlmodel_int8", "mlpackage_palette4"])
def test_equal_exports_give_equal_bytes_and_print_nothing(
    written: Write, form: CoremlForm, capfd: pytest.CaptureFixture[str]
) -> None:
    assert content_digest(written(form)) == content_digest(written(form, "again"))
    assert capfd.readouterr() == ("", "")


def test_a_newer_deployment_target(written: Write, images: np.ndarray) -> None:
    newer = written("mlpackage_palette6", "newer", 18)
    assert ct.utils.load_spec(str(newer)).specificationVersion == 9
    older = coreml.predict(written("mlpackage_palette6"), [images])
    np.testing.assert_allclose(coreml.predict(newer, [images]), older, atol=5e-3)


def test_a_palette_keeps_what_it_can_hold() -> None:
    values = np.repeat(np.float16([-3, 0.5, 0.75, 9]), [5, 7, 1, 2]).reshape(5, 3)
    table, codes = palette(values, 2)
    assert (table.dtype, codes.dtype) == (np.float16, np.uint8)
    np.testing.assert_array_equal(table[codes], values.ravel())


def test_a_palette_is_nearer_than_equal_steps() -> None:
    values = np.random.default_rng(1).normal(size=4000).astype(np.float32) ** 3
    table, codes = palette(values, 4)
    assert (len(table), codes.max()) == (16, 15)
    steps = np.linspace(values.min(), values.max(), 16)
    nearest = steps[np.abs(values[:, np.newaxis] - steps).argmin(1)]
    assert np.square(table[codes] - values).mean() < 0.3 * np.square(nearest - values).mean()
    assert np.abs(table[:, np.newaxis] - values).argmin(0).tolist() == codes.tolist()


def test_a_palette_of_one_value() -> None:
    table, codes = palette(np.zeros((4, 3), np.float16), 4)
    assert not table.any() and len(codes) == 12
