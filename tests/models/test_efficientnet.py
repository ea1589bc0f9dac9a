"""EfficientNets of keras.applications."""

from pathlib import Path

import keras
import numpy as np
import pytest

from tests.models.families import TeacherFacts
from tests.models.teachers import photos, untrained, write_h5
from tfkd.models import build_teacher

FACTS = {"efficientnet_b0": TeacherFacts(size=64), "efficientnet_v2_b0": TeacherFacts(size=64)}


def test_efficientnet_file_is_normalised_as_the_download_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keras adds a rescaling when it downloads, but not for the same weights in a file."""
    monkeypatch.setattr(keras.src.applications.efficientnet.file_utils, "get_file", lambda *a, **k: "unused")
    monkeypatch.setattr(keras.Model, "load_weights", lambda *a, **k: None)
    downloaded = keras.applications.EfficientNetB0(
        weights="imagenet", include_top=False, pooling="avg", input_shape=(64, 64, 3)
    )
    layer = next(layer for layer in downloaded.layers if isinstance(layer, keras.layers.Normalization))
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    layer.set_weights([mean, std**2, np.array(0)])
    layer.finalize_state()
    path = tmp_path / "b0.h5"
    write_h5([layer for layer in downloaded.layers if layer.weights], path)
    model = build_teacher(untrained("efficientnet_b0", weights=str(path), image_size=64), classes=6, seed=1)
    images = photos(64)
    expected = np.asarray(downloaded(images, training=False))
    features = np.asarray(model.get_layer("backbone")(images, training=False))
    np.testing.assert_allclose(features, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())
