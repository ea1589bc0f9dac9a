"""Wrong data and arguments of a Distiller: refused in one line, not learnt from."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.distill.small import CLASSES, images_and_labels, student, teacher
from tfkd import Distiller
from tfkd.errors import RequestError

IMAGES, LABELS = images_and_labels()
ROWS = np.eye(CLASSES, dtype=np.float32)[LABELS]


@pytest.fixture(scope="module")
def distiller() -> Distiller:
    made = Distiller(student(), losses=[])
    made.compile(keras.optimizers.SGD(0.1))
    return made


def with_first(labels: np.ndarray, value: Any) -> np.ndarray:
    """Returns labels with another first one."""
    changed = labels.copy()
    changed[0] = value
    return changed


WRONG = [
    (
        with_first(LABELS, CLASSES),
        "The labels y run from 0 to 4; the student's 4 classes are 0 to 3, and -1 is no label",
    ),
    (with_first(LABELS, -2), "The labels y run from -2 to 3"),
    (with_first(LABELS.astype(np.float32), np.nan), "The labels y hold values that are not finite"),
    (with_first(LABELS.astype(np.float32), 0.5), "The labels y hold fractions"),
    (with_first(ROWS, np.nan), "The labels y hold values that are not finite"),
    (
        with_first(ROWS, [-0.5, 1.5, 0, 0]),
        "The rows of the labels y hold values from -0.5 to 1.5, and their largest sum",
    ),
    (with_first(ROWS, [1, 1, 1, 0]), "and their largest sum is 3; give probabilities"),
    (np.array([f"class {label}" for label in LABELS]), "The labels y have the dtype <U7; give numbers of classes"),
    (LABELS.astype(object), "The labels y have the dtype object"),
]


@pytest.mark.parametrize(("labels", "message"), WRONG)
def test_labels_in_arrays_are_checked_before_the_first_step(distiller: Distiller, labels: Any, message: str) -> None:
    before = distiller.student.get_weights()
    for call in (
        lambda: distiller.fit(IMAGES, labels, verbose=0),
        lambda: distiller.fit({"image": IMAGES, "label": labels}, verbose=0),
        lambda: distiller.fit(IMAGES, LABELS, validation_data=(IMAGES, labels), verbose=0),
        lambda: distiller.evaluate(IMAGES, labels, verbose=0),
    ):
        with pytest.raises(RequestError) as error:
            call()
        assert message in str(error.value) and "\n" not in str(error.value)
    assert all(map(np.array_equal, before, distiller.student.get_weights()))


@pytest.mark.parametrize(
    "labels", [with_first(LABELS, CLASSES), with_first(LABELS, -2), *(labels for labels, _ in WRONG[4:7])]
)
def test_labels_in_batches_are_checked_in_the_step(distiller: Distiller, labels: np.ndarray) -> None:
    data = tf.data.Dataset.from_tensors((IMAGES, labels))
    before = [weight.numpy() for weight in distiller.student.trainable_weights]
    for call in (
        lambda: distiller.fit(data, verbose=0),
        lambda: distiller.evaluate(data, verbose=0),
        lambda: distiller.train_on_batch(IMAGES, labels),
        lambda: distiller.test_on_batch(IMAGES, labels),
    ):
        with pytest.raises(
            RequestError, match=r"labels y out of range; give numbers of classes from 0 to 3 \(-1: no l"
        ):
            call()
    assert all(map(np.array_equal, before, [weight.numpy() for weight in distiller.student.trainable_weights]))


def test_all_forms_of_labels_pass(distiller: Distiller) -> None:
    for labels in (LABELS, with_first(LABELS, -1), LABELS[:, None], ROWS, with_first(ROWS, 0), ROWS.astype(np.float16)):
        assert np.isfinite(distiller.evaluate(IMAGES, labels, verbose=0))


@pytest.mark.parametrize(
    ("images", "shape"),
    [(IMAGES[:, ::2, ::2], "[16, 16, 3]"), (IMAGES[..., 0], "[32, 32]"), (IMAGES[..., :1], "32, 1]")],
)
def test_images_of_another_form_are_refused(distiller: Distiller, images: np.ndarray, shape: str) -> None:
    for call in (
        lambda: distiller.fit(images, LABELS, verbose=0),
        lambda: distiller.fit(tf.data.Dataset.from_tensors((images, LABELS)), verbose=0),
        lambda: distiller.evaluate(images, LABELS, verbose=0),
        lambda: distiller.predict(images, verbose=0),
    ):
        with pytest.raises(RequestError, match=r"the student takes \[32, 32, 3\]; resize or convert them") as error:
            call()
        assert shape in str(error.value)


@pytest.mark.parametrize("method", ["fit", "evaluate", "train_on_batch", "test_on_batch"])
def test_compile_comes_first(method: str) -> None:
    with pytest.raises(RequestError, match=f"Call compile before {method}: distiller.compile"):
        getattr(Distiller(student(), losses=[]), method)(IMAGES, LABELS)


@pytest.mark.parametrize(
    ("named", "message"),
    [
        (
            {"temperature": 4.0},
            r"no argument 'temperature'\. It belongs to a loss: losses=\[\w+\(temperature=…\)\]",
        ),
        ({"label_wieght": 0.3}, "no argument 'label_wieght'. Did you mean 'label_weight'"),
        ({"label_weight": "x"}, "The loss weights .* must be numbers"),
        ({"label_weight": float("nan")}, "must not be negative"),
        ({"losses": [("soft_targets", "x")]}, "The loss weights .* must be numbers"),
    ],
)
def test_wrong_arguments_of_the_constructor(named: dict[str, Any], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        Distiller(student(), teacher(), **named)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("x.txt", "save: Invalid filepath extension"),
        ("none/x.keras", "none/x.keras"),
        (None, "filepath = None must be a path"),
    ],
)
def test_a_student_that_cannot_be_saved(
    distiller: Distiller, path: Any, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RequestError) as error:
        distiller.save(path)
    assert message in str(error.value) and "\n" not in str(error.value)
