"""`Distiller`: a Keras model that trains a student on the predictions of teachers."""

import contextlib
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfkd.data.dataset import UNLABELLED
from tfkd.distill import arguments
from tfkd.distill.arguments import FunctionLoss, label_loss, names_of, student_of, teachers_of, weighted_losses
from tfkd.distill.config import loss_config, loss_of_config, teacher_key, teacher_named
from tfkd.distill.frozen import FrozenTeachers, Hidden, Shapes, name_of
from tfkd.distill.labels import check_label_form, hard_labels, is_sparse, without_unlabelled
from tfkd.distill.losses.base import LOGITS, evaluation
from tfkd.distill.means import Means
from tfkd.distill.metrics import metric_for
from tfkd.distill.predictions import Batch, Form, inputs_of, numbered, unpacked
from tfkd.distill.taps import tapped
from tfkd.distill.terms import Term, terms_of
from tfkd.errors import RequestError, cause
from tfkd.kernels import adam, batch_norm, depthwise
from tfkd.kernels.keras_overrides import ShapedModel
from tfkd.kernels.keras_private import compiled_metrics, is_validation_of_fit
from tfkd.models.logits import classifier, symbolic


@keras.saving.register_keras_serializable("tfkd")
class Distiller(ShapedModel):
    """Trains a student on the true labels and on the predictions of frozen teachers.

    It fits, evaluates, predicts and takes callbacks like any Keras model. Data is `x`, `(x, y)` or `(x, y,
    sample_weight)`, as arrays or batches of a data set:

    - `x` is what the student takes, for instance images float [batch, height, width, 3]. The teachers run on it as it
      comes (online). Predictions that were made before are given as `tfkd.TeacherPredictions(inputs, predictions)`.
      A mapping with `image` and any of `label`, `index`, `teacher_logits` and `answers` is understood too, as
      tensorflow-datasets gives them; of a student that takes a mapping, what it does not take itself has these names.
    - `y` is int [batch], −1 where an image has no label and only the teachers judge it, or float [batch, classes], a
      row of zeros where there is no label. Without `y` the teachers alone teach.

    Models of tf_keras (Keras 2) are copied: a teacher's weights are read once, and of a student the Keras 3 copy,
    `distiller.student`, is trained and saved. A student under a mixed dtype policy computes in half precision, and the
    losses in float32.

    Teachers and student may give logits or probabilities (see `tfkd.models.logits`): the losses are computed from
    logits. Stored predictions are told apart by the values of each batch: they are probabilities where every number is
    at least 0 and every row sums to 1 within 0.01; say `predictions_are` where that could be a coincidence, as in
    batches of one image. Calling and predicting give what the student gives, and metrics are computed from that.

    The teachers run in inference mode, outside the gradient, and are never saved: `save` and `export` write the student
    alone. Their weights are read when a `fit` begins, or at the first `train_on_batch`; later changes count from the
    next `fit` on. With several teachers each distillation loss is their weighted mean, which for Kullback-Leibler
    losses has the gradient of the mean of their probabilities.

    Logs of a training: `loss`, which is minimised; its parts `label_loss` and `distillation_loss`, each times its
    weight (what is missing to `loss` are the student's regularisers); and the parts of `distillation_loss` by the names
    of the losses, such as `soft_targets_loss`. Logs of a validation: `val_loss`, the loss with the labels, unweighted
    and without regularisers, so that it compares with any other training of the student; and where teachers or stored
    predictions are at hand, `val_total_loss`, which is computed as the training's `loss`, and its parts. Validation
    data without labels have `val_total_loss` as their `val_loss`.

    While it trains, the student's batch normalisations and wide depthwise convolutions and a compiled Adam or AdamW run
    in faster operations, which compute what Keras's do but for rounding.

    `get_config` and `from_config` (`keras.models.clone_model`) give a new Distiller with a student of fresh weights and
    the same teachers, as long as those exist in this process: a config does not hold their weights.

    Args:
        student: images float [batch, height, width, 3], or what it takes, to [batch, classes].
        teachers: a model or several, with the student's classes, for online distillation; images are resized to their
            input.
        losses: pairs (loss, weight) of `tfkd.distill.losses`; by default Hinton's at T=4 with weight 0.7; [] trains the
            student on the labels alone. A loss without weight has weight 1; a loss block of a recipe brings its own. A
            weight, and a loss's temperature, may be a `keras.Variable` that a callback changes during the training.
        label_weight: weight of the loss with the true labels.
        teacher_shares: weight of each teacher; equal by default.
        answers: for losses on stored features: one mapping a teacher from tap to shape without the batch.
        images: number of training images, for losses with a memory of all of them. Where it is None, they keep a queue
            of the latest images instead.
        predictions_are: what stored predictions are: "logits", "probabilities", or "auto" to tell by their values.
        teacher: another way to give a single teacher.

    Raises:
        RequestError: the classes of teacher and student differ, a teacher cannot take the student's images, a model has
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
        **kwargs: Any,
    ) -> None:
        student = student_of(student)
        given = classifier(student, f"Student {name_of(student)}")
        super().__init__(dtype=student.dtype_policy, **kwargs)
        chosen = weighted_losses(losses)
        guides = teachers_of(teachers, teacher)
        arguments.check_weights([label_weight, *(float(weight) for _, weight in chosen)])
        arguments.check_form(predictions_are)
        batch_norm.fuse(student)
        depthwise.quicken(student)
        self.student = student
        self.label_weight = label_weight
        tapped_student = tapped(given.logits, [loss.student_tap for loss, _ in chosen])
        self._takes = Hidden([symbolic(given.logits, "inputs")])
        self._gives_probabilities = given.probabilities
        self._form: Form = predictions_are
        self._teachers = FrozenTeachers(guides, given.logits, student, [loss.teacher_tap for loss, _ in chosen])
        terms = terms_of(
            chosen,
            shares=teacher_shares or [1.0] * max(1, len(guides), len(answers)),
            teachers=answers or self._teachers.shapes,
            student={tap: tuple(output.shape[1:]) for tap, output in tapped_student.output.items()},
            images=images,
        )
        self._arguments = Hidden([(chosen, guides, teacher_shares, answers, images)])
        self._tapped = Hidden([tapped_student])
        self._terms = Hidden(terms)
        self.loss_layers = [layer for term in terms for layer in term.layers]
        self.part_names = ["label_loss", "distillation_loss", *names_of(chosen)]
        self._total = keras.metrics.Mean(name="loss")
        self._means = Means([*self.part_names, "total_loss"])
        self._evaluating = False
        self._shown: Hidden = Hidden([{}])  # names of the logs, of trainings (False) and evaluations (True)
        self.build(given.logits.input_shape)

    def build(self, input_shape: Any) -> None:
        """Marks the model as built: the student brings its own variables."""
        self.built = True

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Returns what the student gives, [batch, classes]."""
        return self.student(inputs_of(inputs, self._takes.items[0]), training=training)

    def compile(
        self,
        optimizer: Any = "adamw",
        loss: Any = None,
        metrics: Any = None,
        weighted_metrics: Any = None,
        jit_compile: bool | str = "auto",
        **kwargs: Any,
    ) -> None:
        """Sets up training as `keras.Model.compile` does.

        Args:
            optimizer: any Keras optimizer.
            loss: loss with the true labels; by default the cross-entropy. Keras's cross-entropies, also by name, are
                taken of the student's logits; a function or a loss of your own gets logits.
            metrics: metrics of the labelled images, of what the student gives. Those that need probabilities, such as
                `keras.metrics.AUC`, `Precision` and `F1Score`, get them, and take labels of either form.
            weighted_metrics: the same, weighted by `sample_weight`.
            jit_compile: "auto" uses XLA where there is a GPU; on a CPU it slows convolutions down.
            **kwargs: the remaining arguments of `keras.Model.compile`.

        Raises:
            RequestError: the loss takes something else than logits, or the optimizer accumulates gradients on several
                replicas, which Keras cannot.
        """
        if jit_compile == "auto":
            jit_compile = bool(tf.config.list_physical_devices("GPU"))
        if "loss_weights" in kwargs:
            raise RequestError("compile: loss_weights has no meaning here; give the Distiller label_weight=...")
        self._label_loss = Hidden([label_loss(loss)])
        super().compile(
            optimizer=optimizer,
            loss=self._label_loss.items[0],
            loss_weights=float(self.label_weight),
            metrics=metric_for(metrics, self._gives_probabilities),
            weighted_metrics=metric_for(weighted_metrics, self._gives_probabilities),
            jit_compile=jit_compile,
            **kwargs,
        )
        _check_accumulation(self.optimizer, self.distribute_strategy.num_replicas_in_sync)
        adam.fuse(self.optimizer)
        # Built inside the first step, the optimizer's state could not be loaded before it, and would trace it twice.
        if not self.optimizer.built:
            with self.distribute_strategy.scope():
                self.optimizer.build(self.trainable_variables)

    def get_compile_config(self) -> dict[str, Any]:
        """Returns the arguments of `compile`, or {} where the loss is a function."""
        if self.compiled and isinstance(self._label_loss.items[0], FunctionLoss):
            return {}
        config: dict[str, Any] = super().get_compile_config()
        config.pop("loss_weights", None)
        return config

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compiles with what `get_compile_config` returned."""
        if config:
            self.compile(**keras.saving.deserialize_keras_object(config))

    @property
    def metrics(self) -> list[Any]:
        """The metrics that Keras resets at the start of an epoch."""
        own = [self._total, self._means]
        # Metrics that have not seen a label have no result.
        of_labels = compiled_metrics(self)
        unseen = [of_labels] if of_labels and not of_labels.built else []
        compiled = [each for each in super().metrics if each.name != "loss" and each not in [*own, *unseen]]
        return [self._total, *compiled, self._means]

    def get_metrics_result(self) -> dict[str, Any]:
        """Returns the logs by name: of an evaluation, or of the training."""
        names = self._shown.items[0].get(self._evaluating)
        results: dict[str, Any] = super().get_metrics_result()
        return results if names is None else {name: results[name] for name in names}

    def fit(self, x: Any = None, y: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Trains as `keras.Model.fit` does."""
        self._read_teachers()
        return super().fit(self._numbered(x), y, *args, **kwargs)

    def evaluate(self, x: Any = None, y: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Evaluates as `keras.Model.evaluate` does."""
        if not is_validation_of_fit(kwargs):
            self._read_teachers()
        self._evaluating = True
        try:
            return super().evaluate(x, y, *args, **kwargs)
        finally:
            self._evaluating = False

    def _read_teachers(self) -> None:
        """Has the steps traced again where a teacher's weights, which are constants there, have changed."""
        if self._teachers.changed():
            self.train_function = self.test_function = None

    def train_step(self, data: Any) -> dict[str, Any]:
        """Makes one update of the student and returns the logs so far."""
        batch = self._unpacked(data)
        predictions = self._predictions(batch) if self._terms.items else []
        if batch.labels is None and not predictions:
            raise RequestError("The data have no labels and the Distiller no losses with a teacher; give one of them.")
        variables = self.trainable_variables
        (network,) = self._tapped.items
        with tf.GradientTape() as tape:
            outputs = network(batch.inputs, training=True)
            logits = outputs[LOGITS]
            own_loss, label_loss = self._own_loss(batch, logits)
            values = self._distillation_values(predictions, outputs, batch, training=True)
            distillation_loss = tf.add_n(values) if values else tf.zeros(())
            loss = own_loss + tf.cast(distillation_loss, own_loss.dtype)
            scaled = self.optimizer.scale_loss(loss)
        self.optimizer.apply(tape.gradient(scaled, variables), variables)
        losses = {"loss": loss, **self._parts(label_loss, distillation_loss, values)}
        return self._logs(losses, batch, logits, evaluating=False)

    def test_step(self, data: Any) -> dict[str, Any]:
        """Evaluates the student: the loss with the labels, and the training's loss where predictions are at hand."""
        batch = self._unpacked(data)
        (network,) = self._tapped.items
        outputs = network(batch.inputs, training=False)
        logits = outputs[LOGITS]
        can_ask = bool(self._terms.items) and (batch.predictions is not None or bool(self._teachers.items))
        if batch.labels is None and not can_ask:
            raise RequestError(
                "The data have neither labels nor predictions of a teacher; there is nothing to evaluate."
            )
        losses = {}
        if batch.labels is not None:
            y, weight = without_unlabelled(batch.labels, logits, batch.sample_weight)
            losses["loss"] = self._label_loss.items[0](y, logits, sample_weight=weight)
        if can_ask:
            values = self._distillation_values(self._predictions(batch), outputs, batch, training=False)
            distillation_loss = tf.add_n(values)
            own_loss, label_loss = self._own_loss(batch, logits)
            losses["total_loss"] = own_loss + tf.cast(distillation_loss, own_loss.dtype)
            losses |= self._parts(label_loss, distillation_loss, values)
            losses.setdefault("loss", losses["total_loss"])
        return self._logs(losses, batch, logits, evaluating=True)

    def save(self, filepath: Any, overwrite: bool = True, **kwargs: Any) -> None:
        """Saves the student, without the teachers, as a `.keras` file.

        `save_weights` and `load_weights` keep all that a compiled Distiller needs to train on as if it had never
        stopped: student, projectors, memories, the optimizer's state, and where the random draws of dropout stand.
        """
        self.student.save(filepath, overwrite=overwrite, **kwargs)

    def export(self, filepath: Any, *args: Any, **kwargs: Any) -> Any:
        """Exports the student as `keras.Model.export` does; for files that a phone runs, see `tfkd export`."""
        return self.student.export(filepath, *args, **kwargs)

    def get_config(self) -> dict[str, Any]:
        """Returns what `from_config` needs in this process: architectures, not weights, and keys of the teachers."""
        losses, teachers, shares, answers, images = self._arguments.items[0]
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
            "teacher_shares": None if shares is None else list(shares),
            "answers": [{tap: list(shape) for tap, shape in each.items()} for each in answers],
            "images": images,
            "predictions_are": self._form,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> "Distiller":
        """Returns a Distiller with a student of fresh weights and the teachers of the one that gave the config.

        Raises:
            RequestError: a teacher does not exist in this process.
        """
        config = dict(config)
        teachers = [teacher_named(key) for key in config.pop("teachers")]
        student = keras.saving.deserialize_keras_object(config.pop("student"), custom_objects)
        losses = [(loss_of_config(loss), weight) for loss, weight in config.pop("losses")]
        answers = [{tap: tuple(shape) for tap, shape in each.items()} for each in config.pop("answers")]
        return cls(student, teachers, losses, answers=answers, **config)

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

    def shaping_batch(self, iterator: Any, batch: Any) -> tuple[Any, Any]:
        """Returns what Keras learns the shapes of a batch from."""
        # To learn the shapes of a batch Keras reduces one over the replicas, which TensorFlow refuses over several
        # workers where the batch is a mapping. One replica's piece has these shapes too.
        if iterator is not None and _spans_workers(self.distribute_strategy):
            _, _, batches = next(iter(iterator))
            return None, keras.tree.map_structure(self._first_piece, next(batches))
        return iterator, batch

    def _first_piece(self, values: Any) -> Any:
        return self.distribute_strategy.experimental_local_results(values)[0]

    def _unpacked(self, data: Any) -> Batch:
        # Without a graph, train_on_batch hands arrays on as they came.
        tensors = keras.tree.map_structure(
            lambda each: tf.convert_to_tensor(each) if isinstance(each, np.ndarray) else each, data
        )
        return unpacked(tensors, self._takes.items[0], self._form)

    def _numbered(self, x: Any) -> Any:
        """Numbers the images of arrays for the losses that ask for it, so that they know an image that comes again."""
        if not any("index" in term.loss.needs for term in self._terms.items):
            return x
        arrays = keras.tree.flatten(x)
        if not arrays or not all(hasattr(each, "shape") and hasattr(each, "dtype") for each in arrays):
            return x
        rows, (_, _, _, _, images) = len(arrays[0]), self._arguments.items[0]
        if images is not None and rows > images:
            raise RequestError(f"fit got {rows} images, more than the Distiller's images={images}; make that larger.")
        return numbered(x, rows)

    def _predictions(self, batch: Batch) -> list[Any]:
        if batch.predictions is None:
            return self._teachers.predictions(batch.inputs, constant=not self.jit_compile)
        expected = 1 + max(term.teacher for term in self._terms.items)
        if len(batch.predictions) != expected:
            raise RequestError(
                f"The batch holds the predictions of {len(batch.predictions)} teachers, and the Distiller was made for "
                f"{expected}; give teacher_shares one number for each."
            )
        return batch.predictions

    def _own_loss(self, batch: Batch, logits: Any) -> tuple[Any, Any]:
        """Returns the student's loss without a teacher, of this replica's part, and what of it is due to the labels."""
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        kind = keras.config.floatx()
        regularisers = tf.add_n([tf.zeros((), kind), *[tf.cast(loss, kind) for loss in self.losses]]) / replicas
        if batch.labels is None:
            return regularisers, None
        check_label_form(self._label_loss.items[0], batch.labels, logits)
        y, weight = without_unlabelled(batch.labels, logits, batch.sample_weight)
        loss = self.compute_loss(x=batch.inputs, y=y, y_pred=logits, sample_weight=weight)
        return loss, loss - tf.cast(regularisers, loss.dtype)

    def _distillation_values(self, predictions: list[Any], outputs: Any, batch: Batch, training: bool) -> list[Any]:
        """Returns the weighted value of every term, loss by loss and teacher by teacher."""

        def value(term: Term) -> Any:
            context = {
                "labels": lambda: hard_labels(batch, outputs[LOGITS]),
                "index": lambda: batch.numbers(required=training and term.loss.counts_images),
            }
            return term.value(predictions[term.teacher], outputs, context, batch.sample_weight)

        with contextlib.nullcontext() if training else evaluation():
            return [value(term) for term in self._terms.items] if predictions else []

    def _parts(self, label_loss: Any, distillation_loss: Any, values: list[Any]) -> dict[str, Any]:
        """Returns what the loss is made of, by the names of the logs."""
        parts = {} if label_loss is None else {"label_loss": label_loss}
        parts["distillation_loss"] = distillation_loss
        names = self.part_names[2:] if values else []
        teachers = len(values) // max(1, len(names))
        for number, name in enumerate(names):
            parts[name] = tf.add_n(values[number * teachers : (number + 1) * teachers])
        return parts

    def _logs(self, losses: dict[str, Any], batch: Batch, logits: Any, evaluating: bool) -> dict[str, Any]:
        """Counts the losses of a batch and what the metrics say of it, and returns the means so far."""
        # Keras divides a loss instance by the replicas; what people read is the loss of the whole batch.
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        whole = {name: value * replicas for name, value in losses.items()}
        self._total.update_state(whole["loss"], sample_weight=batch.rows)
        self._means.update_state(whole, batch.rows)
        found = self._metrics_of(batch, logits) if batch.labels is not None else {}
        found |= {"loss": self._total.result(), **self._means.result()}
        unknown = {*self.part_names, "total_loss"} - losses.keys()
        logs = {name: value for name, value in found.items() if name not in unknown}
        self._shown.items[0][evaluating] = list(logs)
        if _spans_workers(tf.distribute.get_strategy()):
            # Keras averages what the workers return along its first axis, which a scalar has not.
            return {name: value[None] for name, value in logs.items()}
        return logs

    def _metrics_of(self, batch: Batch, logits: Any) -> dict[str, Any]:
        y, weight, given = batch.labels, batch.sample_weight, logits
        if is_sparse(y, logits):
            labelled = tf.reshape(y, [-1]) != UNLABELLED
            y, given = tf.boolean_mask(y, labelled), tf.boolean_mask(logits, labelled)
            weight = None if weight is None else tf.boolean_mask(weight, labelled)
        given = tf.nn.softmax(given) if self._gives_probabilities else given
        metrics = compiled_metrics(self)
        if metrics is None:
            return {}
        metrics.update_state(y, given, sample_weight=weight)
        return dict(metrics.result())


def _check_accumulation(optimizer: Any, replicas: int) -> None:
    steps = getattr(optimizer, "inner_optimizer", optimizer).gradient_accumulation_steps
    if steps and replicas > 1:
        raise RequestError(
            f"gradient_accumulation_steps = {steps} does not work on {replicas} replicas: Keras accumulates on one "
            "alone; leave it out and take a larger batch, of which each replica gets a part."
        )


def _spans_workers(strategy: tf.distribute.Strategy) -> bool:
    """Tells whether a strategy trains in several processes."""
    several = isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)
    return several and bool(strategy.cluster_resolver.cluster_spec())
