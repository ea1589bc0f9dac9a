"""References of files: what they hold, how large they are, and that they agree with the manifest."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.bundle.manifests import tiny_manifest
from tests.monitor.bundles import predictions
from tfkd.bundle import monitoring
from tfkd.bundle.manifest import Manifest
from tfkd.verification.counting import features
from tfkd.verification.records import Artifact, InputOutput, Tensor

FILE = "android/a_int8.tflite"
DIGEST = "a" * 64


def made(count: int, **changes: Any) -> monitoring.MonitorReference:
    probabilities, labels = predictions(count, 1)
    arguments: dict[str, Any] = {"labels": labels, "teacher": predictions(count, 2)[0], "seed": 1, **changes}
    found = monitoring.reference(FILE, DIGEST, probabilities, **arguments)
    assert found is not None
    return found


def test_it_holds_the_predictions_for_test_and_unlabelled_examples(tmp_path: Path) -> None:
    probabilities, labels = predictions(200, 1)
    monitoring.write(tmp_path, made(200, unlabelled=predictions(30, 3)[0]))
    found = monitoring.read(tmp_path, FILE)
    rows = found.decoded()
    np.testing.assert_array_equal(rows.labels, labels)
    np.testing.assert_array_equal(rows.student, features(probabilities).binned())
    assert rows.teacher is not None
    np.testing.assert_array_equal(rows.teacher, features(predictions(200, 2)[0]).binned())
    assert (found.test.n, found.unlabelled and found.unlabelled.n, found.teacher and found.teacher.n) == (200, 30, 200)
    assert found.agreement == np.mean(rows.student[:, 0] == rows.teacher[:, 0])
    confidence = probabilities.max(axis=1)
    last = confidence[features(probabilities).binned()[:, 1] == 9]
    assert found.confidence_means[9] == pytest.approx(last.mean(), abs=1e-6)


def test_of_many_examples_5000_are_drawn_and_the_file_stays_small(tmp_path: Path) -> None:
    found = made(6_000)
    assert (found.examples, found.test.n, len(found.decoded().labels)) == (5_000, 6_000, 5_000)
    monitoring.write(tmp_path, found)
    assert (tmp_path / monitoring.path_of(FILE)).stat().st_size < 100_000
    assert made(6_000).rows == found.rows != made(6_000, seed=2).rows


def test_examples_that_the_student_learnt_have_no_true_class() -> None:
    found = made(100, labels=None)
    assert found.learnt and (found.decoded().labels == -1).all()


def test_invalid_predictions_are_in_no_row() -> None:
    probabilities, labels = predictions(50, 1)
    probabilities[7] = np.nan
    found = monitoring.reference(FILE, DIGEST, probabilities, labels, teacher=predictions(50, 2)[0], seed=1)
    assert found and (found.test.n, found.test.invalid, found.examples) == (49, 1, 49)
    np.testing.assert_array_equal(found.decoded().labels, np.delete(labels, 7))


def test_more_classes_than_a_row_can_hold_have_no_reference() -> None:
    assert monitoring.reference(FILE, DIGEST, np.ones((2, 65_535), np.float32), np.zeros(2, int), seed=1) is None


def manifest(right: int, images: int = 200, sha256: str = DIGEST) -> Manifest:
    ends = InputOutput(
        input=Tensor(name="image", shape=[1, 8, 8, 3], dtype="float32"),
        output=Tensor(name="probabilities", shape=[1, 10], dtype="float32"),
    )
    artifact = Artifact(
        path=FILE, format="tflite", precision="int8", bytes=1, sha256=sha256, accuracy=right / images, io=ends
    )
    found = tiny_manifest([f"class {number}" for number in range(10)], [artifact])
    found.data.splits["test"] = images
    return found


def test_a_reference_that_does_not_fit_the_manifest_is_found(tmp_path: Path) -> None:
    found = made(200)
    monitoring.write(tmp_path, found)
    right, place = int(found.decoded().right.sum()), monitoring.path_of(FILE)

    def wrong(stated: Manifest, *names: str) -> list[str]:
        return list(monitoring.contradictions(tmp_path, stated, dict.fromkeys(names or (place,))))

    assert wrong(manifest(right)) == []
    assert "right predictions, the accuracy of" in wrong(manifest(right - 1))[0]
    assert "counts 200 test examples of 201" in wrong(manifest(right, 201))[0]
    assert "is of another file than" in wrong(manifest(right, sha256="b" * 64))[0]
    assert wrong(manifest(right), "monitor/x.json") == ["monitor/x.json is of no file of the bundle"]
    (tmp_path / place).write_text("{}")
    assert "Field required" in wrong(manifest(right))[0]
