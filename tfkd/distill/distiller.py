"""`Distiller`: a Keras model that trains a student on a teacher's answers."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from tfkd.data.dataset import UNLABELLED
from tfkd.distill.losses import SoftTargets
from tfkd.errors import RequestError


class Distiller(keras.Model):
    """Trains a student on the true labels and on the answers of frozen teachers.

    It fits, evaluates and takes callbacks like any Keras model. A batch is `(x, y)` or `(x, y, sample_weight)`:

    - `x` is a float tensor of images [batch, height, width, 3], which the teachers answer as it comes (online), or a
      mapping with `image` and `teacher_logits`, float [batch, classes] or [batch, teachers, classes], answered before.
    - `y` is int [batch] for the default loss; -1 marks an image without a label, which only the teachers judge.

    The teachers run in inference mode, outside the gradient, and are never saved: `save` writes the student alone.
    Predicting and evaluating need no teacher. With several teachers each distillation loss is their mean, which for
    Kullback-Leibler losses has the gradient of the mean of their probabilities.

    Args:
        student: float images [batch, height, width, 3] to logits [batch, classes].
        teachers: models with the same classes, for online distillation; they resize the images to their own input.
        losses: pairs (loss, weight); a loss maps (teacher logits, student logits) to a scalar. By default Hinton's at
            T=4 with weight 0.7.
        label_weight: weight of the loss with the true labels.

    Raises:
        RequestError: the classes of teacher and student differ, an input of a teacher cannot take the student's
            images, or all weights are zero.

    Example:
        >>> distiller = Distiller(student, teachers=[teacher])
        >>> distiller.compile(keras.optimizers.AdamW(2e-3), metrics=["accuracy"])
        >>> distiller.fit(images, labels, epochs=30)
        >>> distiller.save("student.keras")
    """

    def __init__(
        self,
        student: keras.Model,
        teachers: Sequence[keras.Model] = (),
        losses: Sequence[tuple[keras.losses.Loss, float]] | None = None,
        label_weight: float = 0.3,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.student = student
        self._teachers = _Frozen(teachers, student)
        chosen = [(SoftTargets(temperature=4.0), 0.7)] if losses is None else list(losses)
        self._terms = _Hidden(chosen)
        self.label_weight = label_weight
        weights = [label_weight, *(weight for _, weight in chosen)]
        if min(weights) < 0 or sum(weights) <= 0:
            raise RequestError(f"The loss weights {weights} must not be negative and must not sum to zero.")
        self._distillation_tracker = keras.metrics.Mean(name="distillation_loss")
        self._total_tracker = keras.metrics.Mean(name="loss")
        self.build(student.input_shape)

    def build(self, input_shape: Any) -> None:
        """Marks the model as built: the student brings its own variables."""
        self.built = True

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Returns the student's logits, [batch, classes]."""
        images = inputs["image"] if isinstance(inputs, Mapping) else inputs
        return self.student(images, training=training)

    def compile(
        self,
        optimizer: Any = "adamw",
        loss: Any = None,
        metrics: Any = None,
        jit_compile: bool | str = "auto",
        **kwargs: Any,
    ) -> None:
        """Sets up training as `keras.Model.compile` does.

        Args:
            optimizer: any Keras optimizer.
            loss: loss with the true labels, from logits; by default sparse categorical cross-entropy.
            metrics: metrics of the labelled images.
            jit_compile: "auto" uses XLA where there is a GPU; on a CPU it slows convolutions down.
            **kwargs: the remaining arguments of `keras.Model.compile`.
        """
        if jit_compile == "auto":
            jit_compile = bool(tf.config.list_physical_devices("GPU"))
        super().compile(
            optimizer=optimizer,
            loss=loss or keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            loss_weights=self.label_weight,
            metrics=metrics,
            jit_compile=jit_compile,
            **kwargs,
        )

    @property
    def metrics(self) -> list[Any]:
        """The metrics that Keras resets at the start of an epoch."""
        own = [self._total_tracker, self._distillation_tracker]
        return own + [metric for metric in super().metrics if metric.name != "loss" and metric not in own]

    def train_step(self, data: Any) -> dict[str, Any]:
        """Makes one update of the student and returns the metrics so far."""
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        teacher_logits = self._teacher_logits(x)
        variables = self.student.trainable_variables
        with tf.GradientTape() as tape:
            logits = self(x, training=True)
            label_loss = self._label_loss(x, y, logits, sample_weight)
            distillation_loss = self._distillation_loss(teacher_logits, logits, sample_weight)
            loss = label_loss + distillation_loss
            scaled = self.optimizer.scale_loss(loss)
        self.optimizer.apply(tape.gradient(scaled, variables), variables)
        self._track(loss, distillation_loss, tf.shape(logits)[0])
        return self._update_metrics(x, y, logits, sample_weight)

    def test_step(self, data: Any) -> dict[str, Any]:
        """Evaluates the student on labelled images; the loss is the unweighted one with the labels."""
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        logits = self(x, training=False)
        loss = self._label_loss(x, y, logits, sample_weight)
        self._track(loss, tf.zeros_like(loss), tf.shape(logits)[0])
        return self._update_metrics(x, y, logits, sample_weight)

    def save(self, filepath: Any, overwrite: bool = True, **kwargs: Any) -> None:
        """Saves the student, without the teachers, as a `.keras` file."""
        self.student.save(filepath, overwrite=overwrite, **kwargs)

    def _teacher_logits(self, x: Any) -> list[Any]:
        if not isinstance(x, Mapping):
            return self._teachers.logits(x)
        stored = x["teacher_logits"]
        return tf.unstack(stored, axis=1) if stored.shape.rank == 3 else [stored]

    def _label_loss(self, x: Any, y: Any, logits: Any, sample_weight: Any) -> Any:
        y, weight = _mask_unlabelled(y, logits, sample_weight)
        return self.compute_loss(x=x, y=y, y_pred=logits, sample_weight=weight)

    def _distillation_loss(self, teacher_logits: list[Any], logits: Any, sample_weight: Any) -> Any:
        total = tf.zeros((), tf.float32)
        for loss, weight in self._terms.items:
            for answer in teacher_logits:
                answer.shape.assert_is_compatible_with(logits.shape)
                value = loss(tf.stop_gradient(answer), logits, sample_weight=sample_weight)
                total += tf.cast(weight / len(teacher_logits) * value, tf.float32)
        return total

    def _track(self, loss: Any, distillation_loss: Any, images: Any) -> None:
        # Keras divides a loss instance by the replicas; what people read is the loss of the whole batch.
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        self._total_tracker.update_state(loss * replicas, sample_weight=images)
        self._distillation_tracker.update_state(distillation_loss * replicas, sample_weight=images)

    def _update_metrics(self, x: Any, y: Any, logits: Any, sample_weight: Any) -> dict[str, Any]:
        if _is_sparse(y, logits):
            labelled = tf.reshape(y, [-1]) != UNLABELLED
            y, logits = tf.boolean_mask(y, labelled), tf.boolean_mask(logits, labelled)
            sample_weight = None if sample_weight is None else tf.boolean_mask(sample_weight, labelled)
        return self.compute_metrics(x, y, logits, sample_weight=sample_weight)


