"""The updates, losses and logs of a Distiller, and the state that it must not change."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.distill.small import CLASSES, difference, student, taught, teacher, trained, updated, weights_after
from tfkd import Distiller, TeacherPredictions
from tfkd.distill.losses import ContrastiveLoss, HintLoss, SoftTargetsLoss
from tfkd.distill.losses.label import LabelLoss
from tfkd.distill.taps import tapped
from tfkd.errors import RequestError


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
    distiller = Distiller(student(), [guide], [(SoftTargetsLoss(3.0), 0.6)], label_weight=0.4)
    assert difference(updated(distiller, images, labels), reference.get_weights()) < 1e-6


def test_stored_predictions_give_the_same_update_as_the_teacher_itself(batch: Any) -> None:
    images, labels = batch
    guide = teacher()
    stored = {"image": images, "teacher_logits": guide(images, training=False).numpy()}
    assert difference(updated(Distiller(student()), stored, labels), taught()) < 1e-6


def test_the_teacher_does_not_change(batch: Any) -> None:
    guide = teacher()
    before = [weight.copy() for weight in guide.get_weights()]
    distiller = Distiller(student(), [guide])
    distiller.compile(keras.optimizers.AdamW(0.1), metrics=["accuracy"])
    distiller.fit(*batch, epochs=2, verbose=0)
    distiller.evaluate(*batch, verbose=0)
    assert difference(before, guide.get_weights()) == 0.0
    assert not guide.trainable_variables


def test_a_changed_teacher_teaches_with_its_weights_at_the_start_of_fit(batch: Any) -> None:
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


def test_two_teachers_give_the_update_of_their_mean_probability(batch: Any) -> None:
    images, labels = batch
    rng = np.random.default_rng(4)
    answers = rng.normal(0, 2, (16, 2, CLASSES)).astype(np.float32)
    both = updated(
        Distiller(student(), losses=[(SoftTargetsLoss(1.0), 1.0)], label_weight=0.0, teacher_shares=[1.0, 1.0]),
        {"image": images, "answers": ({"logits": answers[:, 0]}, {"logits": answers[:, 1]})},
        labels,
    )
    mean = np.log(tf.nn.softmax(answers).numpy().mean(axis=1))
    one = updated(
        Distiller(student(), losses=[(SoftTargetsLoss(1.0), 1.0)], label_weight=0.0),
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
    assert difference(first, taught()) > 1e-4


def test_unlabelled_images_have_only_the_loss_with_the_teacher(batch: Any) -> None:
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
    epochs: list[int] = []
    callback = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: epochs.append(epoch))
    history = distiller.fit(*batch, validation_data=batch, epochs=2, verbose=0, callbacks=[callback]).history
    assert epochs == [0, 1]
    names = {"loss", "label_loss", "distillation_loss", "soft_targets_loss", "accuracy"}
    assert set(history) == names | {f"val_{name}" for name in names} | {"val_total_loss"}
    answers = distiller.predict(batch[0], verbose=0).argmax(axis=1)
    assert distiller.evaluate(*batch, verbose=0, return_dict=True)["accuracy"] == pytest.approx(
        np.mean(answers == batch[1])
    )


def test_the_parts_of_the_loss_sum_to_it(batch: Any) -> None:
    base = student()
    head = keras.layers.Dense(CLASSES, kernel_regularizer=keras.regularizers.L2(0.1))
    regularised = keras.Model(base.input, head(base.layers[-2].output))
    losses = [(SoftTargetsLoss(2.0), 0.5), (HintLoss(), 0.25), (SoftTargetsLoss(1.0), 0.125)]
    penalty = 0.1 * float((head.kernel.numpy() ** 2).sum())
    logs = trained(Distiller(regularised, [teacher(), teacher(40)], losses), *batch, batch_size=16)
    parts = [logs[name] for name in ("soft_targets_loss", "hint_loss", "soft_targets_2_loss")]
    assert min(parts) > 0
    assert sum(parts) == pytest.approx(logs["distillation_loss"], rel=1e-5)
    assert logs["label_loss"] + logs["distillation_loss"] + penalty == pytest.approx(logs["loss"], rel=1e-5)


@pytest.mark.parametrize("label_weight", [0.0, 0.3])
def test_the_loss_of_a_validation_is_that_of_the_labels_unweighted(batch: Any, label_weight: float) -> None:
    images, labels = batch
    distiller = Distiller(student(), [teacher()], [(SoftTargetsLoss(2.0), 0.6)], label_weight)
    distiller.compile()
    logits, guide = distiller.student(images), teacher()(images)
    label = float(tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)))
    soft = 0.6 * float(SoftTargetsLoss(2.0)(guide, logits))
    logs = distiller.evaluate(images, labels, verbose=0, return_dict=True)
    assert logs["loss"] == pytest.approx(label, rel=1e-5)
    assert logs["distillation_loss"] == pytest.approx(soft, rel=1e-4)
    assert logs["total_loss"] == pytest.approx(label_weight * label + soft, rel=1e-4)
    alone = Distiller(distiller.student, losses=[], label_weight=1.0)
    alone.compile(metrics=["accuracy"])
    assert set(alone.evaluate(images, labels, verbose=0, return_dict=True)) == {"loss", "accuracy"}


def test_a_validation_without_predictions_of_a_teacher_is_that_of_the_labels_alone(batch: Any) -> None:
    distiller = Distiller(student())
    distiller.compile()
    assert set(distiller.evaluate(*batch, verbose=0, return_dict=True)) == {"loss"}


def test_validation_does_not_change_memories_and_moments(batch: Any) -> None:
    losses = [(HintLoss(), 0.5), (ContrastiveLoss(negatives=8), 0.5)]
    for images in (None, 16):
        distiller = Distiller(student(), [teacher()], losses, images=images)
        trained(distiller, *batch)
        before = [weight.copy() for weight in distiller.get_weights()]
        logs = distiller.evaluate(*batch, verbose=0, return_dict=True)
        assert logs["hint_loss"] > 0 and logs["contrastive_loss"] > 0
        assert difference(before, distiller.get_weights()) == 0


def moody_teacher() -> keras.Model:
    """A teacher whose BatchNorm and dropout change its predictions in training mode, and its statistics."""
    guide = teacher()
    image = keras.Input((32, 32, 3))
    x = keras.layers.Dropout(0.9, seed=1)(keras.layers.BatchNormalization(momentum=0.1)(guide(image)))
    return keras.Model(image, keras.layers.Dense(CLASSES, kernel_initializer="glorot_normal")(x))


def test_the_teacher_runs_in_inference_mode(batch: Any) -> None:
    images, labels = batch
    guide = moody_teacher()
    assert difference([guide(images, training=False)], [guide(images, training=True)]) > 0.1
    logits = guide.predict(images, verbose=0)
    before = [variable.numpy() for variable in guide.variables]
    online = Distiller(student(), [guide])
    weights = weights_after(online, images, labels, batch_size=8, validation_data=(images, labels))
    stored = weights_after(Distiller(student()), TeacherPredictions(images, logits), labels, batch_size=8)
    assert difference(weights, stored) < 1e-6
    assert difference(before, [variable.numpy() for variable in guide.variables]) == 0


def test_a_teacher_whose_layers_stay_trainable_runs_in_inference_mode(batch: Any) -> None:
    """Keras does not update BatchNorm in frozen layers, but does so in layers that are thawed again."""
    images, labels = batch
    guide = moody_teacher()
    logits = guide.predict(images, verbose=0)
    online = Distiller(student(), [guide])
    guide.trainable = True
    before = [variable.numpy() for variable in guide.variables]
    weights = weights_after(online, images, labels, batch_size=16)
    stored = weights_after(Distiller(student()), TeacherPredictions(images, logits), labels, batch_size=16)
    assert difference(weights, stored) < 1e-6
    assert difference(before, [variable.numpy() for variable in guide.variables]) == 0


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
def test_invalid_weights_are_refused(weights: tuple[float, float]) -> None:
    with pytest.raises(RequestError, match="weights"):
        Distiller(student(), losses=[(SoftTargetsLoss(), weights[0])], label_weight=weights[1])


def test_a_distiller_without_labels_and_teachers_is_refused(batch: Any) -> None:
    with pytest.raises(RequestError, match="no teachers"):
        updated(Distiller(student()), *batch)


def test_mixed_labels_give_the_update_of_their_parts(batch: Any) -> None:
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
    distiller = Distiller(student(), [teacher()], [(HintLoss(), 1.0), (SoftTargetsLoss(), 0.5)])
    (projector, _) = distiller.loss_layers
    before = projector.get_weights()
    updated(distiller, images, labels)
    assert np.abs(projector.get_weights()[0] - before[0]).max() > 0
    distiller.save(tmp_path / "student.keras")
    assert keras.saving.load_model(tmp_path / "student.keras").count_params() == student().count_params()


def test_stored_features_give_the_same_update_as_the_teacher_itself(batch: Any) -> None:
    images, labels = batch
    guide = teacher()
    losses = [(HintLoss(), 1.0)]
    online = updated(Distiller(student(), [guide], losses), images, labels)
    answer = {tap: value.numpy() for tap, value in tapped(guide, ["pooled"])(images).items()}
    shapes = [{tap: value.shape[1:] for tap, value in answer.items()}]
    stored = Distiller(student(), losses=losses, answers=shapes)
    assert difference(updated(stored, {"image": images, "answers": (answer,)}, labels), online) < 1e-6


def test_two_distillers_from_one_loss_have_projectors_of_their_own(batch: Any) -> None:
    losses = [(HintLoss(), 1.0)]
    first, second = (Distiller(student(), [teacher()], losses) for _ in range(2))
    assert first.loss_layers[0] is not second.loss_layers[0]
    assert losses[0][0].layers == []


def test_a_model_cannot_teach_itself() -> None:
    model = student()
    with pytest.raises(RequestError, match="same model"):
        Distiller(model, [model])


def test_a_tap_that_does_not_exist_is_refused() -> None:
    with pytest.raises(RequestError, match="pooled"):
        Distiller(student(), [teacher()], [(HintLoss(teacher_tap="poold"), 1.0)])


def test_predictions_without_the_features_of_a_loss_are_refused() -> None:
    with pytest.raises(RequestError, match="predictions of teacher 0 lack: they hold logits"):
        Distiller(student(), losses=[(HintLoss(), 1.0)], answers=[{"logits": (CLASSES,)}])


def test_arrays_are_numbered_for_a_memory_of_the_training_set(batch: Any) -> None:
    images, labels = batch
    expected = {"image": images, "index": np.arange(16)}
    weights = []
    for x in (images, expected, TeacherPredictions(images, (), np.arange(16))):
        distiller = Distiller(student(), [teacher()], [(ContrastiveLoss(negatives=8), 1.0)], images=16)
        trained(distiller, x, labels, batch_size=4, epochs=2)
        weights.append([weight.copy() for weight in distiller.get_weights()])
    assert difference(weights[0], weights[1]) == difference(weights[0], weights[2]) == 0
    distiller = Distiller(student(), [teacher()], [(ContrastiveLoss(negatives=8), 1.0)], images=15)
    with pytest.raises(RequestError, match="16 examples, more than the Distiller's images=15"):
        trained(distiller, images, labels)


def test_a_memory_without_a_number_of_images_is_a_queue(batch: Any) -> None:
    images, labels = batch
    distiller = Distiller(student(), [teacher()], [(ContrastiveLoss(negatives=12), 1.0)])
    (_, _, queue) = distiller.loss_layers
    trained(distiller, images, labels, batch_size=8)
    assert queue.index.numpy().tolist() == [12, 13, 14, 15, *range(4, 12)]
    batches = tf.data.Dataset.from_tensor_slices((images, labels)).batch(8)
    logs = trained(distiller, batches)
    assert logs["contrastive_loss"] > 0 and (queue.index.numpy() == -1).all()


def test_a_loss_with_a_memory_needs_the_images_numbers(batch: Any) -> None:
    images, labels = batch
    distiller = Distiller(student(), [teacher()], [(ContrastiveLoss(negatives=8), 1.0)], images=16)
    with pytest.raises(RequestError, match="index="):
        updated(distiller, images, labels)
