"""`Distiller` as a user of Keras meets it."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests import tiny
from tfkd import Distiller
from tfkd.distill.losses import Contrastive, Hint, SoftTargets
from tfkd.distill.losses.label import LabelLoss
from tfkd.distill.taps import tapped
from tfkd.errors import RequestError

CLASSES = 4


def student(seed: int = 1, dropout: float = 0.0) -> keras.Model:
    keras.utils.set_random_seed(seed)
    return tiny.build_student(
        keras,
        image_size=32,
        classes=CLASSES,
        width=1.0,
        activation="relu6",
        dropout=dropout,
        batch_norm_momentum=0.9,
    )


def teacher(size: int = 32, classes: int = CLASSES) -> keras.Model:
    keras.utils.set_random_seed(99)
    return tiny.build_teacher(image_size=size, classes=classes)


@pytest.fixture(scope="module")
def batch() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.uniform(0, 255, (16, 32, 32, 3)).astype(np.float32), rng.integers(0, CLASSES, 16)


def updated(distiller: Distiller, *data: Any) -> list[np.ndarray]:
    """Returns the student's weights after one step of gradient descent."""
    distiller.compile(keras.optimizers.SGD(0.1))
    distiller.fit(tf.data.Dataset.from_tensors(tuple(data)), verbose=0)
    return [weight.copy() for weight in distiller.student.get_weights()]


def difference(first: list[np.ndarray], second: list[np.ndarray]) -> float:
    return max(float(np.abs(a - b).max()) for a, b in zip(first, second, strict=True))


def test_the_update_is_the_gradient_of_the_written_out_loss(batch: Any) -> None:
    images, labels = batch
    reference, guide = student(), teacher()
    logits = tf.cast(guide(images, training=False), tf.float64)
    with tf.GradientTape() as tape:
        answer = tf.cast(reference(images, training=True), tf.float64)
        label = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, answer))
        p, q = tf.nn.softmax(logits / 3), tf.nn.softmax(answer / 3)
        soft = 9 * tf.reduce_mean(tf.reduce_sum(p * (tf.math.log(p) - tf.math.log(q)), axis=1))
        loss = 0.4 * label + 0.6 * soft
    for variable, gradient in zip(
        reference.trainable_variables, tape.gradient(loss, reference.trainable_variables), strict=True
    ):
        variable.assign_sub(0.1 * gradient)
    distiller = Distiller(student(), [guide], [(SoftTargets(3.0), 0.6)], label_weight=0.4)
    assert difference(updated(distiller, images, labels), reference.get_weights()) < 1e-6


def test_stored_answers_give_the_same_update_as_the_teacher_itself(batch: Any) -> None:
    images, labels = batch
    guide = teacher()
    online = updated(Distiller(student(), [guide]), images, labels)
    stored = {"image": images, "teacher_logits": guide(images, training=False).numpy()}
    assert difference(updated(Distiller(student()), stored, labels), online) < 1e-6


def test_the_teacher_stays_as_it_is(batch: Any) -> None:
    guide = teacher()
    before = [weight.copy() for weight in guide.get_weights()]
    distiller = Distiller(student(), [guide])
    distiller.compile(keras.optimizers.AdamW(0.1), metrics=["accuracy"])
    distiller.fit(*batch, epochs=2, verbose=0)
    distiller.evaluate(*batch, verbose=0)
    assert difference(before, guide.get_weights()) == 0.0


def test_a_teacher_that_changed_teaches_what_it_knows_when_fit_begins(batch: Any) -> None:
    images, labels = batch
    guide = teacher()
    distiller = Distiller(student(), [guide])
    before = distiller.student.get_weights()
    first = updated(distiller, images, labels)
    last = guide.weights[-1]
    last.assign(last.numpy() + np.arange(CLASSES))
    distiller.student.set_weights(before)
    distiller.fit(tf.data.Dataset.from_tensors((images, labels)), verbose=0)
    second = distiller.student.get_weights()
    fresh = Distiller(student(), [guide])
    assert difference(second, first) > 1e-4
    assert difference(second, updated(fresh, images, labels)) < 1e-6


def test_a_teacher_at_its_own_size_resizes_the_images(batch: Any) -> None:
    distiller = Distiller(student(), [teacher(size=40)])
    weights = updated(distiller, *batch)
    assert all(np.isfinite(weight).all() for weight in weights)


