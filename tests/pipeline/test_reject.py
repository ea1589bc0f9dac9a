"""Files that give no label where they are not sure: threshold, gates, metadata and sources, through `tfkd export`."""

import contextlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from PIL import Image

from tests.bundle.changes import change_manifest, failures, refused
from tfkd import cli
from tfkd.bundle.manifest import Manifest
from tfkd.bundle.rejection_consistency import contradictions
from tfkd.bundle.verification import verify
from tfkd.files import content_digest
from tfkd.verification import VerifyError, artifacts
from tfkd.verification.records import Artifact, Gate
from tfkd.writers import card_of, tflite

SIZE = 32
CLASSES = ("blue", "red")
EXAMPLES = {"validation": 120, "test": 200}
SURE = 3.0  # the network's logits are too large by this factor
PROMISE = 0.1


def write_photos(folder: Path, examples: int, seed: int) -> None:
    """Writes photos of a level of red, whose class is drawn with a probability that rises with the level."""
    draw = np.random.default_rng(seed)
    for number, level in enumerate(draw.uniform(40, 160, examples)):
        name = CLASSES[int(draw.uniform() < 1 / (1 + np.exp(-(level - 100) / 15)))]
        (folder / name).mkdir(parents=True, exist_ok=True)
        pixels = np.full((SIZE, SIZE, 3), level) + draw.integers(-8, 9, (SIZE, SIZE, 3))
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / name / f"{number}.png")


def make_model() -> Any:
    image = keras.Input((SIZE, SIZE, 3))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.AveragePooling2D(4)(image))
    model = keras.Model(image, keras.layers.Dense(2, activation="softmax")(x))
    slope = SURE / 15
    model.layers[-1].set_weights([np.array([[0, slope], [0, 0], [0, 0]]), np.array([100 * slope, 0])])
    return model


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("levels")
    for seed, (split, examples) in enumerate(EXAMPLES.items()):
        write_photos(folder / "photos" / split, examples, seed)
    (folder / "labels.txt").write_text("\n".join(CLASSES))
    make_model().save(folder / "levels.keras")
    return folder


def export(work: Path, *overrides: str) -> int:
    with contextlib.chdir(work):
        return cli.execute(
            [
                *("export", "levels.keras", "--labels", "labels.txt", "--data", "folder:photos"),
                *("export.tflite=fp32,int8", "export.coreml=mlmodel", "export.golden_images=2", "bench.runs=5"),
                *("bench.warmup=1", *overrides),
            ]
        )


def read(bundle: Path) -> tuple[Manifest, dict[str, Artifact], dict[str, Gate]]:
    manifest = Manifest.model_validate_json((bundle / "manifest.json").read_bytes())
    artifacts = {artifact.path.rpartition("/")[2]: artifact for artifact in manifest.artifacts}
    return manifest, artifacts, {gate.name: gate for gate in manifest.gates}


@pytest.fixture(scope="module")
def bundle(work: Path) -> Path:
    limits = (f"export.reject.max_error={PROMISE}", "gates.max_error_when_confident=0.25")
    assert export(work, *limits) == 0
    return work / "exported_models" / "levels"


def test_every_file_has_a_threshold_that_keeps_the_promise(bundle: Path) -> None:
    manifest, files, gates = read(bundle)
    assert set(files) == {"levels_fp32.tflite", "levels_int8.tflite", "levels.mlmodel"}
    for name, artifact in files.items():
        found = artifact.rejection
        assert found and found.threshold and found.test and found.test.wrong is not None
        assert found.validation.examples == EXAMPLES["validation"] and (found.validation.wrong or 0) <= 11  # 12 / 121
        assert 0 < found.test.accepted < EXAMPLES["test"] and found.curve[-1].accepted == EXAMPLES["test"]
        assert gates[f"reject/{name}"].passed and gates[f"max_error_when_confident/{name}"].verdict != "failed"
        assert artifact.calibration_error and artifact.calibration_error > 0.05
    fp32, int8 = (files[f"levels_{name}.tflite"].rejection for name in ("fp32", "int8"))
    assert fp32 and fp32.validation.wrong == 11, "no two examples are equal"
    assert int8 and (int8.threshold or 0) * 512 % 2 == 1, "between two steps of 1/256"
    assert manifest.student.calibration_error and manifest.student.output_temperature is None


def test_tampering_with_the_numbers_is_found(bundle: Path, tmp_path: Path) -> None:
    def first(manifest: dict[str, Any]) -> dict[str, Any]:
        rejection: dict[str, Any] = manifest["artifacts"][0]["rejection"]
        return rejection

    changes: dict[str, Callable[[dict[str, Any]], object]] = {
        "promises max_error = 0.2, its recipe": lambda all: first(all).update(limit=0.2),
        "more than its accuracy": lambda all: first(all)["test"].update(wrong=first(all)["test"]["accepted"]),
        "is missing": lambda all: all["artifacts"][0].update(rejection=None),
        "counts 119 validation examples": lambda all: first(all)["validation"].update(examples=119),
        "does not end at all test examples": lambda all: first(all)["curve"].pop(),
        "has counts of data.outside": lambda all: first(all).update(outside={"examples": 9, "accepted": 1}),
        "are not both stated": lambda all: all["student"].update(
            output_temperature={"value": 2.0, "examples": 9, "before": 0.1, "after": 0.1}
        ),
    }
    for message, change in changes.items():
        values = json.loads((bundle / "manifest.json").read_text())
        change(values)
        found = list(contradictions(Manifest.model_validate(values)))
        assert len(found) == 1 and message in found[0], found
    copy = shutil.copytree(bundle, tmp_path / "copy")
    change_manifest(copy, lambda values: first(values).update(limit=0.2))
    refused(verify(copy), "numbers", "promises max_error = 0.2, its recipe")


