"""The loss with the true labels."""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable("tfkd")
class LabelLoss(keras.losses.Loss):
    """Cross-entropy of logits with labels, optionally smoothed, in float32 log-space.

    `−Σ_c ((1 − s) y_c + s/C) log q_c` with `q = softmax(logits)`, C classes, smoothing s and y one-hot, or the mixed
    label of a mixed image; an unknown part of the label has no effect.

    Reference for the smoothing: Szegedy et al., "Rethinking the Inception Architecture", 2016, arXiv:1512.00567.

    With class weights w the label y_c becomes w_c y_c, so that an example weighs as its class does, and a mixed image
    as the mean of its classes by their parts. The batch's loss stays the sum divided by its number of examples.

    Args:
        smoothing: fraction of each label that is spread over all classes, 0 ≤ s < 1.
        class_weights: weight of each class, above 0; default: 1.
        name: name of the loss in logs.
    """

    def __init__(
        self,
        smoothing: float = 0.0,
        name: str = "label",
        class_weights: Sequence[float] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, **kwargs)
        self.smoothing = smoothing
        self.class_weights = None if class_weights is None else list(class_weights)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Returns float32 [batch].

        Args:
            y_true: int [batch] or [batch, 1], or float [batch, classes], whose rows sum to 1 or less.
            y_pred: logits, any float dtype, [batch, classes].
        """
        log_q = tf.nn.log_softmax(tf.cast(y_pred, self.dtype))
        if y_true.shape.rank == 2 and y_true.shape[-1] == y_pred.shape[-1] > 1:
            labels = tf.cast(y_true, log_q.dtype)
        else:
            labels = tf.one_hot(tf.cast(tf.reshape(y_true, [-1]), tf.int32), y_pred.shape[-1], dtype=log_q.dtype)
        if self.class_weights is not None:
            labels *= tf.constant(self.class_weights, labels.dtype)
        known = tf.reduce_sum(labels, axis=-1)
        hit = tf.reduce_sum(labels * log_q, axis=-1)
        return -(1 - self.smoothing) * hit - self.smoothing * known * tf.reduce_mean(log_q, axis=-1)

    def get_config(self) -> dict[str, Any]:
        """Returns the config for `from_config`."""
        return {**super().get_config(), "smoothing": self.smoothing, "class_weights": self.class_weights}