def test_two_teachers_pull_like_their_mean_probability(batch: Any) -> None:
    images, labels = batch
    rng = np.random.default_rng(4)
    answers = rng.normal(0, 2, (16, 2, CLASSES)).astype(np.float32)
    both = updated(
        Distiller(student(), losses=[(SoftTargets(1.0), 1.0)], label_weight=0.0, teacher_shares=[1.0, 1.0]),
        {"image": images, "answers": ({"logits": answers[:, 0]}, {"logits": answers[:, 1]})},
        labels,
    )
    mean = np.log(tf.nn.softmax(answers).numpy().mean(axis=1))
    one = updated(
        Distiller(student(), losses=[(SoftTargets(1.0), 1.0)], label_weight=0.0),
        {"image": images, "teacher_logits": mean},
        labels,
    )
    assert difference(both, one) < 1e-6


def test_sample_weights_of_zero_leave_an_image_out(batch: Any) -> None:
    images, labels = batch
    guide = teacher()
    weights = np.array([1.0] * 8 + [0.0] * 8, np.float32)
    spoiled = labels.copy()
    spoiled[8:] = (spoiled[8:] + 1) % CLASSES
    first = updated(Distiller(student(), [guide]), images, labels, weights)
    assert difference(first, updated(Distiller(student(), [guide]), images, spoiled, weights)) == 0.0
    assert difference(first, updated(Distiller(student(), [guide]), images, labels)) > 1e-4


def test_unlabelled_images_teach_through_the_teacher_alone(batch: Any) -> None:
    images, labels = batch
    guide = teacher()
    none = np.full_like(labels, -1)
    without_labels = updated(Distiller(student(), [guide]), images, none)
    soft_only = updated(Distiller(student(), [guide], label_weight=0.0), images, labels)
    assert difference(without_labels, soft_only) < 1e-6


def test_regularisers_of_the_student_count(batch: Any) -> None:
    images, labels = batch
    guide = teacher()
    keras.utils.set_random_seed(1)
    base = student()
    head = keras.layers.Dense(CLASSES, kernel_regularizer=keras.regularizers.L2(1.0))
    regularised = keras.Model(base.input, head(base.layers[-2].output))
    head.set_weights(base.layers[-1].get_weights())
    plain = updated(Distiller(student(), [guide]), images, labels)
    assert difference(plain, updated(Distiller(regularised, [guide]), images, labels)) > 1e-3


def test_metrics_and_validation(batch: Any) -> None:
    distiller = Distiller(student(), [teacher()])
    distiller.compile(keras.optimizers.SGD(0.01), metrics=["accuracy"])
    seen: list[int] = []
    callback = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(epoch))
    history = distiller.fit(*batch, validation_data=batch, epochs=2, verbose=0, callbacks=[callback]).history
    assert seen == [0, 1]
    assert {"loss", "distillation_loss", "accuracy", "val_accuracy"} <= set(history)
    assert history["loss"][0] > history["distillation_loss"][0] > 0
    answers = distiller.predict(batch[0], verbose=0).argmax(axis=1)
    assert distiller.evaluate(*batch, verbose=0, return_dict=True)["accuracy"] == pytest.approx(
        np.mean(answers == batch[1])
    )


def test_only_the_student_is_saved(batch: Any, tmp_path: Path) -> None:
    distiller = Distiller(student(), [teacher()])
    updated(distiller, *batch)
    distiller.save(tmp_path / "student.keras")
    loaded = keras.saving.load_model(tmp_path / "student.keras")
    assert loaded.count_params() == distiller.student.count_params()
    np.testing.assert_array_equal(loaded(batch[0]), distiller.student(batch[0]))
    assert distiller.count_params() == distiller.student.count_params()


def test_xla_stays_off_without_a_gpu() -> None:
    distiller = Distiller(student())
    distiller.compile()
    assert distiller.jit_compile is bool(tf.config.list_physical_devices("GPU"))


def test_other_classes_are_refused() -> None:
    with pytest.raises(RequestError, match="7 classes"):
        Distiller(student(), [teacher(classes=7)])


@pytest.mark.parametrize("weights", [(0.0, 0.0), (-1.0, 2.0)])
def test_weights_without_sense_are_refused(weights: tuple[float, float]) -> None:
    with pytest.raises(RequestError, match="weights"):
        Distiller(student(), losses=[(SoftTargets(), weights[0])], label_weight=weights[1])


