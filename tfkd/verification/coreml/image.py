"""What Core ML does to a picture before the first operation of a model sees it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from tfkd.quiet import native_logs_silenced
from tfkd.verification import VerifyError
from tfkd.verification.coreml.layout import CHANNELS_FIRST, transpose
from tfkd.verification.coreml.specification import NETWORK

with native_logs_silenced():  # away from macOS the import logs every library that it misses
    from coremltools import proto

_LARGEST_SIDE = 1 << 14  # pixels


@dataclass(frozen=True)
class Image:
    """The image that a model takes.

    Attributes:
        name: of the input.
        height: pixels.
        width: pixels.
        channels: which channel of an RGB image comes first, second, third.
        steps: multiplied and added one after the other, (scale, offset): float32 that broadcasts to [3, height, width].
    """

    name: str
    height: int
    width: int
    channels: tuple[int, int, int]
    steps: tuple[tuple[Any, Any], ...]

    dtype = tf.float32
    examples = "images"

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of a raw example."""
        return self.height, self.width, 3

    def prepared(self, pixels: tf.Tensor) -> tf.Tensor:
        """Returns float32 [batch, 3, height, width] for raw RGB 0..255, float32 [batch, height, width, 3]."""
        ordered = pixels if self.channels == (0, 1, 2) else tf.gather(pixels, self.channels, axis=-1)
        for scale, offset in self.steps:
            ordered = ordered * scale + np.transpose(offset, (1, 2, 0))
        return transpose(ordered, CHANNELS_FIRST)


def declared_image(specification: Any, path: Path) -> Image:
    """Reads what a model says about its input.

    Raises:
        VerifyError: it does not take one colour image of one size, or prepares it in a way that is not known.
    """
    inputs = specification.description.input
    if len(inputs) != 1 or inputs[0].type.WhichOneof("Type") != "imageType":
        raise VerifyError(f"{path}: does not take exactly one image.")
    image = inputs[0].type.imageType
    colours = proto.FeatureTypes_pb2.ImageFeatureType
    orders = {colours.RGB: (0, 1, 2), colours.BGR: (2, 1, 0)}
    if image.colorSpace not in orders:
        raise VerifyError(f"{path}: its input is no colour image.")
    if not (1 <= image.width <= _LARGEST_SIDE and 1 <= image.height <= _LARGEST_SIDE):
        raise VerifyError(f"{path}: its input is {image.width} x {image.height} pixels, which no image is.")
    order = orders[image.colorSpace]
    shape = (3, image.height, image.width)
    steps = tuple(_step(step, inputs[0].name, order, shape, path) for step in _preprocessing(specification))
    return Image(inputs[0].name, image.height, image.width, order, steps)


def _preprocessing(specification: Any) -> Any:
    """Only a neural network has such steps; in an ML program they are among the operations."""
    if specification.WhichOneof("Type") == NETWORK:
        return specification.neuralNetworkClassifier.preprocessing
    return ()


def _step(step: Any, name: str, order: tuple[int, int, int], shape: tuple[int, ...], path: Path) -> tuple[Any, Any]:
    if step.featureName not in ("", name):
        raise VerifyError(f"{path}: prepares {step.featureName!r}, which is not its input.")
    if step.WhichOneof("preprocessor") == "scaler":
        scaler = step.scaler
        biases = np.array([scaler.redBias, scaler.greenBias, scaler.blueBias], np.float32)[list(order)]
        return np.float32(scaler.channelScale), biases.reshape(3, 1, 1)
    mean = np.array(step.meanImage.meanImage, np.float32)
    if mean.size != np.prod(shape):
        raise VerifyError(f"{path}: subtracts a mean image of {mean.size} numbers from an image of {shape}.")
    return np.float32(1.0), -mean.reshape(shape)
