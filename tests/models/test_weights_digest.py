"""The digest of the values of a network's weights."""

from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

from tests import tiny
from tfkd.errors import RequestError
from tfkd.models.weights_digest import weights_digest


@pytest.fixture(scope="module")
def model() -> keras.Model:
    keras.utils.set_random_seed(1)
    return tiny.build_teacher(image_size=16, classes=3)


def test_it_stays_when_the_model_is_saved_again_in_any_form(model: keras.Model, tmp_path: Path) -> None:
    for name in ("a.keras", "b.keras", "c.h5", "d.weights.h5"):
        (model.save_weights if "weights" in name else model.save)(tmp_path / name)
    digests = {weights_digest(path) for path in tmp_path.iterdir()}
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    copy.compile(keras.optimizers.Adam(), "sparse_categorical_crossentropy")
    copy.fit(np.zeros((4, 16, 16, 3)), np.zeros(4), epochs=1, verbose=0)
    copy.save(tmp_path / "trained.keras")
    trained = weights_digest(tmp_path / "trained.keras")
    copy.set_weights(model.get_weights())
    copy.save(tmp_path / "with_optimizer.keras")
    assert len(digests) == 1 and trained not in digests
    assert weights_digest(tmp_path / "with_optimizer.keras") in digests


def test_one_other_value_is_another_digest(model: keras.Model, tmp_path: Path) -> None:
    model.save(tmp_path / "a.keras")
    other = keras.models.clone_model(model)
    values = model.get_weights()
    values[0][0, 0, 0, 0] = np.nextafter(values[0][0, 0, 0, 0], np.float32(9))
    other.set_weights(values)
    other.save(tmp_path / "b.keras")
    assert weights_digest(tmp_path / "a.keras") != weights_digest(tmp_path / "b.keras")


@pytest.mark.parametrize("name", ["a.keras", "a.h5"])
@pytest.mark.parametrize("content", [b"", b"weights", b"PK\x05\x06" + bytes(18)])
def test_a_damaged_file_gets_one_line(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(RequestError, match="holds no weights of Keras that can be read") as error:
        weights_digest(tmp_path / name)
    assert "\n" not in str(error.value)


def test_links_to_other_files_are_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["layer"] = h5py.ExternalLink("/etc/passwd", "/x")
    with pytest.raises(RequestError, match="is a link to another place"):
        weights_digest(tmp_path / "a.h5")


def test_a_file_without_weights_is_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["count"] = np.arange(3)
    with pytest.raises(RequestError, match="none of its arrays has floating-point numbers"):
        weights_digest(tmp_path / "a.h5")
