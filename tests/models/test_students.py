"""One contract for every student, whatever its family."""

import random
from pathlib import Path

import keras
import numpy as np
import pytest
import tf_keras

from tests.models import families
from tfkd.errors import RequestError
from tfkd.inputs.image.tensors import signature
from tfkd.models import build_student, student_source, students_of
from tfkd.models.cost import multiply_adds
from tfkd.recipe import Student

STUDENTS = students_of("image")
SMALLEST = {"image_size": 32, "classes": 5, "width": 0.25, "dropout": 0.2, "batch_norm_momentum": 0.9}


def photos(count: int, size: int) -> np.ndarray:
    return np.random.default_rng(7).integers(0, 256, (count, size, size, 3)).astype(np.float32)


def randomise(model: keras.Model) -> None:
    """Sets every weight, moving statistics included, to a value that no layer starts with."""
    rng = np.random.default_rng(3)
    model.set_weights([value + rng.uniform(0.01, 0.1, value.shape) for value in model.get_weights()])


@pytest.mark.parametrize("name", STUDENTS)
def test_costs_are_as_listed_and_the_papers(name: str) -> None:
    model = build_student(Student(model=name), signature(224), classes=1000, seed=1)
    assert (model.count_params(), multiply_adds(model)) == (STUDENTS[name].parameters, STUDENTS[name].multiply_adds)
    trainable = sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)
    assert trainable / 1e6 == pytest.approx(families.student(name).millions, rel=0.02)


SIZES = [(name, size) for name in STUDENTS for size in families.student(name).sizes]


@pytest.mark.parametrize(("name", "size"), SIZES)
def test_last_feature_map_is_never_a_single_pixel(name: str, size: int) -> None:
    model = student_source(Student(model=name))(keras, activation="relu6", **SMALLEST | {"image_size": size})
    side = model.get_layer("pool").input.shape[1]
    assert 2 <= side <= 6


@pytest.mark.parametrize("name", STUDENTS)
def test_starts_the_same_from_a_seed_and_ends_in_linear_logits_of_raw_pixels(name: str) -> None:
    student = Student(model=name, width=0.25)
    before = random.getstate()
    model, again = (build_student(student, signature(32), classes=5, seed=1) for _ in range(2))
    assert random.getstate() == before
    assert all(map(np.array_equal, model.get_weights(), again.get_weights()))
    rescale, last = model.layers[1], model.layers[-1]
    np.testing.assert_allclose(rescale(np.array([0.0, 128.0, 255.0])), [-1.0, 0.0, 127 / 128], atol=1e-7)
    assert (last.name, last.activation) == ("logits", keras.activations.linear)
    logits = np.asarray(model(photos(3, 32), training=False))
    assert logits.shape == (3, 5)
    assert logits.dtype == np.float32
    assert np.isfinite(logits).all()
    assert logits.std() > 0


ALIKE = [(name, activation) for name in STUDENTS for activation in families.student(name).alike]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "activation"), ALIKE)
def test_the_tf_keras_copy_gives_the_same_logits(name: str, activation: str) -> None:
    source = student_source(Student(model=name))
    model = source(keras, activation=activation, **SMALLEST)
    copy = source(tf_keras, activation=activation, **SMALLEST)
    assert [layer.name for layer in copy.layers] == [layer.name for layer in model.layers]
    randomise(model)
    copy.set_weights(model.get_weights())
    images = photos(2, 32)
    expected = np.asarray(model(images, training=False))
    closeness = families.student(name).closeness
    np.testing.assert_allclose(np.asarray(copy(images, training=False)), expected, rtol=closeness, atol=1e-5)


def test_another_seed_is_another_start() -> None:
    first, other = (
        build_student(Student(model="squeezenet_1_1"), signature(32), 5, seed).get_weights() for seed in (1, 2)
    )
    assert not all(map(np.array_equal, first, other))


def test_every_kernel_starts_differently() -> None:
    model = build_student(Student(model="mobilenet_v3_small"), signature(32), classes=5, seed=1)
    kernels = [layer.kernel.numpy().ravel()[:9] for layer in model.layers if hasattr(layer, "kernel")]
    assert len({kernel.tobytes() for kernel in kernels}) == len(kernels)


