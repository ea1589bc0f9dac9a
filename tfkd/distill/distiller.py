"""`Distiller`: a Keras model that trains a student on a teacher's answers."""

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from tfkd.data.dataset import UNLABELLED
from tfkd.distill import adam, batch_norm, depthwise
from tfkd.distill.constants import checksum, constant_weights
from tfkd.distill.losses import SoftTargets
from tfkd.distill.losses.base import LOGITS, DistillationLoss
from tfkd.distill.taps import tapped
from tfkd.distill.terms import terms_of
from tfkd.errors import RequestError
from tfkd.models.logits import with_logits

Shapes = Mapping[str, tuple[int, ...]]


class Distiller(keras.Model):
    """Trains a student on the true labels and on the answers of frozen teachers.

    It fits, evaluates and takes callbacks like any Keras model. A batch is `(x, y)` or `(x, y, sample_weight)`:

    - `x` is a float tensor of images [batch, height, width, 3], which the teachers answer as it comes (online), or a
      mapping with `image` and what the teachers answered before: `teacher_logits`, float [batch, classes], for one
      teacher, or `answers`, a tuple of one mapping a teacher from tap to float [batch, ...]. `index`, int [batch],
      gives each image's number in the training set to losses with a memory.
    - `y` is int [batch] for the default loss, −1 where an image has no label and only the teachers judge it, or float
      [batch, classes], a row of zeros where there is no label.

    The teachers run in inference mode, outside the gradient, and are never saved: `save` writes the student alone.
    Predicting and evaluating need no teacher. Their weights are taken as they are when a `fit` begins, or at the first
    `train_on_batch`; what changes them later is not seen before the next `fit`. With several teachers each distillation
    loss is their weighted mean, which for Kullback-Leibler losses has the gradient of the mean of their probabilities.
    Teachers and student may give logits or probabilities (see `tfkd.models.logits`); the losses are of logits.

    While it trains, the student's batch normalisations and wide depthwise convolutions and a compiled Adam or AdamW run
    in quicker operations, which compute what Keras's do but for rounding.

    Args:
        student: float images [batch, height, width, 3] to logits [batch, classes].
        teachers: models with the same classes, for online distillation; they resize the images to their own input.
        losses: pairs (loss, weight); see `tfkd.distill.losses`. By default Hinton's at T=4 with weight 0.7; none trains
            the student on the labels alone. A weight, and a loss's temperature, may be a `keras.Variable` that a
            callback changes during the training.
        label_weight: weight of the loss with the true labels.
        teacher_shares: the say of each teacher; equal by default.
        answers: for stored answers to losses on features: one mapping a teacher from tap to shape without the batch.
        images: number of training images, which losses with a memory need.

    Raises:
        RequestError: the classes of teacher and student differ, an input of a teacher cannot take the student's
            images, a tap does not exist, or the weights are negative or all zero.

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
        losses: Sequence[tuple[DistillationLoss, Any]] | None = None,
        label_weight: float = 0.3,
        teacher_shares: Sequence[float] | None = None,
        answers: Sequence[Shapes] = (),
        images: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(dtype=student.dtype_policy, **kwargs)
        chosen = [(SoftTargets(temperature=4.0), 0.7)] if losses is None else list(losses)
        _check_weights([label_weight, *(float(weight) for _, weight in chosen)])
        batch_norm.fuse(student)
        depthwise.quicken(student)
        self.student = student
        self.label_weight = label_weight
        logits = with_logits(student, f"Student {student.name!r}")
        tapped_student = tapped(logits, [loss.student_tap for loss, _ in chosen])
        self._teachers = _Frozen(teachers, student, [loss.teacher_tap for loss, _ in chosen])
        terms = terms_of(
            chosen,
            shares=teacher_shares or [1.0] * max(1, len(teachers), len(answers)),
            teachers=answers or self._teachers.shapes,
            student={tap: tuple(output.shape[1:]) for tap, output in tapped_student.output.items()},
            images=images,
        )
        self._logits = _Hidden([logits])
        self._tapped = _Hidden([tapped_student])
        self._terms = _Hidden(terms)
        self.loss_layers = [layer for term in terms for layer in term.layers]
        self._distillation_tracker = keras.metrics.Mean(name="distillation_loss")
        self._total_tracker = keras.metrics.Mean(name="loss")
        self.build(student.input_shape)

    def build(self, input_shape: Any) -> None:
        """Marks the model as built: the student brings its own variables."""
        self.built = True

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Returns the student's logits, [batch, classes]."""
        images = inputs["image"] if isinstance(inputs, Mapping) else inputs
        (network,) = self._logits.items
        return network(images, training=training)

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

        Raises:
            RequestError: the optimizer accumulates gradients on several replicas, which Keras cannot.
        """
        if jit_compile == "auto":
            jit_compile = bool(tf.config.list_physical_devices("GPU"))
        super().compile(
            optimizer=optimizer,
            loss=loss or keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            loss_weights=float(self.label_weight),
            metrics=metrics,
            jit_compile=jit_compile,
            **kwargs,
        )
        _check_accumulation(self.optimizer, self.distribute_strategy.num_replicas_in_sync)
        adam.fuse(self.optimizer)
        # Built inside the first step, the optimizer's state could not be loaded before it, and would trace it twice.
        if not self.optimizer.built:
            with self.distribute_strategy.scope():
                self.optimizer.build(self.trainable_variables)

    @property
    def metrics(self) -> list[Any]:
        """The metrics that Keras resets at the start of an epoch."""
        own = [self._total_tracker, self._distillation_tracker]
        return own + [metric for metric in super().metrics if metric.name != "loss" and metric not in own]

    def fit(self, *args: Any, **kwargs: Any) -> Any:
        """Trains as `keras.Model.fit` does."""
        if self._teachers.changed():
            self.train_function = None
        return super().fit(*args, **kwargs)

    def train_step(self, data: Any) -> dict[str, Any]:
        """Makes one update of the student and returns the metrics so far."""
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        images = x["image"] if isinstance(x, Mapping) else x
        answers = self._answers(x) if self._terms.items else []
        variables = self.trainable_variables
        (network,) = self._tapped.items
        with tf.GradientTape() as tape:
            outputs = network(images, training=True)
            logits = outputs[LOGITS]
            label_loss = self._label_loss(x, y, logits, sample_weight)
            context = {"labels": lambda: _hard_labels(y, logits), "index": lambda: _index(x)}
            distillation_loss = self._distillation_loss(answers, outputs, context, sample_weight)
            loss = label_loss + tf.cast(distillation_loss, label_loss.dtype)
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
        """Saves the student, without the teachers, as a `.keras` file.

        `save_weights` and `load_weights` keep all that a compiled Distiller needs to train on as if it had never
        stopped: student, projectors, memories, the optimizer's state, and where the random draws of dropout stand.
        """
        self.student.save(filepath, overwrite=overwrite, **kwargs)

    def save_own_variables(self, store: Any) -> None:
        """Adds to the weights what Keras leaves out: the state of the layers' random generators."""
        for number, state in enumerate(self._random_states()):
            store[str(number)] = state.numpy()

    def load_own_variables(self, store: Any) -> None:
        """Reads what `save_own_variables` wrote."""
        for number, state in enumerate(self._random_states()):
            state.assign(store[str(number)])

    def _random_states(self) -> list[Any]:
        weights = {id(weight) for weight in self.weights}
        return [variable for variable in self.variables if id(variable) not in weights]

    def _maybe_symbolic_build(self, iterator: Any = None, data_batch: Any = None) -> None:
        # To learn the shapes of a batch Keras reduces one over the replicas, which TensorFlow refuses over several
        # workers where the batch is a mapping. One replica's piece has these shapes too.
        if iterator is not None and _spans_workers(self.distribute_strategy):
            _, _, batches = next(iter(iterator))
            data_batch = keras.tree.map_structure(self._first_piece, next(batches))
            iterator = None
        super()._maybe_symbolic_build(iterator, data_batch)

    def _first_piece(self, values: Any) -> Any:
        return self.distribute_strategy.experimental_local_results(values)[0]

    def _answers(self, x: Any) -> list[Any]:
        return _stored(x) if isinstance(x, Mapping) else self._teachers.answers(x, constant=not self.jit_compile)

    def _label_loss(self, x: Any, y: Any, logits: Any, sample_weight: Any) -> Any:
        y, weight = _mask_unlabelled(y, logits, sample_weight)
        return self.compute_loss(x=x, y=y, y_pred=logits, sample_weight=weight)

    def _distillation_loss(self, answers: Any, outputs: Any, context: Any, sample_weight: Any) -> Any:
        values = [
            term.value(answers[term.teacher], outputs, context, sample_weight)
            for term in self._terms.items
            if term.teacher < len(answers)
        ]
        return tf.add_n(values) if values else tf.zeros(())

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
        results = self.compute_metrics(x, y, logits, sample_weight=sample_weight)
        if _spans_workers(tf.distribute.get_strategy()):
            # Keras averages what the workers return along its first axis, which a scalar has not.
            return {name: value[None] for name, value in results.items()}
        return results


