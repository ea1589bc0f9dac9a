"""MediaPipe Tasks, which Android apps classify with: it takes every .tflite of an export, and says what Keras says."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.tools import runtimes
from tests.tools.compilers import MissingError
from tests.writers.conftest import CARD, SIGNATURE, Exported
from tfkd.writers.tflite import write_score_threshold


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


def test_it_gives_no_class_below_the_score_threshold(exported: Exported, tmp_path: Path) -> None:
    try:
        runtimes.ready("mediapipe 1.2.2")
    except MissingError as error:
        pytest.skip(str(error))
    confidence = exported.probabilities.max(axis=1)
    least = float(np.float32(np.sort(confidence)[len(confidence) // 2 :][:2].mean()))  # between two examples
    images = [tmp_path / f"{number}.png" for number in range(len(exported.images))]
    for path, image in zip(images, exported.images, strict=True):
        Image.fromarray(image).save(path)
    model = tmp_path / "unsure_fp32.tflite"
    model.write_bytes(exported.path("_fp32.tflite").read_bytes())
    write_score_threshold(model, CARD.with_score_threshold(least), SIGNATURE)
    (found,) = runtimes.classify([model], images).values()
    assert 0 < (confidence >= least).sum() < len(confidence)
    for answer, probabilities in zip(found, exported.probabilities, strict=True):
        assert {label for label, _ in answer} == {CARD.classes[i] for i in np.flatnonzero(probabilities >= least)}
