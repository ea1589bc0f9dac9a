"""`tfkd export`: a trained classifier of the user becomes a verified bundle."""

import contextlib
import io
import json
import re
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

from tfkd import cli
from tfkd.bundle.manifest import Manifest
from tfkd.errors import RequestError
from tfkd.inputs.image.normalization import parse
from tfkd.labels import read_labels
from tfkd.pipeline.own_request import name_of, request

SIZE = 32
COLOURS = {"dark, red": (150, 20, 20), 'the "green" 🐸': (20, 150, 20), "blue": (20, 20, 150)}
LABELS = ["blue", "grey", 'the "green" 🐸', "dark, red"]  # another order than the folders', and a class without photos


def write_photos(folder: Path, test: int = 4) -> None:
    """Writes 8 noisy training photos per colour, and some test photos."""
    rng = np.random.default_rng(2)
    for split, count in (("train", 8), ("test", test)):
        for name, colour in COLOURS.items():
            (folder / split / name).mkdir(parents=True)
            for number in range(count):
                noise = rng.integers(-20, 21, (40, 48, 3))
                photo = Image.fromarray((noise + colour).clip(0, 255).astype(np.uint8))
                photo.save(folder / split / name / f"{number}.png")


def make_model() -> keras.Model:
    """A network that finds the largest channel of pixels as x/127.5 - 1, and ends in a softmax."""
    keras.utils.set_random_seed(1)
    image = keras.Input((SIZE, SIZE, 3))
    x = keras.layers.Conv2D(8, 3, strides=2, padding="same", activation="relu")(image)
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.concatenate([x, keras.layers.AveragePooling2D(2)(image)]))
    model = keras.Model(image, keras.layers.Dense(len(LABELS), activation="softmax")(x))
    kernel = np.zeros((11, len(LABELS)), np.float32)
    for channel, name in enumerate(COLOURS):
        kernel[8 + channel, LABELS.index(name)] = 5
    model.layers[-1].set_weights([kernel, np.array([0, -9, 0, 0], np.float32)])
    return model


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("own")
    write_photos(folder / "photos")
    (folder / "labels.txt").write_text("".join(f"{name}\r\n" for name in LABELS), encoding="utf-8-sig")
    make_model().save(folder / "my model.keras")
    return folder


ASKED = (
    *(
        "export",
        "my model.keras",
        "--labels",
        "labels.txt",
        "--data",
        "folder:photos",
        "--normalization",
        "127.5,127.5",
    ),
    *("export.calibration_images=8", "export.golden_images=2", "bench.runs=5", "bench.warmup=1", "export.author=Ada"),
)


def ask(work: Path, *arguments: str) -> int:
    """Runs the command in this process, where TensorFlow is loaded once, and returns its exit code."""
    with contextlib.chdir(work):
        return cli.execute([*ASKED, *arguments])


@pytest.fixture(scope="module")
def bundle(work: Path) -> Path:
    assert ask(work) == 0
    return work / "exported_models" / "my-model"


@pytest.fixture(scope="module")
def manifest(bundle: Path) -> Manifest:
    return Manifest.model_validate_json((bundle / "manifest.json").read_bytes())


def test_the_classes_are_the_models_in_its_order(bundle: Path, manifest: Manifest) -> None:
    assert (bundle / "labels.txt").read_text(encoding="utf-8").splitlines() == LABELS == manifest.data.classes
    assert manifest.student.accuracy == 1.0


def test_every_file_is_measured_against_the_model_itself(manifest: Manifest) -> None:
    found = {(artifact.format, artifact.precision) for artifact in manifest.artifacts}
    tflite = {("tflite", precision) for precision in ("fp32", "fp16", "dynamic", "int8")}
    assert found == tflite | {("mlmodel", "fp32"), ("mlpackage", "fp16")}
    for artifact in manifest.artifacts:
        assert artifact.accuracy == 1.0 and artifact.top1_vs_keras == 1.0 and artifact.agreement is None
        assert artifact.max_abs_error is not None
        assert artifact.max_abs_error < (1e-5 if artifact.precision == "fp32" else 0.05)
    assert manifest.gates and all(gate.passed for gate in manifest.gates), "12 test photos can be judged"
    assert "better_than_chance/my-model_int8.tflite" in {gate.name for gate in manifest.gates}
    assert [row.variant for row in manifest.comparison] == ["fp32", "fp16", "dynamic", "int8"]
    assert {entry.artifact for entry in manifest.bench} == {a.path for a in manifest.artifacts if a.format == "tflite"}


