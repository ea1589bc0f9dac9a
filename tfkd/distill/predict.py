"""Batched inference of a Keras model, compiled once and without XLA."""

from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfkd.data.batches import example_errors
from tfkd.models.logits import symbolic


def specs(model: keras.Model) -> Any:
    """Returns the `tf.TensorSpec` of a batch of any size, or the structure of several inputs.

    Floats are float32, whatever the precision of the model.
    """
    if len(model.inputs) == 1:
        return _spec(model.inputs[0])
    return keras.tree.map_structure(_spec, symbolic(model, "inputs"))


def _spec(tensor: Any) -> tf.TensorSpec:
    is_float = keras.backend.is_float_dtype(tensor.dtype)
    return tf.TensorSpec((None, *tensor.shape[1:]), tf.float32 if is_float else tensor.dtype)


def predictor(model: keras.Model) -> Callable[[Any], Any]:
    """Returns a function from a batch of a model's raw inputs to its float32 output."""

    @tf.function(input_signature=[specs(model)], jit_compile=False)
    def run(inputs: Any) -> Any:
        return tf.cast(model(inputs, training=False), tf.float32)

    return run


def predict(run: Callable[[Any], Any], batches: tf.data.Dataset, progress: Callable[[int], None] | None = None) -> Any:
    """Returns the outputs of `predictor(model)` for batches (inputs, labels), float32 [n, outputs], in order."""

    def outputs() -> Iterator[Any]:
        with example_errors():
            for inputs, _ in batches:
                predictions = run(inputs).numpy()
                if progress:
                    progress(len(predictions))
                yield predictions

    return np.concatenate(list(outputs()))
