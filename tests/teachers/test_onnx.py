"""ONNX files as teachers."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from tests.teachers.conftest import Filled
from tests.teachers.networks import KERNEL, SIDE, colours
from tfkd.data import Dataset
from tfkd.errors import RequestError
from tfkd.inputs.image.normalization import parse
from tfkd.models.onnx_file import OnnxFile
from tfkd.recipe import FineTune, Teacher


def opened(path: Path, normalization: str = "tf", **arguments: Any) -> OnnxFile:
    return OnnxFile(path, parse(normalization), **arguments)


def log_softmax(logits: np.ndarray) -> np.ndarray:
    return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))


@pytest.mark.parametrize(
    ("shape", "end"),
    [
        (("batch", SIDE, SIDE, 3), "Softmax"),
        ((1, 3, SIDE, SIDE), None),
        ((7, 3, "height", "width"), "LogSoftmax"),
    ],
)
def test_it_predicts_as_it_is(
    filled: Callable[..., Filled],
    means: dict[str, np.ndarray],
    tmp_path: Path,
    shape: tuple[Any, ...],
    end: str | None,
) -> None:
    path = colours(tmp_path / "t.onnx", shape=shape, end=end)
    found = filled(Teacher(model=str(path), normalization="tf", image_size=SIDE))
    assert (found.result.accuracy, found.result.image_size, found.result.parameters) == (1.0, SIDE, 17)
    expected = {name: log_softmax(each @ KERNEL) if end else each @ KERNEL for name, each in means.items()}
    np.testing.assert_allclose(found.logits, expected["test"], atol=1e-4)
    stored = found.store.read(np.arange(len(expected["train"])), 0)["logits"]
    np.testing.assert_allclose(stored, expected["train"], rtol=2e-3, atol=1e-4)


def test_labels_name_its_outputs(filled: Callable[..., Filled], tmp_path: Path) -> None:
    path = colours(tmp_path / "t.onnx", kernel=np.concatenate([np.zeros((3, 1)), KERNEL], axis=1, dtype=np.float32))
    found = filled(Teacher(model=str(path), normalization="tf", labels=["grey", "blue", "green", "red"]))
    assert found.result.accuracy == 1.0 and found.logits.shape[1] == 3


def test_a_head_is_trained_where_its_outputs_are_no_classes(
    filled: Callable[..., Filled], data: Dataset, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    path = colours(tmp_path / "t.onnx", kernel=rng.normal(size=(3, 20)).astype(np.float32))
    tuning = FineTune(epochs=0, head_epochs=5, auto=True)
    found = filled(Teacher(model=str(path), normalization="tf", fine_tune=tuning))
    assert found.result.accuracy == 1.0 and found.result.seconds > 0
    kernel = np.load(found.folder / "teacher" / "head.npz")["arr_0"]
    assert kernel.shape == (3, len(data.classes))  # on what the last dense layer takes


def test_class_embeddings_need_no_labels(filled: Callable[..., Filled], tmp_path: Path) -> None:
    np.save(tmp_path / "classes.npy", KERNEL.T)
    path = colours(tmp_path / "encoder.onnx", outputs=("pooled",))
    teacher = Teacher(model=str(path), class_embeddings=str(tmp_path / "classes.npy"))
    found = filled(teacher)
    assert found.result.accuracy == 1.0
    pooled = opened(path, "none")
    with pooled:
        rows = pooled.rows(np.full((1, SIDE, SIDE, 3), (30, 60, 90), np.float32))
    cosines = (rows / np.linalg.norm(rows)) @ np.eye(3)[::-1]
    np.testing.assert_allclose(cosines, [[0.8018, 0.5345, 0.2673]], atol=1e-3)
    assert np.abs(found.logits).max() <= 100
    with pytest.raises(RequestError, match="has equal embeddings of 'blue' and 'red'"):
        np.save(tmp_path / "classes.npy", KERNEL.T[[0, 1, 0]])
        filled(teacher)
    with pytest.raises(RequestError, match=r"is \[2, 3\].*needs \[3, 3\]"):
        np.save(tmp_path / "classes.npy", KERNEL[:2])
        filled(teacher)


def test_its_inner_tensors_are_features(filled: Callable[..., Filled], data: Dataset, tmp_path: Path) -> None:
    path = colours(tmp_path / "t.onnx")
    found = filled(Teacher(model=str(path), normalization="tf"), taps=("map", "penultimate", "tokens"))
    stored = found.store.read(np.arange(3), 0)
    assert [stored[tap].shape for tap in ("map", "penultimate", "tokens")] == [
        (3, SIDE, SIDE, 3),
        (3, 3),
        (3, SIDE**2, 3),
    ]
    np.testing.assert_allclose(stored["map"].reshape(3, -1, 3), stored["tokens"], atol=1e-6)
    np.testing.assert_allclose(stored["map"].mean(axis=(1, 2)), stored["penultimate"], atol=1e-3)


def with_data(path: Path, location: str) -> None:
    """Moves the kernel of a file to another one."""
    colours(path)
    model = onnx.load_model(path)
    (kernel,) = (tensor for tensor in model.graph.initializer if tensor.name == "kernel")
    onnx.external_data_helper.set_external_data(kernel, location)
    (path.parent / location).write_bytes(kernel.raw_data)
    kernel.ClearField("raw_data")
    path.write_bytes(model.SerializeToString())


def test_weights_may_lie_beside_it_and_nowhere_else(tmp_path: Path) -> None:
    (tmp_path / "inside").mkdir()
    with_data(tmp_path / "inside" / "t.onnx", "t.onnx.data")
    with opened(tmp_path / "inside" / "t.onnx") as file:
        assert file.rows(np.zeros((2, SIDE, SIDE, 3))).shape == (2, 3)
    with_data(tmp_path / "inside" / "t.onnx", "../stolen")
    with pytest.raises(RequestError, match=r"keeps weights in '../stolen', outside of its folder"):
        opened(tmp_path / "inside" / "t.onnx")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"inputs": 2}, "has 2 inputs .image, image_.; a teacher takes one image"),
        ({"outputs": ("logits", "pooled")}, "has 2 outputs .logits, pooled.; choose one: output='logits'"),
        ({"shape": ("batch", 3, 32, 48)}, "takes images of 32 × 48; a teacher takes square ones"),
        ({"shape": ("batch", 1, 32, 32)}, "not images of three channels"),
        ({"shape": ("batch", 3072)}, "takes .None, 3072.; a teacher takes"),
        ({"shape": ("batch", 3, "h", "w")}, "takes images of any size; set one: image_size=224"),
        ({"dtype": TensorProto.INT64}, "takes int64; a teacher takes an image of float32"),
        ({"operator": "SelfDestruct"}, "cannot be loaded by onnxruntime: .*SelfDestruct"),
        ({"end": "Sigmoid"}, "gives probabilities, but they sum to .* give logits"),
        ({"kernel": np.full((3, 3), np.nan, np.float32)}, "gives NaN or infinity"),
        ({"kernel": np.zeros((3, 5), np.float32)}, "gives 5 numbers per image, the classes are 3; name its outputs"),
        ({"outputs": ("map",)}, "numbers per image, not a row"),
    ],
)
def test_a_file_that_cannot_be_a_teacher_is_refused_in_one_line(
    filled: Callable[..., Filled], tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    path = colours(tmp_path / "bad.onnx", **changes)
    with pytest.raises(RequestError, match=message) as caught:
        filled(Teacher(model=str(path), normalization="tf", fine_tune=None))
    assert "bad.onnx" in str(caught.value) and "\n" not in str(caught.value)


def test_other_bytes_and_settings_are_refused(filled: Callable[..., Filled], tmp_path: Path) -> None:
    bad, good = tmp_path / "bad.onnx", colours(tmp_path / "t.onnx")
    for content in (b"", b"\x08\x07no", good.read_bytes()[:90]):
        bad.write_bytes(content)
        with pytest.raises(RequestError, match="is no ONNX file"):
            opened(bad)
    with pytest.raises(RequestError, match="There is no model file"):
        opened(tmp_path / "none.onnx")
    with pytest.raises(RequestError, match=r"has no tensor 'poled'. Did you mean 'pooled'"):
        opened(good, output="poled")
    with pytest.raises(RequestError, match="takes 32 px images but image_size is 64"):
        opened(good, image_size=64)
    with pytest.raises(RequestError, match=r"layers cannot be trained; set fine_tune.epochs=0"):
        filled(Teacher(model=str(good), fine_tune=FineTune(epochs=2)))
    with pytest.raises(RequestError, match="reads logit_scale only with class_embeddings"):
        Teacher(model="t.onnx", logit_scale=10)
    with pytest.raises(RequestError, match="is read without weights; leave weights out"):
        Teacher(model="t.onnx", weights="imagenet")
