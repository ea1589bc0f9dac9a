"""A trained classifier of the user's own, from a `.keras` file or the folder of a SavedModel, made ready for export."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from tfkd.distill.measures import softmax
from tfkd.errors import RequestError, cause
from tfkd.inputs.image.normalization import NONE, ImageNormalization
from tfkd.inputs.image.tensors import signature
from tfkd.models.foreign import open_model
from tfkd.models.logits import FrozenLogits, frozen_logits, single_message
from tfkd.quiet import native_logs_silenced
from tfkd.signature import Signature

_PROBES = 8  # images of noise that a model's form is tried on


@dataclass(frozen=True)
class OwnModel:
    """A classifier from raw RGB 0..255 to logits, in the form that `tfkd.writers.export` takes.

    Attributes:
        name: of its file or folder.
        signature: what it takes.
        output_shape: (1, classes).
        parameters: numbers in its variables.
        predict: the model as it was loaded, not through the graph that is exported: float32 [b, S, S, 3] raw RGB
            to float32 probabilities [b, classes].
        normalization: what becomes part of the exported graph.
        logits: float32 [1, S, S, 3] normalised to float32 [1, classes].
        opened: the model as it was opened.
    """

    name: str
    signature: Signature
    output_shape: tuple[int, int]
    parameters: int
    predict: Callable[[np.ndarray], np.ndarray]
    normalization: ImageNormalization
    logits: FrozenLogits
    opened: keras.Model

    @property
    def classes(self) -> int:
        """Number of classes."""
        return self.output_shape[1]

    def __call__(self, image: Any, training: bool = False) -> Any:
        """Returns float32 logits [1, classes] of one image, float32 [1, S, S, 3] raw RGB 0..255."""
        return self.logits(self.normalization.apply(image))


def load(
    path: Path,
    normalized: ImageNormalization = NONE,
    allow_code: bool = False,
    imports: Sequence[str] = (),
    image_size: int | None = None,
) -> OwnModel:
    """Opens a classifier and checks its form.

    Args:
        path: a file or folder that `tfkd.models.foreign` opens.
        normalized: what the model wants done to raw pixels; it becomes part of the exported model.
        allow_code: let the file bring code of its own, which may do anything: Lambda layers, operators that open files.
        imports: modules that register the layers of the model's own.
        image_size: side of the square input, pixels, for a model that takes images of any size.

    Raises:
        RequestError: the file is missing, damaged or brings code, or it is not a classifier of one square RGB image
            that gives logits, or probabilities of one class for each image.
    """
    opened = open_model(path, image_size=image_size, imports=imports, allow_code=allow_code)
    return prepared(opened, path.name, normalized)


def prepared(opened: keras.Model, name: str, normalized: ImageNormalization = NONE) -> OwnModel:
    """Checks the form of a classifier and freezes it for export.

    Args:
        opened: the classifier.
        name: of its file or folder, or of the model.
        normalized: what the model wants done to raw pixels; it becomes part of the exported model.

    Raises:
        RequestError: it is not a classifier of one square RGB image that gives logits, or probabilities of one class
            for each image.
    """
    size, classes = _checked(opened, name)
    _check_weights(opened, name)
    model_signature = signature(size)
    with native_logs_silenced():
        try:
            traced = tf.function(lambda image: opened(image, training=False)).get_concrete_function(
                model_signature.spec(1)
            )
            whole = convert_variables_to_constants_v2(traced)
        except Exception as error:
            raise RequestError(f"{name} cannot be traced for one image: {cause(error)}") from error
    raw = _predictor(opened, name, normalized)
    logits = frozen_logits(whole, name, _predictions_on_noise(raw, size, name))
    return OwnModel(
        name=name,
        signature=model_signature,
        output_shape=(1, classes),
        parameters=opened.count_params(),
        predict=raw if logits.probabilities else lambda images: softmax(raw(images)).astype(np.float32),
        normalization=normalized,
        logits=logits,
        opened=opened,
    )


def _checked(model: keras.Model, name: str) -> tuple[int, int]:
    """Returns the side of the input and the number of classes."""
    input_shape, output_shape = tuple(model.inputs[0].shape), tuple(model.outputs[0].shape)
    if len(input_shape) != 4 or input_shape[3] != 3:
        raise RequestError(f"{name} takes {input_shape}; a classifier here takes RGB images (None, S, S, 3).")
    if input_shape[1] != input_shape[2]:
        raise RequestError(
            f"{name} takes {input_shape[1]} x {input_shape[2]} pixels; build it for a square: keras.Input((S, S, 3))."
        )
    if len(output_shape) != 2 or output_shape[1] is None or output_shape[0] not in (None, input_shape[0]):
        raise RequestError(
            f"{name} gives {output_shape} for {input_shape}; a classifier gives a row (None, classes) for each image."
        )
    if output_shape[1] < 2:
        raise RequestError(single_message(name))
    return input_shape[1], output_shape[1]


def _check_weights(model: keras.Model, name: str) -> None:
    """Refuses weights that are NaN: a ReLU hides them here, but not in other runtimes."""
    for weight in model.weights:
        if "float" in str(weight.dtype) and np.isnan(np.asarray(keras.ops.cast(weight, "float32"))).any():
            place = getattr(weight, "path", weight.name)
            raise RequestError(
                f"{name}: the weights {place} hold numbers that are not finite; take an earlier checkpoint."
            )


def _predictor(model: keras.Model, name: str, normalized: ImageNormalization) -> Callable[[np.ndarray], np.ndarray]:
    """Returns the model as it was loaded: float32 [b, S, S, 3] raw RGB to float32 [b, classes]."""
    run = tf.function(lambda images: model(images, training=False), jit_compile=False, reduce_retracing=True)

    def predict(images: np.ndarray) -> np.ndarray:
        try:
            return run(tf.constant(normalized(images.astype(np.float32)))).numpy()
        except Exception as error:
            raise RequestError(f"{name} cannot predict images: {cause(error)}") from error

    return predict


def _predictions_on_noise(predict: Callable[[np.ndarray], np.ndarray], size: int, name: str) -> np.ndarray:
    """Returns what a model gives for images of noise, bright and dark, which must be numbers."""
    rng = np.random.default_rng(0)
    noise = rng.uniform(0, 255, (_PROBES, size, size, 3)) * rng.uniform(0, 1, (_PROBES, 1, 1, 3))
    predictions = predict(noise.astype(np.float32))
    if not np.isfinite(predictions).all():
        raise RequestError(
            f"{name} predicts values that are not finite; its weights are damaged. Save the model again."
        )
    return predictions
