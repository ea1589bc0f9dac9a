"""A promised recall of a rare class: kept through the int8 file by a threshold, refused without."""

import contextlib
import zipfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from PIL import Image

from tfkd import cli
from tfkd.bundle.manifest import Manifest
from tfkd.bundle.verification import Check, verify
from tfkd.verification import VerifyError, artifacts
from tfkd.verification.records import Gate
from tfkd.writers import card_of

SIZE = 32
CLASSES = ("benign", "malignant")
MALIGNANT, BENIGN = 16, 484  # 3 % of the test split; a promise of 80 % needs 16 images
INT8 = "lesions_int8.tflite"


def write_photos(folder: Path, lowest: int, malignant: int, benign: int) -> None:
    """Writes a split of photos: malignant ones are redder, the least red one at the given level."""
    draw = np.random.default_rng(lowest)
    for name, levels in (
        ("benign", np.linspace(20, 110, benign)),
        ("malignant", np.linspace(lowest, 200, malignant)),
    ):
        (folder / name).mkdir(parents=True)
        for number, level in enumerate(levels):
            pixels = draw.integers(0, 40, (SIZE, SIZE, 3)) + np.array([level - 20, 0, 0])
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / name / f"{number}.png")


def make_model() -> Any:
    """A network that says malignant above a level of red of 180, where few malignant photos are."""
    image = keras.Input((SIZE, SIZE, 3))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.AveragePooling2D(4)(image))
    model = keras.Model(image, keras.layers.Dense(2, activation="softmax")(x))
    model.layers[-1].set_weights([np.array([[0, 0.05], [0, 0], [0, 0]]), np.array([9, 0])])
    return model


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lesions")
    write_photos(folder / "photos" / "validation", 120, MALIGNANT // 4, BENIGN // 4)
    write_photos(folder / "photos" / "test", 125, MALIGNANT, BENIGN)
    (folder / "labels.txt").write_text("\n".join(CLASSES))
    make_model().save(folder / "lesions.keras")
    return folder


def export(work: Path, *overrides: str) -> int:
    with contextlib.chdir(work):
        return cli.execute(
            [
                *("export", "lesions.keras", "--labels", "labels.txt", "--data", "folder:photos"),
                *("export.tflite=fp32,int8", "export.coreml=mlmodel", "export.golden_images=2", "bench.runs=5"),
                *("bench.warmup=1", "gates.min_recall.malignant=0.8", *overrides),
            ]
        )


def read(work: Path, bundle: str) -> tuple[Manifest, dict[str, Gate]]:
    manifest = Manifest.model_validate_json((work / bundle / "manifest.json").read_bytes())
    return manifest, {gate.name: gate for gate in manifest.gates}


@pytest.fixture(scope="module")
def bundle(work: Path) -> Path:
    assert export(work) == 0
    return work / "exported_models" / "lesions"


def test_a_threshold_keeps_the_promise_through_the_int8_file(work: Path, bundle: Path) -> None:
    manifest, gates = read(work, "exported_models/lesions")
    threshold = manifest.thresholds["malignant"]
    assert threshold.value is not None and 0.03 < threshold.value < 0.06 and threshold.recall == 1.0
    gate = gates[f"min_recall/{INT8}/malignant"]
    assert (gate.verdict, gate.value) == ("passed", 1.0) and "with the threshold" in gate.reason
    int8 = manifest.artifacts[1]
    assert int8.scores and int8.scores.classes["malignant"].right == 4
    with_thresholds = int8.scores_with_thresholds
    assert with_thresholds and with_thresholds.classes["malignant"].right == MALIGNANT
    assert manifest.student.scores_with_thresholds == with_thresholds
    assert {artifact.format for artifact in manifest.artifacts if artifact.scores_with_thresholds} == {
        "tflite",
        "mlmodel",
    }


def test_without_the_threshold_it_is_refused(work: Path, bundle: Path) -> None:
    assert export(work, "export.thresholds=false", "name=plain") == 1
    manifest, gates = read(work, "runs/plain/bundle")
    gate = gates["min_recall/plain_int8.tflite/malignant"]
    assert (gate.verdict, gate.value, gate.limit) == ("failed", 0.25, 0.8)
    assert not manifest.thresholds and manifest.artifacts[1].scores_with_thresholds is None


def check_of(checks: list[Check], name: str) -> Check:
    (found,) = [check for check in checks if check.name.startswith(name)]
    return found


def test_verify_judges_it_again_on_the_images(work: Path, bundle: Path) -> None:
    with contextlib.chdir(work):
        checks = verify(bundle, "folder:photos")
    assert all(check.passed for check in checks)
    found = check_of(checks, f"min_recall/{INT8}/malignant on these examples")
    assert "100.0 %" in found.found and "80.0 % is promised" in found.found


@pytest.mark.parametrize(
    ("path", "thresholds"),
    [
        (f"android/{INT8}", {}),
        (f"android/{INT8}", {"malignant": 0.25}),
        ("ios/lesions.mlmodel", {"malignant": 0.25}),
    ],
)
def test_a_file_with_other_thresholds_than_the_manifests_is_refused(
    bundle: Path, path: str, thresholds: dict[str, float]
) -> None:
    manifest = read(bundle, "")[0]
    card = card_of(manifest.recipe, manifest.data.classes, manifest.data.fingerprint).with_thresholds(thresholds)
    with pytest.raises(VerifyError, match="thresholds"):
        artifacts.check(bundle / path, Path(path).suffix[1:], card, manifest.signature)


def test_a_wrong_gate_is_refused_before_the_model_is_opened(work: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert export(work, "gates.min_recall.malignnat=0.5", "name=unknown") == 2
    assert "gates.min_recall names the class 'malignnat', which does not exist" in capfd.readouterr().err
    assert export(work, "gates.max_recall_drop=0.1", "name=unknown") == 2
    assert "gates.max_recall_drop needs a teacher or a control" in capfd.readouterr().err


def test_the_threshold_reaches_apps_and_readers(bundle: Path) -> None:
    value = read(bundle, "")[0].thresholds["malignant"].value
    assert (f'"malignant" to {value}f') in (bundle / "android" / "LesionsClassifier.kt").read_text()
    with zipfile.ZipFile(bundle / "android" / INT8) as packed:
        assert packed.read("thresholds.txt").decode() == f"malignant\t{value}\n"
    for name in ("MODEL_CARD.md", "report.html"):
        text = (bundle / name).read_text()
        assert f"Predicted from the probability {value}: recall 100.0 %" in text
        assert "Without the threshold: recall 25.0 %" in text
        assert "int8 with its thresholds" in text
