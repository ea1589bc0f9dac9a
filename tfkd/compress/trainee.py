"""Trains a tf_keras network with Keras 3: the same Distiller, optimizer, checkpoints and batches as a student."""

from collections.abc import Mapping
from typing import Any

import keras
import tf_keras

from tfkd.compress.prepared import Prepared
from tfkd.kernels.keras_overrides import SharedVariable
from tfkd.kernels.keras_private import track


class Trainee(keras.layers.Layer):
    """A tf_keras network as one layer of a Keras 3 model.

    Args:
        network: float32 [B, H, W, 3] to logits [B, classes].
        constraints: what holds for a variable after every update, by the variable's id.
    """

    def __init__(self, network: tf_keras.Model, constraints: Mapping[int, Any], **kwargs: Any) -> None:
        super().__init__(dtype="float32", **kwargs)
        self._network = lambda: network  # hidden in a function from Keras's attribute tracking
        trained = {id(variable) for variable in network.trainable_variables}
        for variable in network.variables:
            track(self, SharedVariable(variable, id(variable) in trained, constraints.get(id(variable))))
        self.built = True

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Returns the network's logits, float32 [B, classes]."""
        return self._network()(inputs, training=bool(training))

    def compute_output_spec(self, inputs: Any, training: bool = False) -> Any:
        """Returns the shape of the logits, without tracing the network."""
        return keras.KerasTensor((inputs.shape[0], self._network().output_shape[-1]), dtype="float32")


def trainee(prepared: Prepared) -> keras.Model:
    """Returns a Keras 3 model around a prepared network, which trains the variables of that network.

    Args:
        prepared: of a compression.

    Returns:
        A model from a batch of raw inputs to logits [B, classes].
    """
    image = keras.Input(prepared.network.input_shape[1:], name="image")
    scale, offset = prepared.rescale
    rescaled = image if (scale, offset) == (1.0, 0.0) else keras.layers.Rescaling(scale, offset)(image)
    logits = Trainee(prepared.network, prepared.constraints, name="logits")(rescaled)
    return keras.Model(image, logits, name=prepared.network.name)
