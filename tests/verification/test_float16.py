"""Networks whose numbers do not fit into float16: refused with the reason."""

from pathlib import Path

import numpy as np
import pytest

from tests.verification.conftest import CARD, Exported
from tfkd.recipe import Export
from tfkd.verification import VerifyError
from tfkd.verification.artifacts import predict
from tfkd.verification.probabilities import must_be_finite
from tfkd.writers import export


@pytest.fixture(scope="module")
def large(exported: Exported, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny classifier with activations above 65,504 in front of its last layer."""
    import keras

    features, last = exported.model.layers[-2].output, exported.model.layers[-1]
    image = exported.model.inputs
    scaled = keras.layers.Dense(features.shape[-1], name="up")(features)
    scaled = keras.layers.ReLU()(scaled)
    scaled = keras.layers.Dense(features.shape[-1], name="down")(scaled)
    network = keras.Model(image, keras.layers.Dense(last.units, name="last")(scaled))
    same, nothing = np.eye(features.shape[-1]), np.zeros(features.shape[-1])
    network.get_layer("up").set_weights([6e4 * same, nothing + 6.5e4])
    network.get_layer("down").set_weights([same / 6e4, nothing])
    network.get_layer("last").set_weights(last.get_weights())
    folder = tmp_path_factory.mktemp("large")
    requested = Export(tflite=["fp32"], coreml=["mlpackage"])
    export(network, requested, CARD, exported.images, folder, lambda path: None)
    return folder


def test_activations_that_float16_cannot_hold_are_named(large: Path, exported: Exported) -> None:
    images = [exported.images[:4]]
    assert np.isfinite(predict(large / "android/tiny_fp32.tflite", "tflite", images)).all()
    with pytest.raises(VerifyError, match=r"float16, whose largest is 65,504; export it in fp32, or scale"):
        predict(large / "ios/tiny.mlpackage", "mlpackage", images)


def test_float16_is_not_blamed_for_what_it_cannot_have_done() -> None:
    with pytest.raises(VerifyError, match="not finite numbers: the file is unusable"):
        must_be_finite(np.float32([[np.nan, 1]]), Path("x"), lambda: False)
    must_be_finite(np.float32([[0, 1]]), Path("x"), lambda: True)
