"""Bundles in which one file could not be written, and one could not be run here.

`keras.ops.cumsum` needs iOS 14 in an .mlmodel, whose default is iOS 13, and the evaluator of Core ML lacks it.
"""

import contextlib
import json
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest

from tests.pipeline.test_own_model import COLOURS, LABELS, SIZE, write_photos
from tfkd import cli
from tfkd.bundle.manifest import Manifest
from tfkd.errors import RequestError
from tfkd.recipe import Export
from tfkd.report import facts
from tfkd.verification.records import Gate

pytestmark = pytest.mark.slow

ASKED = ("export", "running.keras", "--import", "running_layer", "--labels", "labels.txt", "--data", "folder:photos")
QUICK = ("export.golden_images=2", "bench.runs=5", "bench.warmup=1")


class Running(keras.layers.Layer):
    def call(self, x):
        return keras.ops.cumsum(x, axis=-1)


def make_model() -> keras.Model:
    """A network that finds the largest channel: the differences of running sums are the channels again."""
    image = keras.Input((SIZE, SIZE, 3))
    means = keras.layers.GlobalAveragePooling2D()(keras.layers.Rescaling(1 / 127.5, -1)(image))
    model = keras.Model(image, keras.layers.Dense(len(LABELS))(Running()(means)))
    kernel = np.zeros((3, len(LABELS)), np.float32)
    for channel, name in enumerate(COLOURS):
        kernel[channel, LABELS.index(name)] = 5
        kernel[channel - 1, LABELS.index(name)] -= 5 * (channel > 0)
    model.layers[-1].set_weights([kernel, np.array([0, -9, 0, 0], np.float32)])
    return model


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("missing")
    write_photos(folder / "photos")
    (folder / "labels.txt").write_text("".join(f"{name}\n" for name in LABELS), encoding="utf-8")
    (folder / "running_layer.py").write_text(
        "import keras\n\n@keras.saving.register_keras_serializable('tests')\n"
        "class Running(keras.layers.Layer):\n    def call(self, x):\n        return keras.ops.cumsum(x, axis=-1)\n"
    )
    keras.saving.register_keras_serializable("tests")(Running)
    make_model().save(folder / "running.keras")
    return folder


def ask(work: Path, *arguments: str) -> int:
    with contextlib.chdir(work):
        return cli.execute([*arguments])


def read(folder: Path) -> Manifest:
    return Manifest.model_validate_json((folder / "manifest.json").read_bytes())


def gates_of(manifest: Manifest, name: str) -> list[Gate]:
    return [gate for gate in manifest.gates if name in gate.name]


@pytest.fixture(scope="module")
def bundle(work: Path) -> Path:
    assert ask(work, *ASKED, "--tflite", "fp32", *QUICK) == 0
    return work / "exported_models" / "running"


def test_the_other_files_are_published_and_the_missing_one_has_its_reason(bundle: Path) -> None:
    manifest = read(bundle)
    assert [artifact.path for artifact in manifest.artifacts] == [
        "android/running_fp32.tflite",
        "ios/running.mlpackage",
    ]
    (lost,) = manifest.missing
    assert (lost.path, lost.format, lost.precision, lost.required) == ("ios/running.mlmodel", "mlmodel", "fp32", False)
    assert "Cumsum" in lost.reason and "export.ios_target=14" in lost.reason
    assert not (bundle / lost.path).exists()
    for page in ("report.html", "MODEL_CARD.md"):
        text = (bundle / page).read_text(encoding="utf-8")
        assert "Files that could not be made" in text and "1 file could not be made" in text
    assert "mlpackage" in (bundle / "ios" / "RunningClassifier.swift").read_text(encoding="utf-8")


def test_a_file_that_cannot_be_run_here_is_not_judged(bundle: Path) -> None:
    manifest = read(bundle)
    package = manifest.artifacts[1]
    assert package.not_verified is not None and "'cumsum'" in package.not_verified
    assert (package.accuracy, package.chance, package.top1_vs_keras) == (None, None, None)
    (gate,) = gates_of(manifest, ".mlpackage")
    assert (gate.name, gate.verdict) == ("verified/running.mlpackage", "not judged")
    assert gate.reason.startswith("not verified here: operator 'cumsum'")
    assert gates_of(manifest, "better_than_chance/running_fp32.tflite")[0].passed
    assert facts.headline(manifest).verdict == "not judged"
    golden = json.loads((bundle / "golden" / "golden.json").read_text(encoding="utf-8"))
    assert set(golden["images"][0]["probabilities"]) == {"keras", "android/running_fp32.tflite"}


def test_verify_reports_what_it_did_not_verify(bundle: Path, work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ask(work, "verify", str(bundle), "--data", "folder:photos") == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "3 of 12 checks not judged" in printed and "operator 'cumsum'" in printed


def test_a_file_without_golden_predictions_must_be_declared(bundle: Path, work: Path, tmp_path: Path) -> None:
    """Without golden predictions for a file, the manifest must state that it was not run."""
    from tfkd.bundle.seal import seal

    copy = Path(shutil.copytree(bundle, tmp_path / "copy"))
    values = json.loads((copy / "manifest.json").read_text(encoding="utf-8"))
    values["artifacts"][1]["not_verified"] = None
    (copy / "manifest.json").write_text(json.dumps(values), encoding="utf-8")
    seal(copy)
    assert ask(work, "verify", str(copy)) == 1


def test_a_required_file_that_cannot_be_made_is_a_failed_gate(
    bundle: Path, work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Files that the command line names are required."""
    before = (bundle / "SHA256SUMS").read_bytes()
    assert ask(work, *ASKED, "--tflite", "fp32", "--coreml", "mlmodel", *QUICK) == 1
    assert "not made: ios/running.mlmodel: " in " ".join(capsys.readouterr().out.split())
    assert (bundle / "SHA256SUMS").read_bytes() == before, "the published bundle is the old one"
    kept = work / "runs" / "running" / "bundle"
    assert (kept / "android" / "running_fp32.tflite").is_file(), "the good file is not lost"
    (gate,) = [gate for gate in read(kept).gates if gate.verdict == "failed"]
    assert gate.name == "required/running.mlmodel" and read(kept).missing[0].required


def test_names_that_are_required() -> None:
    files = Export(tflite=["int8"], coreml=["mlmodel_int8"], onnx=True)
    assert files.forms == ["int8", "mlmodel_int8", "onnx"]
    assert Export(tflite=["int8"], require=["int8"]).require == ["int8"]
    with pytest.raises(RequestError, match=r"require names 'fp32', but the files to write are int8, mlmodel"):
        Export(tflite=["int8"], require=["fp32"])