def test_the_bundle_is_complete_and_describes_itself(bundle: Path, manifest: Manifest) -> None:
    golden = json.loads((bundle / "golden" / "golden.json").read_text(encoding="utf-8"))
    assert set(golden["images"][0]["probabilities"]) == {"keras", *(artifact.path for artifact in manifest.artifacts)}
    card, page = ((bundle / name).read_text(encoding="utf-8") for name in ("MODEL_CARD.md", "report.html"))
    command = "tfkd export 'my model.keras' --labels=labels.txt --data=folder:photos --normalization=127.5,127.5"
    assert command in card and "Ada" in card
    for text in (card, page):
        assert "may have been trained" in text or "Whether it was trained" in text
        shown = text.rpartition("</style>")[2]
        assert not re.search(r"(?<!--)teacher", shown), "there is none"
    assert (bundle / "android" / "MyModelClassifier.kt").is_file() and (bundle / "SHA256SUMS").is_file()
    assert manifest.teachers == [] and manifest.student.control_accuracy is None
    assert [use.what for use in manifest.test_uses] == ["export"] and manifest.suspected_labels is None
    assert "No other model of this run folder was measured on the test split." in card
    assert manifest.recipe["normalization"] == "127.5,127.5"


def test_a_failed_gate_publishes_nothing(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fails = ("--name", "strict", "--tflite", "fp16", "--coreml", "none", "gates.max_half_error=1e-12")
    assert ask(work, *fails) == 1
    shown = capsys.readouterr().out
    assert "A gate failed, so nothing was published" in shown and "runs/strict/bundle" in shown
    assert (work / "runs" / "strict" / "bundle" / "report.html").is_file()
    assert not (work / "exported_models" / "strict").exists()


SMALL = ("--tflite", "fp32", "--coreml", "none")


@pytest.mark.slow
def test_a_model_at_chance_is_not_published(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (work / "swapped.txt").write_text("".join(f"{name}\n" for name in [*LABELS[2:], *LABELS[:2]]), encoding="utf-8")
    assert ask(work, "--name", "swapped", *SMALL, "--labels", "swapped.txt") == 1
    shown = " ".join(capsys.readouterr().out.split())
    assert "swapped: failed: 0.0 % right (chance 33.3 %)" in shown
    assert "2 of 5 gates failed: diagnosis, better_than_chance/swapped_fp32.tflite" in shown and "passed; " not in shown
    assert "right for 100% of" in shown and "Try --labels runs/swapped/proposed_labels.txt" in shown
    assert (work / "runs" / "swapped" / "proposed_labels.txt").read_text(encoding="utf-8").splitlines() == LABELS
    assert not (work / "exported_models" / "swapped").exists()
    off = ("gates.better_than_chance=false", "gates.diagnosis=false")
    assert ask(work, "--name", "swapped", *SMALL, "--labels", "swapped.txt", *off) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "swapped: not judged: 0.0 % right" in shown and "switched off by the recipe" in shown


def test_wrong_pixels_are_found_and_the_right_ones_proposed(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ask(work, "--name", "pixels", *SMALL, "--normalization", "bgr,127.5,127.5") == 1
    shown = " ".join(capsys.readouterr().out.split())
    manifest = Manifest.model_validate_json((work / "runs/pixels/bundle/manifest.json").read_bytes())
    proposed = [parse(each.normalization) for each in manifest.diagnosis if each.normalization]
    assert len(proposed) == 1 and not proposed[0].bgr and proposed[0].std[0] > 1, manifest.diagnosis
    assert f"Try --normalization {proposed[0].text}" in shown


@pytest.mark.slow
def test_with_three_test_photos_no_gate_is_judged(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_photos(work / "few", test=1)
    assert ask(work, "--name", "few", *SMALL, "--data", "folder:few") == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "few: not judged: 100.0 % right" in shown and "gates passed" not in shown
    assert "the test split is too small: p = 0.17 even where every prediction is right" in shown
    folder = work / "exported_models" / "few"
    for name in ("report.html", "MODEL_CARD.md"):
        assert "1 of 5 gates not judged" in (folder / name).read_text(encoding="utf-8").replace("\\", "")


@pytest.mark.slow
def test_min_accuracy_is_a_limit_for_every_file(work: Path) -> None:
    write_photos(work / "wrong")
    photos = sorted((work / "wrong" / "test" / "blue").iterdir())
    photos[0].rename(work / "wrong" / "test" / "dark, red" / "blue.png")
    assert ask(work, "--name", "limited", *SMALL, "--data", "folder:wrong", "gates.min_accuracy=0.95") == 1
    manifest = Manifest.model_validate_json((work / "runs/limited/bundle/manifest.json").read_bytes())
    (failed,) = [gate for gate in manifest.gates if not gate.passed]
    assert (failed.name, failed.value) == ("min_accuracy/limited_fp32.tflite", pytest.approx(11 / 12))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (("--labels", "none.txt"), "labels none.txt cannot be read"),
        (("--labels", "short.txt"), "short.txt names 2 classes, my model.keras has 4 outputs"),
        (("--labels", "other.txt"), "has the class 'blue', the labels do not. Did you mean 'blues'?"),
        (("--normalization", "0.5"), "is not a normalization"),
        (("--tflite", "fp64"), "export.tflite"),
        (("--tflite", "none"), "lists no .tflite file"),
        (("export.licence=MIT",), "Did you mean 'license'"),
        (("gates.min_gain_over_control=0",), "needs a teacher or a control"),
        (("gates.not_worse_than_control=true",), "needs a teacher or a control"),
        (("gates.min_relative_accuracy=0.8",), "needs a teacher or a control"),
        (("--name", "../outside"), "tfkd export: name = '../outside'"),
        (("--data", "folder:nowhere"), "nowhere"),
    ],
)
def test_a_wrong_request_is_one_line_and_exit_code_2(
    work: Path, capsys: pytest.CaptureFixture[str], changed: tuple[str, ...], message: str
) -> None:
    (work / "short.txt").write_text("blue\ngreen\n")
    (work / "other.txt").write_text("blues\nb\nc\nd\n")
    assert ask(work, "--name", "wrong", *changed) == 2
    shown = capsys.readouterr().err
    assert message in shown and shown.count("\n") == 1
    assert not (work / "exported_models" / "wrong").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty; give every output"),
        (b"a\n\nb\n", "line 2: is empty"),
        (b"a\nb\na\n", "line 3: 'a' is on line 1 too"),
        (b"\xff\xfe\x00", "no text in UTF-8"),
    ],
)
def test_wrong_labels_name_the_line(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "labels.txt").write_bytes(content)
    with pytest.raises(RequestError, match=message):
        read_labels(tmp_path / "labels.txt")


