"""The mapping from keras.applications' MobileNetV3, tested on random weights: no download is needed."""

from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

from tests.models.families import FileCase, StudentFacts
from tfkd.errors import RequestError
from tfkd.inputs.image.tensors import signature
from tfkd.models import build_student
from tfkd.models.weights import load_by_name, read_h5
from tfkd.recipe import Student

FACTS = {
    "mobilenet_v3_small": StudentFacts(
        millions=2.5,
        sizes=(32, 64),
        alike=("silu", "hard_swish"),
        files=(
            FileCase("relu6", 32, 0.75, ("int8",)),
            FileCase("relu", 65, 0.35, ("int8",)),
            FileCase("silu", 64, 1.0, ("int8",)),
            FileCase("hard_swish", 96, 0.5, ("fp32", "fp16", "dynamic", "int8")),
        ),
    ),
    "mobilenet_v3_large": StudentFacts(
        millions=5.4,
        files=(
            FileCase("relu6", 64, 0.25, ("int8",)),
            FileCase("relu", 33, 0.25, ("int8",)),
            FileCase("silu", 32, 0.25, ("int8",)),
            FileCase("hard_swish", 32, 0.25, ("int8",)),
        ),
    ),
}
SOURCES = {
    "mobilenet_v3_small": keras.applications.MobileNetV3Small,
    "mobilenet_v3_large": keras.applications.MobileNetV3Large,
}


def write_h5(model: keras.Model, path: Path) -> None:
    """Writes the layout in which keras.applications publishes its weights."""
    layers = [layer for layer in model.layers if layer.weights]
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [layer.name.encode() for layer in layers]
        for layer in layers:
            group = file.create_group(layer.name)
            group.attrs["weight_names"] = [f"{layer.name}/{n}".encode() for n in range(len(layer.weights))]
            for n, value in enumerate(layer.get_weights()):
                group.create_dataset(f"{layer.name}/{n}", data=value)


def random_source(name: str, width: float, classes: int) -> keras.Model:
    """A MobileNetV3 of keras.applications with random weights, whose features depend on the image down to the logits.

    One batch in training mode, without momentum, makes the moving statistics those of its features.
    """
    model = SOURCES[name](
        input_shape=(64, 64, 3), alpha=width, weights=None, classes=classes, classifier_activation=None, dropout_rate=0
    )
    rng = np.random.default_rng(5)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
            count = layer.gamma.shape[0]
            layer.gamma.assign(rng.uniform(0.5, 1.5, count))
            layer.beta.assign(rng.normal(0, 0.3, count))
        elif len(layer.weights) == 2:
            layer.bias.assign(rng.normal(0, 0.3, layer.bias.shape))
    model(photos(8), training=True)
    return model


def photos(count: int) -> np.ndarray:
    return np.random.default_rng(2).integers(0, 256, (count, 64, 64, 3)).astype(np.float32)


def answers(model: keras.Model, images: np.ndarray) -> np.ndarray:
    return np.asarray(model(images, training=False))


@pytest.mark.parametrize(("name", "width"), [("mobilenet_v3_small", 0.75), ("mobilenet_v3_large", 1.0)])
def test_every_weight_is_loaded_in_its_place(name: str, width: float) -> None:
    """Given the same normalised pixels, the untouched weights give the same logits."""
    source = random_source(name, width, classes=7)
    ours = build_student(Student(model=name, width=width, activation="hard_swish"), signature(64), classes=7, seed=1)
    load_by_name(ours, {layer.name: layer.get_weights() for layer in source.layers if layer.weights}, (), "source")
    images = photos(8)
    expected = answers(source, images * np.float32(127.5 / 128.0))
    assert expected.std(axis=0).mean() > 0.05  # else the comparison would say nothing
    np.testing.assert_allclose(answers(ours, images), expected, atol=1e-5)


def test_stem_takes_over_the_other_normalisation(tmp_path: Path) -> None:
    """Exact inside; a zero padded at the right and lower border means a grey level half a step off."""
    source = random_source("mobilenet_v3_small", 1.0, classes=7)
    write_h5(source, tmp_path / "source.h5")
    student = Student(activation="hard_swish", weights=str(tmp_path / "source.h5"))
    ours = build_student(student, signature(64), classes=7, seed=1)
    images = photos(8)
    theirs, mine = (answers(keras.Model(m.input, m.get_layer("conv_bn").output), images) for m in (source, ours))
    np.testing.assert_allclose(mine[:, :-1, :-1], theirs[:, :-1, :-1], atol=1e-5)
    np.testing.assert_allclose(mine, theirs, atol=0.02)
    np.testing.assert_allclose(answers(ours, images), answers(source, images), atol=5e-3)


def test_another_number_of_classes_keeps_the_body(tmp_path: Path) -> None:
    source = random_source("mobilenet_v3_small", 0.75, classes=7)
    path = tmp_path / "source.h5"
    write_h5(source, path)
    student = Student(width=0.75, weights=str(path))
    first, second = (build_student(student, signature(64), classes=3, seed=seed) for seed in (1, 2))
    different = [w.path for w, v in zip(first.weights, second.weights, strict=True) if not np.array_equal(w, v)]
    assert different == ["logits/kernel"]
    with pytest.raises(RequestError, match="Check the variant and the width"):
        build_student(Student(width=0.5, weights=str(path)), signature(64), classes=3, seed=1)


def test_imagenet_of_another_width_is_refused_before_any_download() -> None:
    with pytest.raises(RequestError, match=r"width 0\.75 and 1"):
        build_student(Student(width=0.5, weights="imagenet"), signature(64), classes=3, seed=1)


@pytest.mark.parametrize("content", [b"", b"not hdf5", b"\x89HDF\r\n\x1a\n" + b"\0" * 50])
def test_damaged_weights_get_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.h5"
    path.write_bytes(content)
    with pytest.raises(RequestError, match="not a weights file of Keras"):
        read_h5(path, str(path))
