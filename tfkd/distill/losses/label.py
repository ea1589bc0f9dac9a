"""The loss with the true labels."""

from typing import Any

import keras
import tensorflow as tf


class LabelLoss(keras.losses.Loss):
    """Cross-entropy of logits with integer labels, optionally smoothed, in float32 log-space.

    `−(1 − s) log q_y − s/C Σ_c log q_c` with `q = softmax(logits)`, C classes and smoothing s.

    Reference for the smoothing: Szegedy et al., "Rethinking the Inception Architecture", 2016, arXiv:1512.00567.

    Args:
        smoothing: share of each label that is spread over all classes, 0 ≤ s < 1.
        name: name of the loss in logs.
    """

    def __init__(self, smoothing: float = 0.0, name: str = "label", **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)
        self.smoothing = smoothing

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Returns float32 [batch] for labels int [batch] (or [batch, 1]) and logits [batch, classes]."""
        log_q = tf.nn.log_softmax(tf.cast(y_pred, self.dtype))
        labels = tf.cast(tf.reshape(y_true, [-1]), tf.int32)
        hit = tf.gather(log_q, labels, batch_dims=1)
        return -(1 - self.smoothing) * hit - self.smoothing * tf.reduce_mean(log_q, axis=-1)

    def get_config(self) -> dict[str, Any]:
        """Returns what `from_config` needs to make the same loss again."""
        return {**super().get_config(), "smoothing": self.smoothing}
