"""The layers that normalise pixels in front of a model; `tfkd.inputs.image.normalization` says what there is to do."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from tfkd.inputs.image.normalization import ImageNormalization


@keras.saving.register_keras_serializable("tfkd")
class PixelNormalization(keras.layers.Layer):
    """Normalises raw RGB 0..255 for a model that takes BGR.

    Args:
        mean: one number or three, in pixels, in the order blue, green, red.
        std: as many deviations.
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.normalization = ImageNormalization(tuple(mean), tuple(std), bgr=True)

    def call(self, images: Any) -> Any:
        """Returns float [batch, height, width, 3] for images of that shape."""
        return self.normalization.apply(images)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Returns the shape of the images."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of an equal layer."""
        return {**super().get_config(), "mean": self.normalization.mean, "std": self.normalization.std}


NORMALIZING = (keras.layers.Rescaling, keras.layers.Normalization, PixelNormalization)


def normalizing_layer(normalization: ImageNormalization) -> keras.layers.Layer:
    """Returns a layer without weights; a Rescaling where the channels keep their order, which every tool knows."""
    if normalization.bgr:
        return PixelNormalization(normalization.mean, normalization.std, name="normalization")
    scale = 1 / np.asarray(normalization.std)
    offset = -np.asarray(normalization.mean) * scale
    if len(scale) == 1:
        return keras.layers.Rescaling(float(scale[0]), float(offset[0]), name="normalization")
    return keras.layers.Rescaling(scale.tolist(), offset.tolist(), name="normalization")


def in_front(normalization: ImageNormalization, model: keras.Model) -> keras.Model:
    """Returns a Keras model that takes raw RGB 0..255 and normalises it for the given one.

    Args:
        normalization: what the model was trained on.
        model: with one image [None, S, S, 3] as input.
    """
    if not normalization.changes:
        return model
    image = keras.Input(model.input_shape[1:], name="raw_image")
    return keras.Model(image, model(normalizing_layer(normalization)(image)), name=model.name)
