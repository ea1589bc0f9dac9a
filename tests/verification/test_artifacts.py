import dataclasses

import numpy as np
import pytest

from tests.verification.conftest import CARD, SIGNATURE, Exported
from tfkd.files import content_digest, content_size
from tfkd.formats import FORMATS
from tfkd.verification import VerifyError
from tfkd.verification.artifacts import Reference, measure


@pytest.fixture(scope="module")
def reference(exported: Exported) -> Reference:
    """Keras as it is; a teacher that always says 0; labels of which the student gets every second right."""
    top1 = exported.probabilities.argmax(axis=1)
    labels = np.where(np.arange(len(top1)) % 2, top1, (top1 + 1) % 3)
    return Reference([exported.images], labels, exported.probabilities, np.eye(3)[np.zeros_like(top1)], SIGNATURE)


def test_a_float_file(exported: Exported, reference: Reference) -> None:
    artifact = measure(exported.folder, exported.files[0], reference, CARD)
    assert artifact.path == "android/tiny_fp32.tflite"
    assert artifact.accuracy == 0.5
    assert artifact.top1_vs_keras == 1.0
    assert artifact.agreement == np.mean(exported.probabilities.argmax(axis=1) == 0)
    assert artifact.max_abs_error is not None and 0 <= artifact.max_abs_error < 1e-5
    assert artifact.delegation is not None and artifact.delegation.partitions == 1
    assert artifact.bytes == exported.path("_fp32.tflite").stat().st_size
    assert artifact.sha256 == content_digest(exported.path("_fp32.tflite"))


def test_differences_from_keras_are_refused(exported: Exported, reference: Reference) -> None:
    other = reference.keras[:, ::-1]
    artifact = measure(exported.folder, exported.files[0], dataclasses.replace(reference, keras=other), CARD)
    assert artifact.max_abs_error == pytest.approx(np.abs(other - reference.keras).max(), abs=1e-5)
    assert artifact.top1_vs_keras == np.mean(other.argmax(axis=1) == reference.keras.argmax(axis=1))
    moved = np.abs(other - reference.keras).sum(axis=1) / 2
    assert artifact.mean_total_variation == pytest.approx(moved.mean(), abs=1e-5)


@pytest.mark.parametrize(("index", "oldest"), [(0, "TensorFlow Lite 1."), (4, "iOS 13"), (5, "iOS 15")])
def test_the_oldest_runtime_of_a_file_is_stated(
    exported: Exported, reference: Reference, index: int, oldest: str
) -> None:
    artifact = measure(exported.folder, exported.files[index], reference, CARD)
    assert artifact.min_runtime is not None and artifact.min_runtime.startswith(oldest)
    assert bool(artifact.operator_versions) == (artifact.format == "tflite")
    assert artifact.golden_tolerances == FORMATS[artifact.format].precisions[artifact.precision].tolerances


@pytest.mark.parametrize(("index", "precision", "nearness"), [(4, "fp32", 1e-6), (5, "fp16", 2e-2)])
def test_a_core_ml_file_is_run(
    exported: Exported, reference: Reference, index: int, precision: str, nearness: float
) -> None:
    file = exported.files[index]
    artifact = measure(exported.folder, file, reference, CARD)
    assert (artifact.format, artifact.precision, artifact.delegation) == (file.format, precision, None)
    assert (artifact.accuracy, artifact.top1_vs_keras) == (0.5, 1.0)
    assert artifact.max_abs_error is not None and 0 < artifact.max_abs_error < nearness
    assert artifact.bytes == content_size(exported.folder / file.path)


def test_a_format_that_nothing_runs(exported: Exported, reference: Reference) -> None:
    file = dataclasses.replace(exported.files[0], format="exe")
    with pytest.raises(VerifyError, match="Nothing runs files of the format 'exe'"):
        measure(exported.folder, file, reference, CARD)


@pytest.mark.parametrize("index", [3, 5])
def test_another_card_is_caught(exported: Exported, reference: Reference, index: int) -> None:
    with pytest.raises(VerifyError, match=r"license .*'MIT', not 'GPL'"):
        measure(exported.folder, exported.files[index], reference, dataclasses.replace(CARD, license="GPL"))


@pytest.mark.parametrize("index", range(6))
def test_labels_in_another_order_are_caught(exported: Exported, reference: Reference, index: int) -> None:
    card = dataclasses.replace(CARD, classes=CARD.classes[::-1])
    with pytest.raises(VerifyError, match=r"class (names|label)"):
        measure(exported.folder, exported.files[index], reference, card)


def test_another_number_of_images_is_caught(exported: Exported, reference: Reference) -> None:
    with pytest.raises(VerifyError, match=r"gives \(39, 3\) probabilities"):
        measure(exported.folder, exported.files[0], dataclasses.replace(reference, batches=[exported.images[1:]]), CARD)