def test_another_threshold_in_a_file_is_refused(bundle: Path, tmp_path: Path) -> None:
    manifest, files, _ = read(bundle)
    card = card_of(manifest.recipe, manifest.data.classes, manifest.data.fingerprint)
    path, rejection = bundle / "android" / "levels_int8.tflite", files["levels_int8.tflite"].rejection
    assert rejection
    right = card.with_score_threshold(rejection.threshold)
    artifacts.check(path, "tflite", right, manifest.signature)
    with pytest.raises(VerifyError, match=r"its metadata give the score thresholds 0\.\d+, not none"):
        artifacts.check(path, "tflite", card, manifest.signature)
    copy = shutil.copyfile(path, tmp_path / "copy.tflite")
    tflite.write_score_threshold(copy, right, manifest.signature)
    assert content_digest(copy) == content_digest(path), "equal models give equal bytes"
    tflite.write_score_threshold(copy, card.with_score_threshold(0.5), manifest.signature)
    with pytest.raises(VerifyError, match=r"score thresholds 0\.5, not 0\.\d+"):
        artifacts.check(copy, "tflite", right, manifest.signature)
    assert len(copy.read_bytes()) == len(path.read_bytes())


def test_verify_judges_the_promise_again_on_examples(work: Path, bundle: Path) -> None:
    with contextlib.chdir(work):
        checks = {check.name: check for check in verify(bundle, "folder:photos")}
    assert not [check for check in checks.values() if check.verdict == "failed"]
    assert "at most 10.0 % of all examples" in checks["reject/levels_int8.tflite on these examples"].found


def test_apps_and_readers_get_the_threshold(bundle: Path) -> None:
    _, files, _ = read(bundle)
    values = {name: each.rejection.threshold for name, each in files.items() if each.rejection}
    for name in ("LevelsClassifier.kt", "LevelsTasks.kt"):
        code = (bundle / "android" / name).read_text()
        assert (
            f"LEAST_PROBABILITY = {values['levels_int8.tflite']:.9g}f" in code
            and "fun decide(photo: Bitmap): String?" in code
        )
    code = (bundle / "ios" / "LevelsClassifier.swift").read_text()
    assert f"leastProbability: Float = {values['levels.mlmodel']:.9g}" in code
    for name in ("MODEL_CARD.md", "report.html"):
        text = (bundle / name).read_text().replace("\\_", "_")
        assert "levels_int8.tflite: at most 10.0 % of all examples are to get a wrong label; labels are given" in text
    assert "Accuracy of the labels over the fraction of examples with a label" in (bundle / "report.html").read_text()
    assert "is still given one of them" not in (bundle / "MODEL_CARD.md").read_text()


def test_a_promise_of_labels_and_the_temperature(work: Path, bundle: Path) -> None:
    assert export(work, "export.reject.coverage=0.8", "export.temperature=auto", "name=cool") == 0
    manifest, files, gates = read(work / "exported_models" / "cool")
    found, plain = manifest.student.output_temperature, read(bundle)
    assert found and found.value == pytest.approx(SURE, rel=0.4) and found.after < found.before
    for name, artifact in files.items():
        before = plain[1][name.replace("cool", "levels")]
        assert artifact.calibration_error and artifact.calibration_error < (before.calibration_error or 0) / 1.5
        assert artifact.accuracy == before.accuracy and artifact.top1_vs_keras == before.top1_vs_keras
        assert artifact.rejection and artifact.rejection.validation.accepted >= 97  # of 121 places
        assert gates[f"reject/{name}"].passed
    assert manifest.student.accuracy == plain[0].student.accuracy
    assert "divided by" in (work / "exported_models" / "cool" / "MODEL_CARD.md").read_text()
    assert not failures(verify(work / "exported_models" / "cool"))


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("export.reject.max_error=0.005", "needs 199 validation examples, and there are 120"),
        ("gates.max_outside_accepted=0.1", "export.reject leaves; set export.reject.max_error"),
    ],
)
def test_what_cannot_be_kept_is_refused_in_one_line(
    work: Path, override: str, message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert export(work, override, "name=unkept") == 2
    told = capfd.readouterr().err
    assert message in told and "Traceback" not in told


def test_a_source_without_validation_is_refused(work: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with contextlib.chdir(work):
        alone = Path(shutil.copytree("photos/test", "alone/test")).parent
        arguments = ["levels.keras", "--labels", "labels.txt", "--data", f"folder:{alone}", "export.temperature=auto"]
        assert cli.execute(["export", *arguments]) == 2
    assert "export.temperature is fitted on a validation split, and there is none; add one." in capfd.readouterr().err


def test_a_broken_promise_fails(work: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The test photos of another folder are labelled at random, so that they are not like the validation photos."""
    with contextlib.chdir(work):
        shutil.copytree("photos/validation", "drifted/validation")
        for name, other in (CLASSES, CLASSES[::-1]):
            shutil.copytree(f"photos/test/{name}", f"drifted/test/{other}")
        overrides = ("export.tflite=int8", "export.coreml=none", "gates.better_than_chance=false", "name=drifted")
        arguments = ["levels.keras", "--labels", "labels.txt", "--data", "folder:drifted", "gates.diagnosis=false"]
        small = ("export.golden_images=2", "bench.runs=5", "bench.warmup=1")
        assert cli.execute(["export", *arguments, f"export.reject.max_error={PROMISE}", *overrides, *small]) == 1
        gate = read(Path("runs/drifted/bundle"))[2]["reject/drifted_int8.tflite"]
    assert gate.verdict == "failed" and gate.value is not None and gate.value < 1e-9