def test_width_scales_channels_in_eights() -> None:
    model = student_source(Student())(keras, activation="relu6", **SMALLEST | {"width": 0.75})
    filters = [layer.filters for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
    assert all(count % 8 == 0 for count in filters)
    assert max(filters) == 432


def test_unknown_student_names_the_nearest() -> None:
    with pytest.raises(RequestError, match=r"Did you mean 'squeezenet_1_[01]'"):
        build_student(Student(model="squeezenet"), signature(32), classes=5, seed=1)


TINY = """
def build(k, *, image_size, classes, width, activation, dropout, batch_norm_momentum):
    inputs = k.Input((image_size, image_size, 3))
    x = k.layers.GlobalAveragePooling2D()(inputs)
    return k.Model(inputs, k.layers.Dense(classes)(x))

def too_many(k, *, classes, **others):
    return build(k, classes=classes + 1, **others)

def nothing(k, **arguments):
    return None

def one_argument(k, image_size):
    return None

def broken(k, **arguments):
    k.Input((32, 32, 3), batch_size="two")

def ends_in_softmax(k, **arguments):
    plain = build(k, **arguments)
    return k.Model(plain.input, k.layers.Softmax()(plain.output))

def hides_softmax(k, **arguments):
    plain = build(k, **arguments)
    return k.Model(plain.input, k.layers.Lambda(lambda x: k.ops.softmax(x / 2))(plain.output))

number = 3
"""


@pytest.fixture
def own_module(tmp_path, monkeypatch):
    (tmp_path / "own_student.py").write_text(TINY)
    (tmp_path / "half_written.py").write_text("def build(")
    monkeypatch.syspath_prepend(tmp_path)
    return "own_student"


def test_own_student_by_import_path(own_module: str) -> None:
    model = build_student(Student(model=f"{own_module}:build"), signature(32), classes=5, seed=1)
    assert model.output_shape == (None, 5)


def test_the_softmax_of_an_own_student_is_taken_off(own_module: str, tmp_path: Path) -> None:
    images = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3)).astype(np.float32)
    plain, softly = (
        build_student(Student(model=f"{own_module}:{name}"), signature(32), classes=5, seed=1)
        for name in ("build", "ends_in_softmax")
    )
    np.testing.assert_array_equal(softly(images), plain(images))
    softly.save(tmp_path / "student.keras")
    np.testing.assert_array_equal(keras.saving.load_model(tmp_path / "student.keras")(images), plain(images))


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("{}:hides_softmax", "cannot be removed"),
        ("no_such_package:build", "Cannot import 'no_such_package'"),
        (":build", "Cannot import ''"),
        ("half_written:build", "Cannot import 'half_written' .*was never closed"),
        ("{}:missing", "has no 'missing'"),
        ("{}:number", "is a int, not a function"),
        ("{}:nothing", "is a NoneType, not a keras.Model"),
        ("{}:too_many", "the data has 5 classes"),
        ("{}:one_argument", "failed, called with image_size, classes, .*unexpected keyword argument 'classes'"),
        ("{}:broken", r"own_student.py:\d+: \w+Error: "),
    ],
)
def test_an_own_student_that_is_not_a_model_gets_one_line(own_module: str, path: str, says: str) -> None:
    with pytest.raises(RequestError, match=says):
        build_student(Student(model=path.format(own_module)), signature(32), classes=5, seed=1)


@pytest.mark.parametrize("name", ["start.weights.h5", "start.keras"])
def test_continues_from_its_own_file(tmp_path, name: str) -> None:
    student = Student(model="squeezenet_1_1", width=0.25, weights=str(tmp_path / name))
    model = build_student(student.model_copy(update={"weights": "none"}), signature(32), classes=5, seed=1)
    model.save_weights(student.weights) if name.endswith(".h5") else model.save(student.weights)
    copy = build_student(student, signature(32), classes=5, seed=2)
    assert all(map(np.array_equal, copy.get_weights(), model.get_weights()))
    with pytest.raises(RequestError, match="squeezenet_1_1"):
        build_student(student.model_copy(update={"width": 0.5}), signature(32), classes=5, seed=1)


def test_another_number_of_classes_keeps_the_body_of_a_keras_file(tmp_path) -> None:
    student = Student(model="squeezenet_1_1", width=0.25, weights=str(tmp_path / "start.keras"))
    model = build_student(student.model_copy(update={"weights": "none"}), signature(32), classes=5, seed=1)
    model.save(student.weights)
    other = build_student(student, signature(64), classes=7, seed=2)
    assert all(map(np.array_equal, other.get_weights()[:-2], model.get_weights()[:-2]))
    assert other.output_shape == (None, 7)


def test_missing_weights_file_gets_one_line() -> None:
    with pytest.raises(RequestError, match="no weights file"):
        build_student(Student(model="squeezenet_1_1", weights="absent.keras"), signature(32), classes=5, seed=1)