def test_names_follow_the_models() -> None:
    assert [name_of(path) for path in ("a/my model.keras", "folder/saved", "ß.keras")] == ["my-model", "saved", "model"]
    options = {
        "name": "a",
        "model": "m",
        "labels": "l",
        "data": "folder:p",
        "normalization": "none",
        "allow_code": False,
    }
    assert request(options, {"onnx": True}, ["export.author=Ada"]).export.author == "Ada"
    assert request(options, {"tflite": ["fp32"]}, ["export.require="]).export.require == []


def write_bright(folder: Path) -> None:
    """Writes 8 noisy photos per colour, brighter than those of training."""
    rng = np.random.default_rng(7)
    for name, colour in COLOURS.items():
        folder.joinpath(name).mkdir(parents=True)
        for number in range(8):
            pixels = rng.integers(-20, 21, (40, 48, 3)) + colour + 60
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / name / f"{number}.png")


QUANTIZED = ("--tflite", "int8", "--coreml", "none")


@pytest.fixture(scope="module")
def flat(work: Path) -> tuple[Path, str]:
    """The bundle of a folder of bright photos without splits, and what the export printed."""
    write_bright(work / "flat")
    with contextlib.redirect_stdout(io.StringIO()) as shown:
        assert ask(work, "--name", "flat", *QUANTIZED, "--data", "folder:flat") == 0
    return work / "exported_models" / "flat", shown.getvalue()


@pytest.mark.slow
def test_int8_is_calibrated_on_training_images_wherever_there_are_any(
    work: Path, bundle: Path, flat: tuple[Path, str], capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(work / "photos/train", work / "other/train")
    write_bright(work / "other/test")
    same_pixels = ("--normalization", "0.5,0.5")
    assert ask(work, "--name", "other", *QUANTIZED, "--data", "folder:other", *same_pixels) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "(RGB from 0 to 255 - 127.5) / 127.5, converted from numbers for pixels from 0 to 1" in shown
    assert scales(bundle) == scales(work / "exported_models/other") != scales(flat[0])


def scales(bundle: Path) -> list[float]:
    """Returns the quantization of every tensor of a bundle's int8 file."""
    from ai_edge_litert.interpreter import Interpreter

    (path,) = bundle.glob("android/*_int8.tflite")
    return [float(tensor["quantization"][0]) for tensor in Interpreter(str(path)).get_tensor_details()]


def test_a_folder_without_splits_is_measured_whole_and_verified_so(
    work: Path, flat: tuple[Path, str], capsys: pytest.CaptureFixture[str]
) -> None:
    bundle, shown = flat
    assert "all examples are measured" in shown and "those for calibration are drawn from the measured ones" in shown
    manifest = Manifest.model_validate_json((bundle / "manifest.json").read_bytes())
    assert manifest.data.splits == {"train": 0, "validation": 0, "test": 24} and manifest.data.for_evaluation
    assert [use.what for use in manifest.test_uses] == ["export", "calibration"]
    verify = ["verify", str(bundle), "--data", "folder:flat"]
    with contextlib.chdir(work):
        assert cli.execute(verify) == 0
    assert "the 24 test examples that the bundle was measured on" in capsys.readouterr().out
