from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from tests.verification.conftest import CARD, SIGNATURE, SIZE, Exported
from tfkd.verification import VerifyError, tflite
from tfkd.writers.tflite import write_tflite


def test_predicts_what_keras_does(exported: Exported) -> None:
    pixels = exported.images.astype(np.float32)
    batches = [pixels[:7], pixels[7:8], pixels[8:]]
    answers = tflite.predict(exported.path("_fp32.tflite"), batches)
    assert answers.dtype == np.float32
    np.testing.assert_allclose(answers, exported.probabilities, atol=1e-5)
    assert len(np.unique(answers, axis=0)) > 10, "the order of the predictions would not be proved"


def test_int8_predictions_are_dequantized(exported: Exported) -> None:
    path = exported.path("_int8.tflite")
    answers = tflite.predict(path, [exported.images])
    assert np.abs(answers - exported.probabilities).max() < 0.05
    np.testing.assert_array_equal(answers * 256, np.rint(answers * 256))
    nudged = exported.images.astype(np.float32) + 0.4
    np.testing.assert_array_equal(
        tflite.predict(path, [nudged]), answers, "pixels are rounded to the nearest, not down"
    )


def test_no_images_give_no_predictions(exported: Exported) -> None:
    assert tflite.predict(exported.path("_fp32.tflite"), []).shape == (0, 3)


def test_input_and_output(exported: Exported) -> None:
    float_io, int8_io = (tflite.check(exported.path(f"_{kind}.tflite"), CARD, SIGNATURE) for kind in ("fp32", "int8"))
    assert (float_io.input.name, float_io.output.name) == ("image", "probabilities")
    assert (float_io.input.shape, float_io.input.dtype) == ([1, SIZE, SIZE, 3], "float32")
    assert (float_io.input.range, float_io.output.range) == ([0, 255], [0, 1])
    assert (float_io.input.scale, float_io.input.zero_point) == (None, None)
    assert (int8_io.input.dtype, int8_io.input.scale, int8_io.input.zero_point) == ("uint8", 1 / 128, 128)
    assert (int8_io.input.range, int8_io.output.range) == ([-1, 127 / 128], [0, 255 / 256])


@pytest.mark.parametrize("precision", ["fp32", "fp16", "dynamic", "int8"])
def test_graph_runs_in_one_partition(exported: Exported, precision: str) -> None:
    delegation = tflite.delegation(exported.path(f"_{precision}.tflite"))
    assert (delegation.partitions, delegation.outside) == (1, [])
    assert delegation.operators >= 8


def test_operators_outside_xnnpack_are_reported(tmp_path: Path, images: np.ndarray) -> None:
    image = keras.Input((SIZE, SIZE, 3))
    x = keras.layers.Conv2D(8, 3, strides=2)(keras.layers.Rescaling(1 / 128, offset=-1)(image))
    model = keras.Model(image, keras.layers.Dense(3)(keras.layers.GlobalAveragePooling2D()(x)))
    write_tflite(model, "16x8", tmp_path / "x.tflite", CARD, images)
    assert "CONV_2D" in tflite.delegation(tmp_path / "x.tflite").outside


def test_labels(exported: Exported) -> None:
    assert tflite.labels(exported.path("_int8.tflite")) == CARD.classes


@pytest.mark.parametrize("share", [0.0, 0.001, 0.1, 0.5, 0.9])
def test_a_truncated_file_is_refused_in_one_line(exported: Exported, tmp_path: Path, share: float) -> None:
    content = exported.path("_int8.tflite").read_bytes()
    refused(tmp_path / "cut.tflite", content[: int(share * len(content))])


def test_a_file_that_lost_its_end_has_no_labels(exported: Exported, tmp_path: Path) -> None:
    path = tmp_path / "cut.tflite"
    path.write_bytes(exported.path("_int8.tflite").read_bytes()[:-40])
    with pytest.raises(VerifyError, match=r"holds no readable labels\.txt"):
        tflite.labels(path)


@pytest.mark.parametrize(
    "content", [b"", b"garbage" * 1000, b"\xff\xff\xff\x7fTFL3" + bytes(5000), b"PK\x03\x04TFL3\xff"]
)
def test_a_hostile_file_is_one_line(tmp_path: Path, content: bytes) -> None:
    refused(tmp_path / "hostile.tflite", content)


def refused(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    for read in (tflite.io, tflite.delegation, lambda path: tflite.predict(path, [])):
        with pytest.raises(VerifyError, match=r"is no \.tflite file but|is a damaged|cannot be loaded by") as caught:
            read(path)
        assert "\n" not in str(caught.value)


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(VerifyError, match=r"gone\.tflite: cannot be read: No such file"):
        tflite.io(tmp_path / "gone.tflite")


def test_images_of_another_size_are_one_line(exported: Exported) -> None:
    with pytest.raises(VerifyError, match=r"cannot be run on an input \(16, 16, 3\)"):
        tflite.predict(exported.path("_fp32.tflite"), [np.zeros((2, 16, 16, 3), np.float32)])


def test_nan_predictions_are_refused(exported: Exported) -> None:
    broken: Any = np.full((1, SIZE, SIZE, 3), np.nan, np.float32)
    with pytest.raises(VerifyError, match="not finite numbers"):
        tflite.predict(exported.path("_fp32.tflite"), [broken])


def test_the_oldest_runtime_is_the_one_that_the_converter_states(exported: Exported) -> None:
    stated = {kind: tflite.min_runtime(exported.path(f"_{kind}.tflite")) for kind in ("fp32", "fp16", "int8")}
    assert all(each and each.startswith("TensorFlow Lite ") for each in stated.values())
    numbers = {kind: tuple(map(int, str(each).split()[-1].split("."))) for kind, each in stated.items()}
    assert numbers["fp32"] < numbers["fp16"], "weights in float16 need a newer DEQUANTIZE"
    versions = tflite.operator_versions(exported.path("_int8.tflite"))
    assert versions["CONV_2D"] >= 3 and list(versions) == sorted(versions)


def test_a_version_that_is_none_is_not_stated(exported: Exported, tmp_path: Path) -> None:
    content = exported.path("_fp32.tflite").read_bytes()
    version = str(tflite.min_runtime(exported.path("_fp32.tflite"))).split()[-1].encode()
    assert content.count(version) == 1
    (tmp_path / "x.tflite").write_bytes(content.replace(version, b"\x1b[1m\0"[: len(version)]))
    assert tflite.min_runtime(tmp_path / "x.tflite") is None


def test_litert_runs_without_xnnpack(exported: Exported) -> None:
    images = [exported.images]
    for kind, nearness in (("fp32", 1e-5), ("int8", 0.2)):
        path = exported.path(f"_{kind}.tflite")
        np.testing.assert_allclose(
            tflite.predict(path, images, own_kernels=True), exported.probabilities, atol=nearness
        )
    interpreter = tflite.load(path, experimental_op_resolver_type=tflite._OWN_KERNELS)
    assert not any(operator["op_name"] == "DELEGATE" for operator in interpreter._get_ops_details())
