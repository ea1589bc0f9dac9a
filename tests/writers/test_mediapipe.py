"""MediaPipe Tasks, which Android apps classify with: it takes every .tflite of an export, and says what Keras says."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.tools import runtimes
from tests.tools.compilers import MissingError
from tests.writers.conftest import CARD, Exported


def test_it_names_the_classes_and_agrees_with_keras(exported: Exported, tmp_path: Path) -> None:
    try:
        runtimes.ready("mediapipe 1.2.2")
    except MissingError as error:
        pytest.skip(str(error))
    images = [tmp_path / f"{number}.png" for number in range(len(exported.images))]
    for path, image in zip(images, exported.images, strict=True):
        Image.fromarray(image).save(path)
    models = [exported.folder / file.path for file in exported.files if file.format == "tflite"]

    answers = runtimes.classify(models, images)
    assert set(answers) == {path.name for path in models} and len(models) == 4
    expected = [CARD.classes[best] for best in exported.probabilities.argmax(axis=1)]
    for name, found in answers.items():
        assert all({category for category, _ in answer} == set(CARD.classes) for answer in found), name
        agreement = np.mean([answer[0][0] == label for answer, label in zip(found, expected, strict=True)])
        assert agreement >= (1.0 if "fp" in name else 0.9), name
        if "fp32" in name:
            scores = [[dict(map(tuple, answer))[label] for label in CARD.classes] for answer in found]
            np.testing.assert_allclose(scores, exported.probabilities, atol=1e-5)
