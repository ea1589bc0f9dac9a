"""ONNX files: what onnxruntime makes of them, and the calibration cache beside them."""

import importlib.util
import struct
from pathlib import Path

import numpy as np
import pytest

from tests.writers.conftest import CARD, SIGNATURE, SIZE, Exported
from tfkd.errors import RequestError
from tfkd.inputs.image.tensors import signature
from tfkd.recipe import Export
from tfkd.verification import VerifyError
from tfkd.writers import Calibration, Card, ExportedFile, check_installed
from tfkd.writers.graph import frozen

FILE = ExportedFile("onnx/tiny.onnx", "onnx", "fp32")
INSTALLED = all(importlib.util.find_spec(name) for name in ("onnx", "onnxruntime", "tf2onnx"))
needs_extra = pytest.mark.skipif(not INSTALLED, reason='the extra "onnx" is not installed')


@pytest.fixture(scope="module")
def folder(exported: Exported, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tfkd.writers import onnx

    folder = tmp_path_factory.mktemp("onnx")
    with frozen(exported.model, CARD) as graph:
        for name in ("first", "second"):
            onnx.write(graph, FILE, folder / name / "tiny.onnx", CARD, Calibration(exported.images))
    return folder / "first"


@needs_extra
def test_raw_pixels_give_kerass_probabilities(folder: Path, exported: Exported) -> None:
    from tfkd.verification import onnx

    found = onnx.predict(folder / "tiny.onnx", [exported.images[:30], exported.images[30:]])
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, exported.probabilities, atol=1e-5)
    ends = onnx.check(folder / "tiny.onnx", CARD, SIGNATURE)
    assert (ends.input.shape, ends.output.shape) == ([1, SIZE, SIZE, 3], [1, 3])
    assert onnx.labels(folder / "tiny.onnx") == CARD.classes


@needs_extra
def test_equal_models_give_equal_bytes(folder: Path) -> None:
    for name in ("tiny.onnx", "tiny.calibration", "TENSORRT.md"):
        assert (folder / name).read_bytes() == (folder.parent / "second" / name).read_bytes()


@needs_extra
def test_the_cache_has_a_scale_for_every_tensor(folder: Path, exported: Exported) -> None:
    import onnx

    header, *lines = (folder / "tiny.calibration").read_text().splitlines()
    scales = {name: struct.unpack(">f", bytes.fromhex(digits))[0] for name, digits in (x.split(": ") for x in lines)}
    assert header == "TRT-8600-EntropyCalibration2"
    assert scales["image"] == pytest.approx(exported.images.max() / 127)
    assert scales["probabilities"] == pytest.approx(exported.probabilities.max() / 127, rel=1e-4)
    model = onnx.load(folder / "tiny.onnx")
    computed = {name for node in model.graph.node if node.op_type != "Constant" for name in node.output}
    assert computed | {"image"} == set(scales)
    assert "--onnx=tiny.onnx --int8 --fp16 --calib=tiny.calibration" in (folder / "TENSORRT.md").read_text()


@needs_extra
@pytest.mark.parametrize("damage", ["absent", "cut", "empty", "other classes", "other size"])
def test_other_inputs_outputs_or_labels_are_refused(folder: Path, tmp_path: Path, damage: str) -> None:
    from tfkd.verification import onnx

    content = (folder / "tiny.onnx").read_bytes()
    path = tmp_path / "tiny.onnx"
    if damage != "absent":
        path.write_bytes({"cut": content[:-200], "empty": b""}.get(damage, content))
    card = Card("tiny", ("cat", "dog", "bird"), "", "", "", "") if damage == "other classes" else CARD
    with pytest.raises(VerifyError) as caught:
        onnx.check(path, card, signature(64) if damage == "other size" else SIGNATURE)
    assert "tiny.onnx" in str(caught.value) and "\n" not in str(caught.value)


def test_a_missing_extra_is_reported_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    check_installed(Export())
    with pytest.raises(RequestError, match=r'pip install "tfkd\[onnx\]"'):
        check_installed(Export(onnx=True))
