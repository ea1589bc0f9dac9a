from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tfkd.verify import VerifyError
from tfkd.verify.apart import Apart

from .conftest import CARD, SIZE, Exported


@pytest.fixture(scope="module")
def apart() -> Iterator[Apart]:
    with Apart() as runner:
        yield runner


def test_answers_are_those_of_the_file(exported: Exported, apart: Apart) -> None:
    path = exported.path("_fp32.tflite")
    batches = [exported.images[:30], exported.images[30:].astype(np.float32)]
    answered = apart.run(path, "tflite", CARD, SIZE, batches)
    np.testing.assert_allclose(answered.probabilities, exported.probabilities, atol=1e-5)
    assert answered.io.input.name == "image"


def test_an_error_is_told_and_the_next_file_runs(exported: Exported, apart: Apart, tmp_path: Path) -> None:
    for _ in range(2):
        with pytest.raises(VerifyError, match=r"gone\.tflite: holds no readable labels"):
            apart.run(tmp_path / "gone.tflite", "tflite", CARD, SIZE, [exported.images] * 20)
        answered = apart.run(exported.path("_int8.tflite"), "tflite", CARD, SIZE, [exported.images[:1]])
        assert answered.probabilities.shape == (1, 3)


def test_a_child_that_dies_is_told_and_replaced(exported: Exported, apart: Apart) -> None:
    """The images are what ends it here; a file that crashes its runtime ends it in the same way."""

    def images() -> Iterator[np.ndarray]:
        yield exported.images
        apart._process.terminate()
        apart._process.join()
        yield exported.images

    with pytest.raises(VerifyError, match=r"_fp32\.tflite: it crashes the runtime that loads it \(exit code -15\)"):
        apart.run(exported.path("_fp32.tflite"), "tflite", CARD, SIZE, images())
    assert len(apart.run(exported.path("_fp32.tflite"), "tflite", CARD, SIZE, [exported.images]).probabilities) == 40


def test_what_takes_too_long_is_ended(exported: Exported) -> None:
    with (
        Apart(seconds=0.05) as runner,
        pytest.raises(VerifyError, match=r"it took more than 0\.05 seconds or all memory"),
    ):
        runner.run(exported.path("_fp32.tflite"), "tflite", CARD, SIZE, [exported.images])
