"""Networks that normalise by the statistics of each batch instead of the moving averages of the training."""

from typing import Any

import keras


@keras.saving.register_keras_serializable("tfkd")
class BatchStatistics(keras.layers.BatchNormalization):
    """Batch normalisation (Ioffe, Szegedy 2015, arXiv:1502.03167) by the statistics of the batch, in every mode."""

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Returns float [batch, …], each channel with the batch's zero mean and unit variance, scaled and shifted."""
        axis = self.axis % len(inputs.shape)
        others = [number for number in range(len(inputs.shape)) if number != axis]
        values = keras.ops.cast(inputs, "float32")
        mean, variance = keras.ops.moments(values, others)
        normalised = keras.ops.batch_normalization(
            values, mean, variance, axis, offset=self.beta, scale=self.gamma, epsilon=self.epsilon
        )
        return keras.ops.cast(normalised, self.compute_dtype)


def with_batch_statistics(model: keras.Model) -> keras.Model:
    """Returns a copy of a functional or sequential model, with the same weights, without moving statistics."""

    def copied(layer: keras.layers.Layer) -> keras.layers.Layer:
        kind = BatchStatistics if type(layer) is keras.layers.BatchNormalization else type(layer)
        return kind.from_config(layer.get_config())

    copy = keras.models.clone_model(model, clone_function=copied, recursive=True)
    copy.set_weights(model.get_weights())
    copy.trainable = False
    return copy
