"""Batched inference of a Keras model, compiled once and without XLA."""

from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfkd.data.batches import photo_errors


def predictor(model: keras.Model) -> Callable[[Any], Any]:
    """Returns a function from images, float32 [batch, size, size, 3] raw 0…255, to the model's float32 output."""
    height, width, channels = model.input_shape[1:]
    signature = tf.TensorSpec((None, height, width, channels), tf.float32)

    @tf.function(input_signature=[signature], jit_compile=False)
    def run(images: Any) -> Any:
        return tf.cast(model(images, training=False), tf.float32)

    return run


def predict(run: Callable[[Any], Any], batches: tf.data.Dataset, progress: Callable[[int], None] | None = None) -> Any:
    """Returns the outputs of `predictor(model)` for batches (images, labels), float32 [n, outputs], in order."""

    def outputs() -> Iterator[Any]:
        with photo_errors():
            for images, _ in batches:
                answer = run(images).numpy()
                if progress:
                    progress(len(answer))
                yield answer

    return np.concatenate(list(outputs()))
