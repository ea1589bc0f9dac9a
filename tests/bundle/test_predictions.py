"""Which photos the report shows of the predictions on the test split."""

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.data.photos import fill
from tfkd.bundle import predictions
from tfkd.bundle.evidence import Confusion, Prediction
from tfkd.data import open_evaluation
from tfkd.inputs.image.tensors import signature
from tfkd.recipe import Data
from tfkd.verification.flips import FlippedImage
from tfkd.writers import samples


def test_confusion_is_counted_by_pairs():
    logits = np.eye(3)[[0, 1, 1, 1]]
    found = predictions.confusion("it", np.array([0, 0, 0, 2]), logits)
    assert found == Confusion(variant="it", classes=3, cells=[(0, 0, 1), (0, 1, 2), (2, 1, 1)])


@pytest.mark.parametrize(("classes", "photos"), [(3, 8), (10, 10), (24, 24), (40, 24)])
def test_every_class_up_to_24_is_among_the_examples(classes, photos):
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(classes), 5))
    found = predictions.example_positions(labels, 1)
    assert len(set(found.tolist())) == len(found) == photos
    assert len(set(labels[found].tolist())) == min(classes, 24)
    np.testing.assert_array_equal(found, predictions.example_positions(labels, 1))
    assert found.tolist() != predictions.example_positions(labels, 2).tolist()


def test_more_classes_than_24_are_drawn_from_all():
    labels = np.arange(1000)
    assert labels[predictions.example_positions(labels, 1)].max() > 500


def test_mistakes_are_the_most_confident_of_the_most_frequent_pairs():
    """Logits of one photo are not comparable with those of another: 9 to 8 is less certain than 3 to 0."""
    labels = np.array([0, 0, 0, 1, 1, 2])
    scores = np.array([[8, 9, 0], [0, 3, 0], [0, 2, 0], [1, 0, 0], [0, 5, 0], [0, 1, 2]], float)
    assert predictions.mistake_positions(labels, scores).tolist() == [1, 2, 3]


def test_at_most_eight_pairs_are_shown():
    cells = [(i, j, 1 + 10 * i + j) for i in range(10) for j in range(10)]
    found = predictions.frequent_pairs(cells)
    assert [cell[:2] for cell in found] == [(9, 8), (9, 7), (9, 6), (9, 5), (9, 4), (9, 3), (9, 2), (9, 1)]


def positions(photos, image):
    """Returns where a picture of the evidence is among the photos."""
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(image))))
    return [i for i, photo in enumerate(photos) if np.array_equal(photo, pixels)]


def test_flips_are_shown_with_every_network_that_is_wrong(tmp_path: Path):
    data = open_evaluation(Data(source=f"folder:{fill(tmp_path, {'a': 5, 'b': 5})}"), 1)
    labels = data.test.labels
    teacher = np.where(np.eye(2)[labels] > 0, np.linspace(0.6, 0.9, 10)[:, None], 0.1)
    wrong = {"student": (2, 7), "int8": (7,), "fp32": ()}
    flipped = {name: [FlippedImage(i, 1 - labels[i], 0.7) for i in images] for name, images in wrong.items()}
    found = predictions.flips(data, signature(16), teacher, flipped)
    photos = samples.at(data.test, np.arange(10), signature(16))
    assert [(positions(photos, each.image), sorted(each.wrong)) for each in found] == [
        ([7], ["int8", "student"]),
        ([2], ["student"]),
    ]
    assert [each.label for each in found] == [data.classes[labels[i]] for i in (7, 2)]
    assert found[0].teacher == Prediction(label=data.classes[labels[7]], probability=teacher[7].max())
    assert found[0].wrong["int8"] == Prediction(label=data.classes[1 - labels[7]], probability=0.7)
    assert predictions.flips(data, signature(16), teacher, {"fp32": []}) == []


def test_evidence_shows_the_photos_that_it_names(tmp_path: Path):
    data = open_evaluation(Data(source=f"folder:{fill(tmp_path, {'a': 5, '<b>': 5})}"), 1)
    labels = data.test.labels
    teacher = np.eye(2)[labels]
    student = np.where(np.arange(len(labels))[:, None] == 3, 1 - teacher, teacher)
    scores = {"teacher": teacher, "student": student}
    found = predictions.evidence("it", data, signature(16), 1, scores, lambda rows: rows)
    photos = samples.at(data.test, np.arange(len(labels)), signature(16))

    def position(image):
        return positions(photos, image)

    assert len(found.examples) == 8 and {example.label for example in found.examples} == {"a", "<b>"}
    for example in found.examples:
        (i,) = position(example.image)
        assert example.label == data.classes[labels[i]] and example.control is None
        assert (example.teacher, example.student) == (teacher[i].tolist(), student[i].tolist())
    (mistake,) = found.mistakes
    assert position(mistake.image) == [3] and mistake.control is None
    names = [data.classes[labels[3]], data.classes[1 - labels[3]]]
    assert [mistake.label, mistake.student.label] == names
    assert (mistake.teacher.label, mistake.teacher.probability) == (names[0], 1.0)
    assert predictions.evidence("it", data, signature(16), 1, {"student": teacher}, lambda rows: rows).mistakes == []
