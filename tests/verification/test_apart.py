from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.test_compatibility import FIXTURES
from tests.verification.conftest import CARD, SIGNATURE, Exported
from tfkd.bundle.manifest import Manifest
from tfkd.formats.tflite import TFLITE
from tfkd.verification import VerifyError, tflite
from tfkd.verification.apart import Apart
from tfkd.writers import card_of


@pytest.fixture(scope="module")
def apart() -> Iterator[Apart]:
    with Apart() as runner:
        yield runner


def test_predictions_are_those_of_the_file(exported: Exported, apart: Apart) -> None:
    path = exported.path("_fp32.tflite")
    batches = [exported.images[:30], exported.images[30:].astype(np.float32)]
    answered = apart.run(path, "tflite", CARD, SIGNATURE, batches)
    np.testing.assert_allclose(answered.probabilities, exported.probabilities, atol=1e-5)
    assert answered.io.input.name == "image"


def test_a_file_is_run_as_the_requested_family(apart: Apart) -> None:
    """The int8 file of a bundle of tfkd 0.1.0, whose predictions differ under XNNPACK."""
    folder = FIXTURES / "0.1.0" / "bundle"
    manifest = Manifest.model_validate_json((folder / "manifest.json").read_bytes())
    card = card_of(manifest.recipe, manifest.data.classes, manifest.data.fingerprint)
    signature = manifest.signature
    images = np.random.default_rng(0).integers(0, 256, (40, *signature.single.shape), np.uint8)
    path = folder / "android" / "fixture_int8.tflite"
    answers = {
        family: apart.run(path, "tflite", card, signature, [images], family).probabilities
        for family in ("xnnpack", "litert_kernels")
    }
    for family, own_kernels in (("xnnpack", False), ("litert_kernels", True)):
        np.testing.assert_array_equal(answers[family], tflite.predict(path, [images], own_kernels))
    allowed = TFLITE.precisions["int8"].tolerances["xnnpack"]
    assert np.abs(answers["xnnpack"] - answers["litert_kernels"]).max() > allowed


def test_an_error_is_returned_and_the_next_file_runs(exported: Exported, apart: Apart, tmp_path: Path) -> None:
    for _ in range(2):
        with pytest.raises(VerifyError, match=r"gone\.tflite: holds no readable labels"):
            apart.run(tmp_path / "gone.tflite", "tflite", CARD, SIGNATURE, [exported.images] * 20)
        answered = apart.run(exported.path("_int8.tflite"), "tflite", CARD, SIGNATURE, [exported.images[:1]])
        assert answered.probabilities.shape == (1, 3)


def test_a_child_that_dies_is_reported_and_replaced(exported: Exported, apart: Apart) -> None:
    """The images are what ends it here; a file that crashes its runtime ends it in the same way."""

    def images() -> Iterator[np.ndarray]:
        yield exported.images
        apart._process.terminate()
        apart._process.join()
        yield exported.images

    with pytest.raises(VerifyError, match=r"_fp32\.tflite: it crashes the runtime that loads it \(SIGTERM\)"):
        apart.run(exported.path("_fp32.tflite"), "tflite", CARD, SIGNATURE, images())
    answered = apart.run(exported.path("_fp32.tflite"), "tflite", CARD, SIGNATURE, [exported.images])
    assert len(answered.probabilities) == 40
