"""Two bundles, compared by their predictions for photos."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.releases.bundles import BUNDLE, change_json, copied
from tfkd.bundle import source_images
from tfkd.bundle.manifest import read_manifest
from tfkd.errors import RequestError
from tfkd.inputs.image.arrays import write_files
from tfkd.releases.comparing import compare
from tfkd.releases.limits import DiffLimits
from tfkd.verification import NotVerifiedError, VerifyError
from tfkd.verification.apart import Answered, Apart
from tfkd.verification.requirements import Requirements

MANIFEST = read_manifest(BUNDLE)
CLASSES = MANIFEST.data.classes


class Runner(Apart):
    """Predicts the brightness of a photo; files of the new bundle confuse the two brightest classes.

    Args:
        new: folder of the new bundle.
        errors: to raise, by the name of a file of the new bundle.
    """

    def __init__(self, new: Path, errors: dict[str, VerifyError]) -> None:
        super().__init__()
        self._new = new.resolve()
        self._errors = errors

    def run(
        self, path: Path, format: str, card: Any, signature: Any, batches: Iterable[Any], family: str | None = None
    ) -> Answered:
        is_new = path.resolve().is_relative_to(self._new)
        if is_new and path.name in self._errors:
            raise self._errors[path.name]
        levels = np.concatenate([np.asarray(batch).mean(axis=(1, 2, 3)) for batch in batches])
        classes = np.rint(levels / 40).astype(int)
        if is_new:
            classes = np.where(classes == 3, 2, classes)
        (artifact,) = [each for each in MANIFEST.artifacts if each.path.endswith(path.name)]
        probabilities = 0.9 * np.eye(len(CLASSES))[classes] + 0.01
        requirements = Requirements(delegation=artifact.delegation)
        return Answered(artifact.io, requirements, probabilities.astype(np.float32))


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Photos of four levels of brightness, their classes; every tenth one is a test image."""
    draw = np.random.default_rng(1)
    labels = np.arange(120) % 4
    images = 40 * labels[:, None, None, None] + draw.integers(0, 9, (120, 32, 32, 3))
    return write_files(images, labels, CLASSES, tmp_path_factory.mktemp("photos"))


def test_flips_of_images_with_their_thumbnails(source: str, tmp_path: Path) -> None:
    new = copied(tmp_path / "new")
    errors = {
        "fixture_fp16.tflite": VerifyError("fixture_fp16.tflite: crashes."),
        "fixture.mlmodel": NotVerifiedError(Path("fixture.mlmodel"), "no runtime"),
    }
    limits = DiffLimits(max_negative_flips=0.1, max_accuracy_drop=0.1)
    outcome = compare(BUNDLE, new, source, limits, apart=Runner(new, errors))
    files = {file.new.path.rpartition("/")[2]: file for file in outcome.diff.files}
    int8 = files["fixture_int8.tflite"]
    assert int8.images == 12 and int8.old.accuracy == 1.0 and int8.new.accuracy == 0.75
    assert int8.new.calibration_error == pytest.approx(0.91 - 0.75, abs=0.02)
    assert int8.negative_flips and [(each.label, each.flips, each.right) for each in int8.negative_flips.per_class] == [
        ("Dress", 3, 3)
    ]
    assert int8.negative_flips.test.p_value == pytest.approx(1 / 8)
    pictures = outcome.thumbnails[outcome.diff.files.index(int8)]
    assert len(pictures.lost) == len(int8.examples) == 3 and int8.examples[0].image.endswith(".png")
    assert files["fixture_fp16.tflite"].old.accuracy is None and "crashes" in (
        files["fixture_fp16.tflite"].not_run or ""
    )
    verdicts = {gate.name: gate.verdict for gate in outcome.diff.gates}
    assert verdicts["contract/files"] == "failed", "a file of the new bundle cannot be run"
    assert verdicts["max_negative_flips/fixture_int8.tflite"] == "failed"
    assert verdicts["max_accuracy_drop/fixture_int8.tflite"] == "failed"
    assert verdicts["max_negative_flips/fixture.mlmodel"] == "not judged"
    assert outcome.diff.notes == [
        f"these are not the test examples of the {which} bundle; it may have been trained on some of them"
        for which in ("old", "new")
    ]


def test_a_bundle_with_folds_has_seen_the_images_of_its_own_data(source: str, tmp_path: Path) -> None:
    new = copied(tmp_path / "new")
    chance = {"balanced_accuracy": 0.9, "chance_level": 0.25, "p_value": 0.01, "perfect_p_value": 0.01}

    def of_folds(manifest: Any) -> None:
        manifest["data"]["fingerprint"] = source_images.open_images(source, MANIFEST)[0].fingerprint
        manifest["student"]["folds"] = {"folds": 3, "interval": [0.5, 1.0], "chance": chance}

    change_json(new / "manifest.json", of_folds)
    notes = compare(BUNDLE, new, source, apart=Runner(new, {})).diff.notes
    assert "the new bundle was trained on these examples" in notes[1] and "old" in notes[0]


def test_photos_of_a_class_that_neither_has(tmp_path: Path) -> None:
    labels = np.arange(60) % 2
    images = np.broadcast_to(np.arange(60, dtype=np.uint8)[:, None, None, None], (60, 32, 32, 3))
    source = write_files(images, labels, ("Coat", "Coats"), tmp_path / "photos")
    with pytest.raises(RequestError, match=r"has the class 'Coats', the bundles do not\. Did you mean 'Coat'"):
        compare(BUNDLE, copied(tmp_path / "new"), source)
