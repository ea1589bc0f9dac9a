import json
import math
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.data import photos as pictures
from tests.verification.conftest import CARD, SIGNATURE, SIZE, Exported
from tests.writers.conftest import make_model
from tfkd.commands import app
from tfkd.errors import RequestError
from tfkd.verification import tflite
from tfkd.verification.inspect import ComparedOn, _examples, inspect, inspect_apart, sibling
from tfkd.verification.noise import _matched, compare
from tfkd.verification.operators import Operand, Operator
from tfkd.writers.tflite import write_tflite


@pytest.fixture(scope="module")
def louder(exported: Exported, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The float file of the same network with its logits 1/16 larger, under other layer names."""
    model = make_model()
    model.set_weights(exported.model.get_weights())
    *others, kernel, bias = model.get_weights()
    model.set_weights([*others, kernel * (1 + 1 / 16), bias * (1 + 1 / 16)])
    path = tmp_path_factory.mktemp("louder") / "louder_fp32.tflite"
    write_tflite(model, "fp32", path, CARD, exported.images)
    yield path


def test_a_file_has_no_noise_against_itself(exported: Exported) -> None:
    path = exported.path("_fp32.tflite")
    found = compare(path, path, exported.images[:2])
    assert len(found.layers) >= 8
    assert {layer.signal_to_noise for layer in found.layers} == {None}
    assert [layer.number for layer in found.layers] == [layer.against for layer in found.layers]


def test_noise_is_in_decibels_of_power(exported: Exported, louder: Path) -> None:
    """Logits off by 1/16 of themselves: 20 log10(16) = 24.08 dB; what comes before them is untouched."""
    found = compare(louder, exported.path("_fp32.tflite"), exported.images[:4])
    ratios = {layer.kind: layer.signal_to_noise for layer in found.layers}
    assert found.unmatched == ()
    assert ratios["FULLY_CONNECTED"] == pytest.approx(20 * math.log10(16), abs=0.01)
    before = [layer.signal_to_noise for layer in found.layers if layer.kind not in ("FULLY_CONNECTED", "SOFTMAX")]
    assert all(ratio is None or ratio > 100 for ratio in before)
    assert found.worst[0].kind in ("FULLY_CONNECTED", "SOFTMAX")


def test_layers_of_int8_are_matched_and_measured(exported: Exported) -> None:
    found = compare(exported.path("_int8.tflite"), exported.path("_fp32.tflite"), exported.images)
    kinds = [layer.kind for layer in found.layers]
    assert [kind for kind in kinds if kind not in ("MUL", "ADD")] == [
        *("CONV_2D", "CONV_2D", "DEPTHWISE_CONV_2D", "MEAN", "FULLY_CONNECTED", "SOFTMAX")
    ]
    assert all(15 < layer.signal_to_noise < 80 for layer in found.layers if layer.signal_to_noise is not None)
    ratios = [layer.signal_to_noise for layer in found.worst if layer.signal_to_noise is not None]
    assert ratios == sorted(ratios)
    assert found.images == len(exported.images)


def test_the_noise_of_the_softmax_is_that_of_the_predictions(exported: Exported) -> None:
    """Compares with whole runs under XNNPACK, whose predictions also have the rounding to 1/256, of variance 1/12."""
    found = compare(exported.path("_int8.tflite"), exported.path("_fp32.tflite"), exported.images)
    quantized, single = (
        tflite.predict(exported.path(f"_{kind}.tflite"), [exported.images]) for kind in ("int8", "fp32")
    )
    (softmax,) = (layer.signal_to_noise for layer in found.layers if layer.kind == "SOFTMAX")
    assert softmax is not None
    power = np.square(single, dtype=np.float64).sum()
    expected = power / 10 ** (softmax / 10) + single.size / 256**2 / 12
    assert np.square(quantized - single).sum() == pytest.approx(expected, rel=0.25)


def operator(kind: str, name: str, number: int = 0, activation: int = 0) -> Operator:
    operand = Operand(number, name, (1, 4, 4, 8), "int8", 0, 0.1, 0)
    return Operator(number, kind, 1, (operand,), (operand,), {"fusedActivationFunction": activation})


def test_an_activation_that_is_spelled_out_does_not_shift_the_layers() -> None:
    single = [operator(*each) for each in (("CONV_2D", "a"), ("HARD_SWISH", "b"), ("CONV_2D", "c"), ("ADD", "d"))]
    spelled = [
        operator("CONV_2D", "a"),
        operator("ADD", "b_clipped", activation=3),
        operator("MUL", "b_gate"),
        operator("MUL", "b"),
        operator("CONV_2D", "renamed"),
        operator("ADD", "d"),
    ]
    pairs = [(mine.outputs[0].name, reference.outputs[0].name) for mine, reference in _matched(spelled, single)]
    assert pairs == [("a", "a"), ("b", "b"), ("renamed", "c"), ("d", "d")]


def test_names_of_a_fused_operator_have_no_order() -> None:
    ours, theirs = [operator("CONV_2D", "relu;bn;conv")], [operator("DEPTHWISE_CONV_2D", "conv;relu;bn")]
    assert len(_matched(ours, theirs)) == 1
    assert _matched(ours, [operator("DEPTHWISE_CONV_2D", "conv;relu")]) == []


def test_inspect_reports_every_operator_of_a_file(exported: Exported) -> None:
    path = exported.path("_int8.tflite")
    found = inspect(path, examples=exported.images[:2])
    delegation = tflite.delegation(path)
    assert (found.partitions, [row.kind for row in found.outside]) == (delegation.partitions, delegation.outside)
    assert len(found.operators) == delegation.operators
    assert found.bytes == path.stat().st_size > found.compressed > 0
    assert found.stored < found.bytes
    assert found.stored >= 8 * 27 + 16 * 72 + 16 * 9 + 48, "a byte for each weight"
    assert found.comparison is not None
    assert found.comparison.against.endswith("_fp32.tflite")
    assert inspect(path).comparison is None


def test_the_float_file_is_found_in_the_same_folder(exported: Exported, tmp_path: Path) -> None:
    assert sibling(exported.path("_int8.tflite")) == exported.path("_fp32.tflite")
    for path in (tmp_path / "alone_int8.tflite", exported.path("_fp32.tflite")):
        with pytest.raises(RequestError, match=r"_fp32\.tflite to compare it with; name the float file: --against"):
            sibling(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is no .tflite file but an empty file."),
        (b"garbage" * 100, "is no .tflite file but a text file that begins with 'garbage"),
        (b"\x89HDF\r\n\x1a\n" + bytes(64), "is no .tflite file but a damaged HDF5 file."),
        (b"\xff\xff\xff\x7fTFL3" + bytes(5000), "is a damaged .tflite file"),
    ],
)
def test_other_files_are_refused_in_one_line(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "hostile.tflite"
    path.write_bytes(content)
    with pytest.raises(RequestError, match=re.escape(message)) as caught:
        inspect(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_truncated_file_is_refused_in_one_line(exported: Exported, tmp_path: Path, share: float) -> None:
    content = exported.path("_int8.tflite").read_bytes()
    path = tmp_path / "cut.tflite"
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(RequestError, match=r"is a damaged \.tflite file|cannot be loaded by LiteRT: "):
        inspect(path)


def test_different_networks_are_refused(exported: Exported, tmp_path: Path) -> None:
    other = tmp_path / "other_fp32.tflite"
    write_tflite(make_model(size=48), "fp32", other, CARD, exported.images)
    with pytest.raises(RequestError, match="they are different networks"):
        inspect(exported.path("_int8.tflite"), other, exported.images)


def test_another_network_of_the_same_size_is_refused(exported: Exported, tmp_path: Path) -> None:
    import keras

    image = keras.Input((SIZE, SIZE, 3))
    x = keras.layers.MaxPooling2D(2)(keras.layers.Conv2D(4, 5)(image))
    x = keras.layers.MaxPooling2D(2)(keras.layers.Conv2D(5, 5)(x))
    stranger = keras.Model(image, keras.layers.Dense(3)(keras.layers.Flatten()(x)))
    write_tflite(stranger, "fp32", tmp_path / "stranger.tflite", CARD, exported.images)
    with pytest.raises(RequestError, match=r"share \d+ of \d+ operators: they are different networks"):
        inspect(exported.path("_int8.tflite"), tmp_path / "stranger.tflite", exported.images)


def test_images_of_another_size_or_none_are_refused(exported: Exported) -> None:
    path = exported.path("_int8.tflite")
    with pytest.raises(RequestError, match=r"takes \[1, 32, 32, 3\] and cannot be run on an input \(16, 16, 3\)"):
        inspect(path, examples=np.zeros((1, 16, 16, 3), np.uint8))
    with pytest.raises(RequestError, match="no examples to compare"):
        inspect(path, examples=np.zeros((0, SIZE, SIZE, 3), np.uint8))


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("photos")
    pictures.fill(folder / "train", {"cat": 3, "dog": 3})
    pictures.fill(folder / "validation", {"cat": 6, "dog": 6}, start=10)
    pictures.fill(folder / "test", {"cat": 1, "dog": 1}, start=30)
    return f"folder:{folder}"


def test_photos_come_from_the_validation_split_at_the_files_size(exported: Exported, source: str) -> None:
    found = _examples(ComparedOn(source, 8, seed=1), SIGNATURE, None)
    assert (found.shape, found.dtype) == ((8, SIZE, SIZE, 3), np.uint8)
    np.testing.assert_array_equal(found, _examples(ComparedOn(source, 8, seed=1), SIGNATURE, None))
    assert len(_examples(ComparedOn(source, 100, seed=1), SIGNATURE, None)) == 12


def test_the_command_prints_json_and_writes_the_plot(
    exported: Exported, source: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plot = tmp_path / "plot.svg"
    path = str(exported.path("_int8.tflite"))
    app(["inspect", path, "--data", source, "--images", "4", "--out", str(plot), "--json"], standalone_mode=False)
    message = json.loads(capsys.readouterr().out)
    assert message["path"] == path
    assert message["comparison"]["images"] == 4
    assert {report["delegate"].split()[0] for report in message["delegates"]} == {"GPU", "NNAPI", "Core", "Apple"}
    assert "<svg" in plot.read_text()


def test_a_file_is_inspected_in_a_separate_process(
    exported: Exported, source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tflite, "load", None)  # here; the process apart has its own
    path = exported.path("_int8.tflite")
    found = inspect_apart(path, ComparedOn(source, 2, seed=1))
    assert found.comparison is not None and found.comparison.images == 2
    assert found.comparison.pixels_against == "RGB from 0 to 255 (its metadata)"
