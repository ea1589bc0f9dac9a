"""One contract for every family of teachers, and models of the user as teachers."""

from pathlib import Path

import keras
import numpy as np
import pytest

from tests.models import families
from tests.models.teachers import photos, untrained
from tfkd.errors import RequestError
from tfkd.inputs.image.normalization import parse
from tfkd.models import TEACHERS, build_teacher


@pytest.mark.parametrize(("name", "facts"), families.teachers().items())
def test_layout_is_normalisation_backbone_head(name: str, facts: families.TeacherFacts) -> None:
    size = facts.size
    model = build_teacher(untrained(name, image_size=size), classes=5, seed=1)
    assert model.input_shape == (None, size, size, 3)
    backbone, head = model.layers[-2:]
    assert (backbone.name, head.name) == ("backbone", "head")
    assert all(not layer.trainable_weights for layer in model.layers[:-2])
    assert len(backbone.output.shape) == 2
    logits = model(photos(size), training=False)
    assert logits.shape == (2, 5)
    assert np.isfinite(logits).all()


def test_every_family_is_tested() -> None:
    listed = {kind.module for kind in TEACHERS.values() if kind.takes == "image"}
    assert {TEACHERS[name].module for name in families.teachers()} == listed


def test_the_seed_decides_the_weights() -> None:
    first, again, other = (build_teacher(untrained("resnet20"), 5, seed).get_weights() for seed in (1, 1, 2))
    assert all(map(np.array_equal, first, again))
    assert not all(map(np.array_equal, first, other))


@pytest.mark.slow
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
def test_an_own_teacher_gets_the_pixels_that_it_was_trained_on(tmp_path: Path, text: str) -> None:
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
