"""The forms of models, data, labels and losses that users of Keras pass to a Distiller."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests import tiny
from tests.distill.small import CLASSES, difference, in_one_step, student, taught, teacher, trained, weights_after
from tfkd import Distiller, TeacherPredictions, recipe
from tfkd.distill.losses import LOSSES, HintLoss, SoftTargetsLoss
from tfkd.errors import RequestError

SOFTMAXES = {
    "layer": keras.layers.Softmax(),
    "keras.ops": keras.ops.softmax,
    "then linear": lambda x: keras.layers.Activation("linear", dtype="float32")(keras.layers.Softmax()(x)),
    "out of reach": keras.layers.Lambda(lambda x: tf.nn.softmax(x * 1.0)),
}


def ended(model: keras.Model, end: str) -> keras.Model:
    return keras.Model(model.input, SOFTMAXES[end](model.output))


@pytest.mark.parametrize("end", SOFTMAXES)
def test_a_teacher_of_probabilities_teaches_like_its_logits(batch: Any, end: str) -> None:
    guide = ended(teacher(), end)
    before = guide(batch[0])
    assert difference(taught(), in_one_step(Distiller(student(), guide), *batch)) < 1e-5
    np.testing.assert_array_equal(guide(batch[0]), before)


def logged(distiller: Distiller, batch: Any) -> dict[str, float]:
    distiller.compile(keras.optimizers.SGD(0.1), metrics=["accuracy", "crossentropy"])
    return trained(distiller, *batch, validation_data=batch)


@pytest.fixture(scope="module")
def plain(batch: Any) -> tuple[Distiller, dict[str, float]]:
    """A Distiller with a student of logits, after one step, and its logs."""
    distiller = Distiller(student(), teacher())
    return distiller, logged(distiller, batch)


@pytest.mark.parametrize("end", ["then linear", "out of reach"])
def test_a_student_of_probabilities_is_trained_on_its_logits(batch: Any, plain: Any, end: str, tmp_path: Path) -> None:
    of_logits, logs = plain
    of_probabilities = Distiller(ended(student(), end), teacher())
    assert logged(of_probabilities, batch) == pytest.approx(logs, rel=1e-4)
    assert difference(of_logits.student.get_weights(), of_probabilities.student.get_weights()) < 1e-5
    probabilities = of_probabilities(batch[0])
    np.testing.assert_allclose(probabilities, keras.ops.softmax(of_logits(batch[0])), atol=1e-5)
    if end != "out of reach":
        of_probabilities.save(tmp_path / "student.keras")
        np.testing.assert_allclose(keras.saving.load_model(tmp_path / "student.keras")(batch[0]), probabilities)


def weights_of(form: Any, x: TeacherPredictions, labels: np.ndarray) -> list[np.ndarray]:
    return in_one_step(Distiller(student(), predictions_are=form), x, labels)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_stored_probabilities_teach_like_logits(batch: Any, dtype: str) -> None:
    images, labels = batch
    logits = teacher().predict(images, verbose=0)
    probabilities = keras.ops.convert_to_numpy(keras.ops.softmax(logits)).astype(dtype)
    tolerance = 1e-6 if dtype == "float32" else 1e-4
    for form in ("auto", "probabilities"):
        x = TeacherPredictions(images, probabilities)
        assert difference(weights_of(form, x, labels), taught()) < tolerance
    assert difference(weights_of("logits", x, labels), taught()) > 1e-4


def test_stored_logits_between_0_and_1_stay_logits(batch: Any) -> None:
    images, labels = batch
    small = np.random.default_rng(0).uniform(0, 1, (16, CLASSES)).astype(np.float32)
    x = TeacherPredictions(images, small)
    assert difference(weights_of("auto", x, labels), weights_of("logits", x, labels)) == 0


LABEL_LOSSES = [
    "sparse_categorical_crossentropy",
    "SparseCategoricalCrossentropy",
    keras.losses.sparse_categorical_crossentropy,
    keras.losses.SparseCategoricalCrossentropy(),
    keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    ["sparse_categorical_crossentropy"],
    lambda y, logits: keras.losses.sparse_categorical_crossentropy(y, logits, from_logits=True),
]


@pytest.mark.parametrize("loss", LABEL_LOSSES)
def test_a_loss_without_from_logits_is_computed_from_logits(batch: Any, loss: Any) -> None:
    assert difference(in_one_step(Distiller(student(), teacher()), *batch, loss=loss), taught()) < 1e-6


@pytest.mark.parametrize(
    ("loss", "dtype"),
    [
        ("categorical_crossentropy", "float32"),
        (keras.losses.CategoricalCrossentropy(label_smoothing=0.0), "int32"),
        (None, "int32"),
    ],
)
def test_rows_of_labels_give_the_update_of_class_indices(batch: Any, loss: Any, dtype: str) -> None:
    images, labels = batch
    distiller = Distiller(student(), teacher())
    distiller.compile(keras.optimizers.SGD(0.1), loss=loss, metrics=["accuracy"])
    weights = weights_after(distiller, images, np.eye(CLASSES)[labels].astype(dtype))
    assert difference(weights, taught()) < 1e-6


@pytest.mark.parametrize(
    ("loss", "says"),
    [
        ("kl_divergence", "takes probabilities"),
        (keras.losses.KLDivergence(), "takes probabilities"),
        ("binary_crossentropy", "sigmoid per class"),
        (keras.losses.BinaryCrossentropy(), "sigmoid per class"),
        ("cross_entropy", "no loss 'cross_entropy'"),
        (["mse", "mse"], "got 2 losses"),
    ],
)
def test_a_loss_that_is_not_of_logits_is_refused(loss: Any, says: str) -> None:
    with pytest.raises(RequestError, match=says):
        Distiller(student(), teacher()).compile(loss=loss)


def test_labels_that_a_loss_does_not_take_are_refused_in_one_line(batch: Any) -> None:
    images, labels = batch
    distiller = Distiller(student(), teacher())
    distiller.compile(loss="mse")
    with pytest.raises(RequestError, match="'mean_squared_error' takes rows"):
        distiller.fit(images, labels, verbose=0)
    with pytest.raises(RequestError, match=r"rows \[batch, 4\]"):
        trained(Distiller(student(), teacher()), images, np.eye(7)[labels])


def test_without_labels_only_the_teacher_is_a_target(batch: Any) -> None:
    images, labels = batch
    distiller = Distiller(student(), teacher())
    distiller.compile(keras.optimizers.SGD(0.1), metrics=["accuracy"])
    logs = trained(distiller, images, validation_data=(images,))
    assert set(logs) == {
        *("loss", "distillation_loss", "soft_targets_loss"),
        *("val_loss", "val_total_loss", "val_distillation_loss", "val_soft_targets_loss"),
    }
    expected = weights_after(Distiller(student(), teacher(), label_weight=0.0), images, labels)
    assert difference(distiller.student.get_weights(), expected) < 1e-6
    with pytest.raises(RequestError, match="no labels"):
        trained(Distiller(student(), losses=[]), images)


def test_tensorflow_datasets_are_understood(batch: Any) -> None:
    images, labels = batch
    data = {"image": images, "label": labels, "id": [f"photo {n}" for n in range(16)]}
    batches = tf.data.Dataset.from_tensor_slices(data).batch(16)
    assert difference(weights_after(Distiller(student(), teacher()), batches), taught()) < 1e-6
    with pytest.raises(RequestError, match="no 'image'"):
        trained(Distiller(student(), teacher()), {"pixels": images}, labels)


class Subclassed(keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.network = tiny.build_teacher(image_size=32, classes=CLASSES)

    def call(self, images: Any, training: bool = False) -> Any:
        return tf.nn.softmax(self.network(images, training=training))


def test_subclassed_teachers_and_students_work(batch: Any) -> None:
    keras.utils.set_random_seed(99)
    guide = Subclassed()
    guide.network.set_weights(teacher().get_weights())
    weights = weights_after(Distiller(student(), guide), *batch)
    assert difference(weights, taught()) < 1e-5
    learner = Subclassed()
    learner(batch[0][:1])
    before = learner.get_weights()
    trained(Distiller(learner, teacher()), *batch)
    assert difference(before, learner.get_weights()) > 1e-4
    with pytest.raises(RequestError, match="has no visible layers"):
        Distiller(student(), guide, [(HintLoss(), 1.0)])


def sized_student(seed: int = 1) -> keras.Model:
    """A student with a photo and a number as inputs, in a mapping."""
    keras.utils.set_random_seed(seed)
    inputs = {"photo": keras.Input((32, 32, 3), name="photo"), "answers": keras.Input((1,), name="answers")}
    pooled = keras.layers.GlobalAveragePooling2D()(inputs["photo"] / 255.0)
    return keras.Model(inputs, keras.layers.Dense(CLASSES)(keras.layers.Concatenate()([pooled, inputs["answers"]])))


def test_models_with_mappings_as_input_are_distilled(batch: Any) -> None:
    images, labels = batch
    x = {"photo": images, "answers": np.linspace(0, 1, 16, dtype=np.float32)[:, None]}
    guide = sized_student(2)
    online = weights_after(Distiller(sized_student(), guide), x, labels)
    logits = guide.predict(x, verbose=0)
    stored = weights_after(Distiller(sized_student()), TeacherPredictions(x, logits), labels)
    beside = weights_after(Distiller(sized_student()), {**x, "teacher_logits": logits, "label": labels})
    assert difference(online, stored) < 1e-6 and difference(online, beside) < 1e-6
    with pytest.raises(RequestError, match="no 'answers'"):
        trained(Distiller(sized_student(), guide), {"photo": images}, labels)


@pytest.mark.parametrize("labelled", [True, False])
def test_teacher_predictions_pass_through_data_sets(batch: Any, labelled: bool) -> None:
    images, labels = batch
    logits = teacher().predict(images, verbose=0)
    x = TeacherPredictions(images, ({"logits": logits},), np.arange(16))
    data = (x, labels) if labelled else x
    arrays = weights_after(Distiller(student()), *(data if labelled else (data,)), batch_size=8)
    batches = tf.data.Dataset.from_tensor_slices(data).batch(8)
    assert difference(weights_after(Distiller(student()), batches), arrays) < 1e-6


def test_teacher_predictions_are_split_for_validation(batch: Any) -> None:
    images, labels = batch
    logits = teacher().predict(images, verbose=0)
    x = TeacherPredictions(images, ({"logits": logits},), np.arange(16))
    logs = trained(Distiller(student()), x, labels, validation_split=0.25)
    assert logs["val_distillation_loss"] > 0
    with pytest.raises(RequestError, match="predictions of 2 teachers"):
        trained(Distiller(student()), TeacherPredictions(images, (logits, logits)), labels)


WAYS: list[tuple[dict[str, Any], Any]] = [
    ({"teacher": True}, None),
    ({}, (SoftTargetsLoss(4.0), 0.7)),
    ({}, [recipe.SoftTargets()]),
    ({}, recipe.SoftTargets()),
    ({}, [(recipe.SoftTargets(temperature=4.0, weight=9.0), 0.7)]),
    ({"teachers": (teacher,)}, [(SoftTargetsLoss(4.0), 0.7)]),
]


@pytest.mark.parametrize(("arguments", "losses"), WAYS)
def test_teachers_and_losses_in_several_forms(batch: Any, arguments: dict[str, Any], losses: Any) -> None:
    guides = {"teacher": teacher()} if "teacher" in arguments else {"teachers": teacher()}
    if "teachers" in arguments:
        guides = {"teachers": (teacher(),)}
    assert difference(in_one_step(Distiller(student(), losses=losses, **guides), *batch), taught()) < 1e-6


@pytest.mark.parametrize("losses", [SoftTargetsLoss(), [SoftTargetsLoss()], [SoftTargetsLoss], ["soft_targets"]])
def test_a_loss_without_weight_has_weight_1(batch: Any, losses: Any) -> None:
    expected = in_one_step(Distiller(student(), teacher(), [(SoftTargetsLoss(), 1.0)]), *batch)
    assert difference(in_one_step(Distiller(student(), teacher(), losses), *batch), expected) == 0
    assert difference(expected, taught()) > 1e-6


@pytest.mark.parametrize(
    ("losses", "says"),
    [
        ([keras.losses.KLDivergence()], "keras.losses.KLDivergence, which is no distillation loss"),
        (["soft_target"], "Did you mean 'soft_targets'"),
        ([(SoftTargetsLoss(), 0.5, 1.0)], "pairs"),
        ([recipe.SoftTargets(temperature=recipe.Schedule(start=4, end=1))], "Schedule"),
        ([0.5], "no distillation loss"),
    ],
)
def test_an_unknown_distillation_loss_gets_the_right_spelling(losses: Any, says: str) -> None:
    with pytest.raises(RequestError, match=says):
        Distiller(student(), teacher(), losses)


def test_two_ways_to_give_teachers_at_once_are_refused() -> None:
    with pytest.raises(RequestError, match="not both"):
        Distiller(student(), [teacher()], teacher=teacher())
    with pytest.raises(RequestError, match="label_weight"):
        Distiller(student(), teacher()).compile(loss_weights=0.5)
    with pytest.raises(RequestError, match="predictions_are"):
        Distiller(student(), predictions_are="softmax")  # type: ignore[arg-type]


def test_several_outputs_are_refused_with_how_to_choose_one() -> None:
    model = teacher()
    both = keras.Model(model.input, [model.output, model.output])
    for arguments in ((student(), both), (both, teacher())):
        with pytest.raises(RequestError, match=r"keras.Model\(model.inputs, model.outputs\[0\]\)"):
            Distiller(*arguments)


def test_the_student_is_exported(batch: Any, tmp_path: Path) -> None:
    distiller = Distiller(student(), teacher())
    trained(distiller, *batch)
    distiller.export(tmp_path / "saved", verbose=False)
    loaded = tf.saved_model.load(str(tmp_path / "saved"))
    np.testing.assert_allclose(loaded.serve(batch[0]), distiller.student(batch[0]), atol=1e-6)


def test_a_config_makes_the_same_distiller_with_a_fresh_student(batch: Any) -> None:
    guide = teacher()
    losses: list[Any] = [(LOSSES[kind](), keras.Variable(0.5)) for kind in ("decoupled", "hint", "contrastive")]
    losses.append((SoftTargetsLoss(2.0), 0.25))
    first = Distiller(student(), guide, losses, label_weight=0.5, images=16, name="mine")
    first.compile(keras.optimizers.SGD(0.1), loss="sparse_categorical_crossentropy", metrics=["accuracy", "ce"])
    copy = keras.models.clone_model(first)
    assert copy.name == "mine" and copy.compiled and copy.student is not first.student
    assert difference(copy.student.get_weights(), first.student.get_weights()) > 0
    copy.set_weights(first.get_weights())
    logs = [trained(each, *batch) for each in (first, copy)]
    assert logs[0] == logs[1]
    again = Distiller.from_config(first.get_config())
    assert not again.compiled and again.get_config() == first.get_config()
    config = first.get_config() | {"teachers": ["somebody-0"]}
    with pytest.raises(RequestError, match="not in this process"):
        Distiller.from_config(config)
