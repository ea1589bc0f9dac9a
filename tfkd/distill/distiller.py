"""`Distiller`: a Keras model that trains a student on the predictions of teachers."""

import inspect
from collections.abc import Sequence
from typing import Any

import keras

from tfkd.distill import arguments
from tfkd.distill.arguments import names_of, student_of, teachers_of, weighted_losses
from tfkd.distill.config import loss_config, loss_of_config, teacher_key, teacher_named
from tfkd.distill.frozen import FrozenTeachers, Hidden, name_of
from tfkd.distill.losses.base import LOGITS
from tfkd.distill.objective import Objective
from tfkd.distill.predictions import Form, inputs_of
from tfkd.distill.steps import DistillationSteps
from tfkd.distill.student_files import StudentFiles
from tfkd.distill.taps import tapped
from tfkd.distill.terms import Shapes, terms_of
from tfkd.errors import RequestError, cause
from tfkd.kernels import batch_norm, depthwise
from tfkd.models.logits import classifier, symbolic


@keras.saving.register_keras_serializable("tfkd")
class Distiller(StudentFiles, DistillationSteps):
    """Trains a student on the true labels and on the predictions of frozen teachers.

    It is used like any Keras model. Data is `x`, `(x, y)` or `(x, y, sample_weight)`, as arrays or data sets:

    - `x` is the student's input: a tensor, for instance images float [batch, height, width, 3], or a list or
      dictionary of tensors. The teachers run on it (online); a dictionary may have further inputs of theirs.
      Stored predictions are passed as `tfkd.TeacherPredictions(inputs, predictions)`. A dictionary may also have
      `label`, `index`, `teacher_logits` and `answers` beside the inputs (of a student with one input: `image`).
    - `y` is int [batch], −1 for an example without a label, or float [batch, classes], a row of zeros for an example
      without a label. Without `y` the student learns from the teachers alone.

    Models of tf_keras (Keras 2) are copied: a teacher's weights are read once, and of a student the Keras 3 copy,
    `distiller.student`, is trained and saved. A student under a mixed dtype policy computes in half precision, and the
    losses in float32.

    Teachers and student may give logits or probabilities (see `tfkd.models.logits`): the losses are computed from
    logits. For stored predictions the values of each batch decide: they are probabilities where every number is
    at least 0 and every row sums to 1 within 0.01; set `predictions_are` if that could be a coincidence, as in
    batches of one example. Calls and `predict` return the student's outputs, and metrics are computed from them.

    The teachers run in inference mode, outside the gradient, and are never saved: `save` and `export` write the student
    alone. Their weights are read when a `fit` begins, or at the first `train_on_batch`; later changes count from the
    next `fit` on. With several teachers each distillation loss is their weighted mean, which for Kullback-Leibler
    losses has the gradient of the mean of their probabilities.

    Logs of a training: `loss`, which is minimised; its parts `label_loss` and `distillation_loss`, each times its
    weight (what is missing to `loss` are the student's regularisers); and the parts of `distillation_loss` by the names
    of the losses, such as `soft_targets_loss`. Logs of a validation: `val_loss`, the loss with the labels, unweighted
    and without regularisers, so that it compares with any other training of the student; and with teachers or stored
    predictions, `val_total_loss`, which is computed as the training's `loss`, and its parts. Validation
    data without labels have `val_total_loss` as their `val_loss`.

    While it trains, the student's batch normalisations and wide depthwise convolutions and a compiled Adam or AdamW run
    in faster operations, which compute what Keras's do but for rounding.

    `get_config` and `from_config` (`keras.models.clone_model`) give a new Distiller with a student of fresh weights and
    the same teachers, as long as those exist in this process: a config does not hold their weights.

    Args:
        student: a model from its inputs to [batch, classes].
        teachers: a model or several, with the student's classes, for online distillation; images are resized for them.
        losses: pairs (loss, weight) of `tfkd.distill.losses`; by default Hinton's at T=4 with weight 0.7; [] trains the
            student on the labels alone. A loss without weight has weight 1; a loss block of a recipe has its own. A
            weight, and a loss's temperature, may be a `keras.Variable` that a callback changes during the training.
        label_weight: weight of the loss with the true labels.
        teacher_shares: weight of each teacher; equal by default.
        answers: for losses on stored features: one mapping per teacher from tap to shape without the batch.
        images: number of training examples, for losses with a memory of all; None: a queue of recent ones instead.
        label_tap: tap of the student that learns the labels, if it is not the student's output.
        predictions_are: what stored predictions are: "logits", "probabilities", or "auto" to decide by their values.
        teacher: a single teacher, instead of `teachers`.

    Raises:
        RequestError: the classes of teacher and student differ, a teacher cannot take the student's inputs, a model has
            several outputs or no logits, a tap does not exist, or the weights are negative or all zero.

    Example:
        >>> distiller = Distiller(student, teachers=[teacher])
        >>> distiller.compile(keras.optimizers.AdamW(2e-3), metrics=["accuracy"])
        >>> distiller.fit(images, labels, epochs=30)
        >>> distiller.save("student.keras")
    """

    def __init__(
        self,
        student: keras.Model,
        teachers: keras.Model | Sequence[keras.Model] = (),
        losses: Any = None,
        label_weight: float = 0.3,
        teacher_shares: Sequence[float] | None = None,
        answers: Sequence[Shapes] = (),
        images: int | None = None,
        predictions_are: Form = "auto",
        teacher: keras.Model | None = None,
        label_tap: str = LOGITS,
        **kwargs: Any,
    ) -> None:
        arguments.check_keywords(kwargs, list(inspect.signature(Distiller.__init__).parameters)[1:-1])
        student = student_of(student)
        student_classifier = classifier(student, f"Student {name_of(student)}")
        super().__init__(dtype=student.dtype_policy, **kwargs)
        weighted = weighted_losses(losses)
        guides = teachers_of(teachers, teacher)
        arguments.check_weights([label_weight, *(weight for _, weight in weighted)])
        arguments.check_form(predictions_are)
        batch_norm.fuse(student)
        depthwise.quicken(student)
        self.student = student
        self.label_weight = label_weight
        self._takes = Hidden([symbolic(student_classifier.logits, "inputs")])
        self._gives_probabilities = student_classifier.probabilities
        self._form, self._images, self._label_tap = predictions_are, images, label_tap
        self._classes = int(student_classifier.logits.output_shape[-1])
        network = tapped(student_classifier.logits, [label_tap, *(loss.student_tap for loss, _ in weighted)])
        frozen = FrozenTeachers(guides, student_classifier.logits, student, [loss.teacher_tap for loss, _ in weighted])
        terms = terms_of(
            weighted,
            teacher_weights=teacher_shares or [1.0] * max(1, len(guides), len(answers)),
            teachers=answers or frozen.shapes,
            student={tap: tuple(output.shape[1:]) for tap, output in network.output.items()},
            images=images,
        )
        self._arguments = Hidden([(weighted, guides, teacher_shares, answers)])
        self._objective = Objective(network, frozen, terms, names_of(weighted))
        self.loss_layers = [layer for term in terms for layer in term.layers]
        self._begin_logs(["label_loss", "distillation_loss", *self._objective.names])
        self.build(student_classifier.logits.input_shape)

    def build(self, input_shape: Any) -> None:
        """Marks the model as built; the student has its own variables."""
        self.built = True

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Returns the student's outputs, [batch, classes]."""
        return self.student(inputs_of(inputs, self._takes.items[0]), training=training)

    def get_config(self) -> dict[str, Any]:
        """Returns the config for `from_config` in this process: architectures without weights, keys of teachers."""
        losses, teachers, weights, answers = self._arguments.items[0]
        try:
            student = keras.saving.serialize_keras_object(self.student)
        except (NotImplementedError, TypeError) as error:
            raise RequestError(f"The student {self.student.name!r} has no config of its own: {cause(error)}") from error
        return {
            "name": self.name,
            "student": student,
            "teachers": [teacher_key(teacher) for teacher in teachers],
            "losses": [[loss_config(loss), float(weight)] for loss, weight in losses],
            "label_weight": float(self.label_weight),
            "teacher_shares": None if weights is None else list(weights),
            "answers": [{tap: list(shape) for tap, shape in each.items()} for each in answers],
            "images": self._images,
            "label_tap": self._label_tap,
            "predictions_are": self._form,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> "Distiller":
        """Returns a Distiller with a student of new weights and the teachers of the config.

        Raises:
            RequestError: a teacher does not exist in this process.
        """
        config = dict(config)
        teachers = [teacher_named(key) for key in config.pop("teachers")]
        student = keras.saving.deserialize_keras_object(config.pop("student"), custom_objects)
        losses = [(loss_of_config(loss), weight) for loss, weight in config.pop("losses")]
        answers = [{tap: tuple(shape) for tap, shape in each.items()} for each in config.pop("answers")]
        return cls(student, teachers, losses, answers=answers, **config)
