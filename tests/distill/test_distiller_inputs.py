"""A Distiller of any inputs: several by name, in a list, vectors and sequences."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.distill.small import difference, in_one_step, trained, weights_after
from tfkd import Distiller, TeacherPredictions
from tfkd.errors import RequestError

ROWS, CLASSES = 16, 3
_rng = np.random.default_rng(0)
IDS = _rng.integers(0, 20, (ROWS, 6)).astype(np.int32)
MASK = _rng.integers(0, 2, (ROWS, 6)).astype(np.float32)
VECTORS = _rng.normal(size=(ROWS, 5)).astype(np.float32)
SEQUENCES = _rng.normal(size=(ROWS, 12, 4)).astype(np.float32)
LABELS = _rng.integers(0, CLASSES, ROWS)
layers = keras.layers


def ending(inputs: Any, features: Any, width: int) -> keras.Model:
    return keras.Model(inputs, layers.Dense(CLASSES)(layers.Dense(width, activation="relu")(features)))


def named(seed: int, width: int = 8) -> keras.Model:
    keras.utils.set_random_seed(seed)
    inputs = {"ids": keras.Input((6,), dtype="int32", name="ids"), "mask": keras.Input((6,), name="mask")}
    embedded = layers.Flatten()(layers.Embedding(20, 3)(inputs["ids"]))
    return ending(inputs, layers.Concatenate()([embedded, inputs["mask"]]), width)


def ids_alone(seed: int, width: int = 8) -> keras.Model:
    keras.utils.set_random_seed(seed)
    ids = keras.Input((6,), dtype="int32", name="ids")
    return ending(ids, layers.Flatten()(layers.Embedding(20, 3)(ids)), width)


def listed(seed: int, width: int = 8) -> keras.Model:
    keras.utils.set_random_seed(seed)
    inputs = [keras.Input((5,), name="vector"), keras.Input((6,), name="mask")]
    return ending(inputs, layers.Concatenate()(inputs), width)


def of_vectors(seed: int, width: int = 8) -> keras.Model:
    keras.utils.set_random_seed(seed)
    vector = keras.Input((5,))
    return ending(vector, vector, width)


def of_sequences(seed: int, width: int = 8) -> keras.Model:
    keras.utils.set_random_seed(seed)
    sequence = keras.Input((12, 4))
    pooled = layers.GlobalAveragePooling1D()(layers.Conv1D(6, 3, activation="relu")(sequence))
    return ending(sequence, pooled, width)


KINDS: dict[str, tuple[Callable[..., keras.Model], Any]] = {
    "names": (named, {"ids": IDS, "mask": MASK}),
    "list": (listed, [VECTORS, MASK]),
    "tuple": (listed, (VECTORS, MASK)),
    "vectors": (of_vectors, VECTORS),
    "sequences": (of_sequences, SEQUENCES),
}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> tuple[Callable[..., keras.Model], Any]:
    return KINDS[request.param]


def written_out(student: keras.Model, teacher: keras.Model, x: Any) -> list[np.ndarray]:
    """One step of gradient descent on Hinton's loss at T=4 with weight 0.7 and the cross-entropy with weight 0.3."""
    target = tf.nn.softmax(teacher(x, training=False) / 4)
    with tf.GradientTape() as tape:
        logits = student(x, training=True)
        labels = tf.nn.sparse_softmax_cross_entropy_with_logits(LABELS, logits)
        hinton = 16 * tf.reduce_sum(target * (tf.math.log(target) - tf.nn.log_softmax(logits / 4)), axis=-1)
        loss = tf.reduce_mean(0.3 * labels + 0.7 * hinton)
    gradients = tape.gradient(loss, [each.value for each in student.trainable_variables])
    dense = [tf.convert_to_tensor(gradient) for gradient in gradients]
    return [np.asarray(v) - 0.1 * np.asarray(g) for v, g in zip(student.trainable_variables, dense, strict=True)]


def test_the_update_is_that_of_the_written_out_loss(kind: Any) -> None:
    make, x = kind
    updated = in_one_step(Distiller(make(1), make(2, 16)), x, LABELS)
    assert difference(updated, written_out(make(1), make(2, 16), x)) < 1e-5