class _Hidden:
    """Holds what Keras must neither track nor save with the model."""

    def __init__(self, items: Sequence[Any]) -> None:
        self.items = list(items)


class _Frozen(_Hidden):
    """The teachers: frozen, in inference mode, each at its own input size."""

    def __init__(self, teachers: Sequence[keras.Model], student: keras.Model, taps: Sequence[str]) -> None:
        for teacher in teachers:
            _check_teacher(teacher, student)
            teacher.trainable = False
        super().__init__([tapped(with_logits(teacher, f"Teacher {teacher.name!r}"), taps) for teacher in teachers])
        self._checksums: list[int] = []

    @property
    def shapes(self) -> list[Shapes]:
        return [{tap: tuple(out.shape[1:]) for tap, out in model.output.items()} for model in self.items]

    def changed(self) -> bool:
        """Tells whether the weights are others than when it was asked before."""
        before, self._checksums = self._checksums, [checksum(model) for model in self.items]
        return self._checksums != before

    def answers(self, images: Any, constant: bool) -> list[Any]:
        """Returns what each teacher answers; with `constant`, from weights that are constants of the graph."""
        if not self.items:
            raise RequestError(
                "The Distiller has no teachers and the batch holds no 'teacher_logits' or 'answers'; give one of them."
            )
        copies = len(self.items) * tf.distribute.get_strategy().num_replicas_in_sync
        answers = []
        for model in self.items:
            with constant_weights(model, copies) if constant else contextlib.nullcontext():
                answer = model(_fit(images, model), training=False)
            answers.append({tap: tf.stop_gradient(value) for tap, value in answer.items()})
        return answers