class _Hidden:
    """Holds what Keras must neither track nor save with the model."""

    def __init__(self, items: Sequence[Any]) -> None:
        self.items = list(items)


class _Frozen(_Hidden):
    """The teachers: frozen, in inference mode, each at its own input size."""

    def __init__(self, teachers: Sequence[keras.Model], student: keras.Model) -> None:
        super().__init__(teachers)
        for teacher in teachers:
            if teacher.output_shape[-1] != student.output_shape[-1]:
                raise RequestError(
                    f"Teacher {teacher.name!r} answers {teacher.output_shape[-1]} classes, student {student.name!r} "
                    f"{student.output_shape[-1]}; train both on the same classes."
                )
            if teacher.input_shape[-1] != student.input_shape[-1]:
                raise RequestError(
                    f"Teacher {teacher.name!r} takes {teacher.input_shape[-1]} channels, student {student.name!r} "
                    f"{student.input_shape[-1]}; give both the same kind of images."
                )
            teacher.trainable = False

    def logits(self, images: Any) -> list[Any]:
        if not self.items:
            raise RequestError(
                "The Distiller has no teachers and the batch holds no 'teacher_logits'; give one of them."
            )
        return [tf.stop_gradient(teacher(_fit(images, teacher), training=False)) for teacher in self.items]


def _fit(images: Any, teacher: keras.Model) -> Any:
    size = teacher.input_shape[1:3]
    if None in size or tuple(images.shape[1:3]) == tuple(size):
        return images
    return tf.image.resize(images, size, antialias=True)


def _is_sparse(y: Any, logits: Any) -> bool:
    return y.dtype.is_integer and (y.shape.rank == 1 or y.shape[-1] == 1 != logits.shape[-1])


def _mask_unlabelled(y: Any, logits: Any, sample_weight: Any) -> tuple[Any, Any]:
    """Gives unlabelled images weight 0 in the loss with the labels, which stays a mean over the whole batch."""
    if not _is_sparse(y, logits):
        return y, sample_weight
    y = tf.reshape(y, [-1])
    labelled = tf.cast(y != UNLABELLED, tf.float32)
    return tf.maximum(y, 0), labelled if sample_weight is None else labelled * tf.cast(sample_weight, tf.float32)
