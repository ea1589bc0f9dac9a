import base64
import io

import numpy as np
import pytest
from PIL import Image

from tfkd.bundle.evidence import Confusion, Mistake, Prediction
from tfkd.inputs.image.files import encode_shown
from tfkd.inputs.image.tensors import signature
from tfkd.report import classes

NAMES = ("cat", "dog", "fox", "hen")


def counted(cells, count=4):
    return Confusion(variant="it", classes=count, cells=cells)


def test_the_lowest_accuracy_comes_first_with_what_it_is_taken_for():
    found = classes.per_class(counted([(0, 0, 3), (0, 1, 1), (1, 0, 2), (1, 2, 2), (2, 2, 5)]), NAMES)
    shown = [(each.name, each.right, each.images, each.taken_for, each.taken) for each in found.results]
    assert shown == [("dog", 0, 4, "cat", 2), ("cat", 3, 4, "dog", 1), ("fox", 5, 5, "", 0)]
    assert [each.accuracy for each in found.results] == [0, 0.75, 1]
    assert (found.tested, found.untested) == (3, 1) and found.mean == pytest.approx(1.75 / 3)
    assert found.tenths == [1, 0, 0, 0, 0, 0, 0, 1, 0, 1] and found.lowest == []


def test_no_test_images_have_no_accuracy():
    assert classes.per_class(counted([]), NAMES) is None


@pytest.mark.parametrize(("count", "listed", "lowest"), [(24, 24, 0), (25, 25, 12), (10_001, 10_000, 12)])
def test_any_number_of_classes_has_a_list(count, listed, lowest):
    found = classes.per_class(counted([(i, i, 1) for i in range(count)], count), [str(i) for i in range(count)])
    assert (len(found.results), len(found.lowest), sum(found.tenths)) == (listed, lowest, count)


def test_pairs_hold_their_own_mistakes_the_most_frequent_pair_first():
    image = encode_shown(np.zeros((2, 2, 3), np.uint8), signature(32))
    mistakes = [
        Mistake(image=image, label=label, student=Prediction(label=predicted, probability=0.5))
        for label, predicted in (("dog", "cat"), ("cat", "dog"), ("dog", "cat"), ("dog", "fox"), ("fox", "cat"))
    ]
    found = classes.pairs(counted([(0, 0, 3), (0, 1, 1), (1, 0, 2), (1, 1, 7)]), NAMES, mistakes)
    assert [(each.truth, each.predicted, each.count, each.images) for each in found] == [
        ("dog", "cat", 2, 9),
        ("cat", "dog", 1, 4),
    ]
    assert [each.mistakes for each in found] == [[mistakes[0], mistakes[2]], [mistakes[1]]]


def test_the_picture_of_many_classes_shows_fractions_by_opacity():
    picture = Image.open(io.BytesIO(base64.b64decode(classes.heat_map(np.array([[1.0, 0.0], [0.25, 0.75]])))))
    pixels = np.asarray(picture)
    assert pixels.shape == (2, 2, 4) and pixels[0, 0].tolist() == [0, 114, 178, 255]
    assert pixels[0, 1, 3] == 0 and pixels[1, 0].tolist() == [213, 94, 0, 128]