@pytest.mark.parametrize("kind", ["names", "tuple", "vectors"], indirect=True)
def test_stored_predictions_give_the_update_of_the_teacher_itself(kind: Any) -> None:
    make, x = kind
    online = weights_after(Distiller(make(1), make(2, 16)), x, LABELS, batch_size=8)
    stored = TeacherPredictions(x, make(2, 16).predict(x, verbose=0))
    assert difference(online, weights_after(Distiller(make(1)), stored, LABELS, batch_size=8)) < 1e-5


@pytest.mark.parametrize("kind", ["names", "list", "sequences"], indirect=True)
def test_it_evaluates_predicts_and_saves_the_student(kind: Any, tmp_path: Path) -> None:
    make, x = kind
    distiller = Distiller(make(1), make(2, 16))
    distiller.compile(keras.optimizers.SGD(0.1), metrics=["accuracy"])
    trained(distiller, x, LABELS)
    predictions = distiller.predict(x, verbose=0)
    found = distiller.evaluate(x, LABELS, verbose=0, return_dict=True)
    assert found["accuracy"] == pytest.approx(np.mean(predictions.argmax(axis=1) == LABELS))
    assert "total_loss" in found
    distiller.save(tmp_path / "student.keras")
    again = keras.saving.load_model(tmp_path / "student.keras")
    np.testing.assert_allclose(again.predict(x, verbose=0), predictions, atol=1e-6)


def test_a_dictionary_may_hold_labels_and_predictions_beside_the_inputs() -> None:
    x = {"ids": IDS, "mask": MASK}
    logits = named(2, 16).predict(x, verbose=0)
    expected = weights_after(Distiller(named(1)), TeacherPredictions(x, logits), LABELS)
    batch = {**x, "label": LABELS, "teacher_logits": logits}
    data = tf.data.Dataset.from_tensors(batch)
    assert difference(expected, weights_after(Distiller(named(1)), data)) < 1e-6


def test_a_teacher_may_take_inputs_that_the_student_does_not() -> None:
    x = {"ids": IDS, "mask": MASK}
    logits = named(2, 16).predict(x, verbose=0)
    stored = weights_after(Distiller(ids_alone(1)), TeacherPredictions(IDS, logits), LABELS)
    assert difference(stored, weights_after(Distiller(ids_alone(1), named(2, 16)), x, LABELS)) < 1e-5


def test_a_teacher_may_take_one_of_the_students_inputs() -> None:
    x = {"ids": IDS, "mask": MASK}
    logits = ids_alone(2, 16).predict(IDS, verbose=0)
    stored = weights_after(Distiller(named(1)), TeacherPredictions(x, logits), LABELS)
    assert difference(stored, weights_after(Distiller(named(1), ids_alone(2, 16)), x, LABELS)) < 1e-5


def test_a_list_of_inputs_may_come_by_name() -> None:
    by_name = {"mask": MASK, "vector": VECTORS}
    expected = in_one_step(Distiller(listed(1), listed(2, 16)), [VECTORS, MASK], LABELS)
    assert difference(expected, in_one_step(Distiller(listed(1), listed(2, 16)), by_name, LABELS)) < 1e-6


@pytest.mark.parametrize("model", ["student", "teacher"])
def test_a_batch_without_an_input_is_refused(model: str) -> None:
    distiller = Distiller(named(1) if model == "student" else ids_alone(1), named(2))
    with pytest.raises(RequestError, match=r"The batch holds \['ids'\], but no 'mask'"):
        in_one_step(distiller, {"ids": IDS}, LABELS)


def test_a_teacher_of_other_shapes_is_refused() -> None:
    wide = keras.Input((7,))
    with pytest.raises(RequestError, match=r"takes \[7\], student '.*' \[5\] per example; give both the same inputs"):
        Distiller(of_vectors(1), ending(wide, wide, 8))
    with pytest.raises(RequestError, match=r"takes \[12, 4\], student '.*' \[5\] per example"):
        Distiller(of_vectors(1), of_sequences(2))
    free = keras.Input((None, 4))
    Distiller(of_sequences(1), ending(free, layers.GlobalAveragePooling1D()(free), 8))