def test_nobody_to_learn_from_is_refused(batch: Any) -> None:
    with pytest.raises(RequestError, match="no teachers"):
        updated(Distiller(student()), *batch)


def test_a_teacher_that_ends_in_softmax_teaches_like_its_logits(batch: Any) -> None:
    images, labels = batch
    guide = teacher()
    probabilities = keras.Model(guide.input, keras.layers.Softmax()(guide.output))
    losses = [(SoftTargets(1.0), 1.0)]
    first = updated(Distiller(student(), [guide], losses), images, labels)
    assert difference(first, updated(Distiller(student(), [probabilities], losses), images, labels)) < 1e-5


def test_mixed_labels_pull_like_their_parts(batch: Any) -> None:
    images, labels = batch
    guide = teacher()
    sharp = np.eye(CLASSES, dtype=np.float32)[labels]
    mixed = 0.7 * sharp + 0.3 * sharp[::-1]
    whole = updated_with(Distiller(student(), [guide]), mixed, images)
    by_hand = Distiller(student(), [guide])
    by_hand.compile(keras.optimizers.SGD(0.1), loss=keras.losses.CategoricalCrossentropy(from_logits=True))
    by_hand.fit(tf.data.Dataset.from_tensors((images, mixed)), verbose=0)
    assert difference(whole, by_hand.student.get_weights()) < 1e-6


def updated_with(distiller: Distiller, labels: np.ndarray, images: np.ndarray) -> list[np.ndarray]:
    """Returns the student's weights after one step with soft labels and our label loss."""
    distiller.compile(keras.optimizers.SGD(0.1), loss=LabelLoss())
    distiller.fit(tf.data.Dataset.from_tensors((images, labels)), verbose=0)
    return [weight.copy() for weight in distiller.student.get_weights()]


def test_losses_on_features_train_a_projector_that_is_not_saved(batch: Any, tmp_path: Path) -> None:
    images, labels = batch
    distiller = Distiller(student(), [teacher()], [(Hint(), 1.0), (SoftTargets(), 0.5)])
    (projector, _) = distiller.loss_layers
    before = projector.get_weights()
    updated(distiller, images, labels)
    assert np.abs(projector.get_weights()[0] - before[0]).max() > 0
    distiller.save(tmp_path / "student.keras")
    assert keras.saving.load_model(tmp_path / "student.keras").count_params() == student().count_params()


def test_stored_features_give_the_same_update_as_the_teacher_itself(batch: Any) -> None:
    images, labels = batch
    guide = teacher()
    losses = [(Hint(), 1.0)]
    online = updated(Distiller(student(), [guide], losses), images, labels)
    answer = {tap: value.numpy() for tap, value in tapped(guide, ["pooled"])(images).items()}
    shapes = [{tap: value.shape[1:] for tap, value in answer.items()}]
    stored = Distiller(student(), losses=losses, answers=shapes)
    assert difference(updated(stored, {"image": images, "answers": (answer,)}, labels), online) < 1e-6


def test_two_distillers_from_one_loss_have_projectors_of_their_own(batch: Any) -> None:
    losses = [(Hint(), 1.0)]
    first, second = (Distiller(student(), [teacher()], losses) for _ in range(2))
    assert first.loss_layers[0] is not second.loss_layers[0]
    assert losses[0][0].layers == []


def test_a_model_cannot_teach_itself() -> None:
    model = student()
    with pytest.raises(RequestError, match="same model"):
        Distiller(model, [model])


def test_a_tap_that_does_not_exist_is_refused() -> None:
    with pytest.raises(RequestError, match="pooled"):
        Distiller(student(), [teacher()], [(Hint(teacher_tap="poold"), 1.0)])


def test_answers_without_what_a_loss_looks_at_are_refused() -> None:
    with pytest.raises(RequestError, match="do not hold"):
        Distiller(student(), losses=[(Hint(), 1.0)], answers=[{"logits": (CLASSES,)}])


def test_a_loss_with_a_memory_needs_the_images_numbers(batch: Any) -> None:
    images, labels = batch
    distiller = Distiller(student(), [teacher()], [(Contrastive(negatives=8), 1.0)], images=16)
    with pytest.raises(RequestError, match="'index'"):
        updated(distiller, images, labels)