def _check_weights(weights: list[float]) -> None:
    if min(weights) < 0 or sum(weights) <= 0:
        raise RequestError(f"The loss weights {weights} must not be negative and must not sum to zero.")


def _check_accumulation(optimizer: Any, replicas: int) -> None:
    steps = getattr(optimizer, "inner_optimizer", optimizer).gradient_accumulation_steps
    if steps and replicas > 1:
        raise RequestError(
            f"gradient_accumulation_steps = {steps} does not work on {replicas} replicas: Keras accumulates on one "
            "alone; leave it out and take a larger batch, of which each replica gets a part."
        )


def _check_teacher(teacher: keras.Model, student: keras.Model) -> None:
    if teacher is student:
        raise RequestError("Teacher and student are the same model, which cannot learn from itself; copy it first.")
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


def _stored(x: Mapping[str, Any]) -> list[Any]:
    if "answers" in x:
        return list(x["answers"])
    if "teacher_logits" in x:
        return [{LOGITS: x["teacher_logits"]}]
    raise RequestError(f"The batch holds {sorted(x)}, but no 'teacher_logits' or 'answers'; give one of them.")


def _index(x: Any) -> Any:
    if not isinstance(x, Mapping) or "index" not in x:
        raise RequestError("A loss with a memory needs each image's number: give batches with 'image' and 'index'.")
    return x["index"]


def _fit(images: Any, teacher: keras.Model) -> Any:
    size = teacher.input_shape[1:3]
    if None in size or tuple(images.shape[1:3]) == tuple(size):
        return images
    return tf.image.resize(images, size, antialias=True)


def _is_sparse(y: Any, logits: Any) -> bool:
    return y.dtype.is_integer and (y.shape.rank == 1 or y.shape[-1] == 1 != logits.shape[-1])


def _hard_labels(y: Any, logits: Any) -> Any:
    """Returns one label an image, int32 [batch]: of labels as numbers, or the largest of soft ones."""
    if _is_sparse(y, logits):
        return tf.cast(tf.reshape(y, [-1]), tf.int32)
    known = tf.reduce_sum(y, axis=-1) > 0
    return tf.where(known, tf.argmax(y, axis=-1, output_type=tf.int32), UNLABELLED)


def _mask_unlabelled(y: Any, logits: Any, sample_weight: Any) -> tuple[Any, Any]:
    """Gives unlabelled images weight 0 in the loss with the labels, which stays a mean over the whole batch."""
    if not _is_sparse(y, logits):
        return y, sample_weight
    y = tf.reshape(y, [-1])
    labelled = y != UNLABELLED
    weight = tf.ones_like(y, tf.float32) if sample_weight is None else tf.convert_to_tensor(sample_weight)
    return tf.maximum(y, 0), tf.where(labelled, tf.reshape(weight, [-1]), tf.zeros((), weight.dtype))


def _spans_workers(strategy: tf.distribute.Strategy) -> bool:
    """Tells whether a strategy trains in several processes."""
    several = isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)
    return several and bool(strategy.cluster_resolver.cluster_spec())
