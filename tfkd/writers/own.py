"""A trained classifier of the user's own, from a `.keras` file or the folder of a SavedModel, made ready for export."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from tfkd.distill.measures import logits_of, softmax
from tfkd.errors import RequestError, cause
from tfkd.inputs.image.normalization import NONE, ImageNormalization
from tfkd.inputs.image.tensors import signature as signature_of_images
from tfkd.inputs.text.tensors import signature_of as signature_of_texts
from tfkd.models.foreign import open_model
from tfkd.models.logits import FrozenLogits, frozen_logits, single_message
from tfkd.quiet import native_logs_silenced
from tfkd.signature import Signature

_PROBES = 8  # examples of noise that a model's form is tried on


@dataclass(frozen=True)
class OwnModel:
    """A classifier from raw inputs to logits, in the form that `tfkd.writers.export` takes.

    Attributes:
        name: of its file or folder.
        signature: what it takes.
        output_shape: (1, classes).
        parameters: numbers in its variables.
        predict: the model as it was loaded, not through the graph that is exported: raw inputs [b, ...], such as RGB
            from 0 to 255, to float32 probabilities [b, classes].
        normalization: of raw pixels, which becomes part of the exported graph; None for ids.
        logits: one input, normalised, to float32 [1, classes].
        opened: the model as it was opened.
        divisor: of the logits in the exported graph; `predict` is divided likewise.
    """

    name: str
    signature: Signature
    output_shape: tuple[int, int]
    parameters: int
    predict: Callable[[np.ndarray], np.ndarray]
    normalization: ImageNormalization | None
    logits: FrozenLogits
    opened: keras.Model
    divisor: float = 1.0

    @property
    def classes(self) -> int:
        """Number of classes."""
        return self.output_shape[1]

    def __call__(self, raw: Any, training: bool = False) -> Any:
        """Returns float32 logits [1, classes] of one raw input [1, ...]."""
        logits = self.logits(raw if self.normalization is None else self.normalization.apply(raw))
        return logits if self.divisor == 1 else logits / self.divisor

    def divided(self, divisor: float) -> "OwnModel":
        """Returns the same classifier with its logits divided by a positive number."""

        def predict(inputs: np.ndarray) -> np.ndarray:
            return softmax(logits_of(self.predict(inputs)) / divisor).astype(np.float32)

        return replace(self, predict=predict, divisor=divisor)


def load(
    path: Path,
    normalized: ImageNormalization = NONE,
    allow_code: bool = False,
    imports: Sequence[str] = (),
    image_size: int | None = None,
) -> OwnModel:
    """Opens a classifier of images and checks its form.

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
    return of_images(opened, path.name, normalized)


def of_images(opened: keras.Model, name: str, normalized: ImageNormalization = NONE) -> OwnModel:
    """Checks the form of a classifier of images and freezes it for export.

    Args:
        opened: the classifier.
        name: of its file or folder, or of the model.
        normalized: what the model wants done to raw pixels; it becomes part of the exported model.

    Raises:
        RequestError: it is not a classifier of one square RGB image that gives logits, or probabilities of one class
            for each image.
    """
    return _prepared(opened, name, signature_of_images(_side(opened, name)), normalized)


def of_texts(opened: keras.Model, name: str) -> OwnModel:
    """Checks the form of a classifier of texts and freezes it for export.

    Args:
        opened: the classifier, with its vocabulary (see `tfkd.models.token_ids`).
        name: of its file, or of the model.

    Raises:
        RequestError: it is not a classifier that gives logits, or probabilities of one class for each text.
    """
    return _prepared(opened, name, signature_of_texts(opened), None)


def _prepared(
    opened: keras.Model, name: str, model_signature: Signature, normalized: ImageNormalization | None
) -> OwnModel:
    classes = _classes(opened, name, model_signature.kind)
    _check_weights(opened, name)
    with native_logs_silenced():
        try:
            traced = tf.function(lambda raw: opened(raw, training=False)).get_concrete_function(model_signature.spec(1))
            whole = convert_variables_to_constants_v2(traced)
        except Exception as error:
            raise RequestError(f"{name} cannot be traced for one {model_signature.kind}: {cause(error)}") from error
    raw = _predictor(opened, name, model_signature, normalized)
    logits = frozen_logits(whole, name, _predictions_on_noise(raw, model_signature, name))
    return OwnModel(
        name=name,
        signature=model_signature,
        output_shape=(1, classes),
        parameters=opened.count_params(),
        predict=raw if logits.probabilities else lambda inputs: softmax(raw(inputs)).astype(np.float32),
        normalization=normalized,
        logits=logits,
        opened=opened,
    )


def _side(model: keras.Model, name: str) -> int:
    """Returns the side of the image that a model takes."""
    input_shape = tuple(model.inputs[0].shape)
    if len(input_shape) != 4 or input_shape[3] != 3:
        raise RequestError(f"{name} takes {input_shape}; a classifier here takes RGB images (None, S, S, 3).")
    if input_shape[1] != input_shape[2]:
        raise RequestError(
            f"{name} takes {input_shape[1]} x {input_shape[2]} pixels; build it for a square: keras.Input((S, S, 3))."
        )
    return int(input_shape[1])


def _classes(model: keras.Model, name: str, kind: str) -> int:
    """Returns the number of outputs."""
    input_shape, output_shape = tuple(model.inputs[0].shape), tuple(model.outputs[0].shape)
    if len(output_shape) != 2 or output_shape[1] is None or output_shape[0] not in (None, input_shape[0]):
        raise RequestError(
            f"{name} gives {output_shape} for {input_shape}; a classifier gives a row (None, classes) for each {kind}."
        )
    if output_shape[1] < 2:
        raise RequestError(single_message(name, kind))
    return int(output_shape[1])


def _check_weights(model: keras.Model, name: str) -> None:
    """Refuses weights that are NaN: a ReLU hides them here, but not in other runtimes."""
    for weight in model.weights:
        if "float" in str(weight.dtype) and np.isnan(np.asarray(keras.ops.cast(weight, "float32"))).any():
            place = getattr(weight, "path", weight.name)
            raise RequestError(
                f"{name}: the weights {place} hold numbers that are not finite; take an earlier checkpoint."
            )


def _predictor(
    model: keras.Model, name: str, signature: Signature, normalized: ImageNormalization | None
) -> Callable[[np.ndarray], np.ndarray]:
    """Returns the model as it was loaded: raw inputs [b, ...] to float32 [b, classes]."""
    run = tf.function(lambda inputs: model(inputs, training=False), jit_compile=False, reduce_retracing=True)

    def predict(inputs: np.ndarray) -> np.ndarray:
        raw = inputs.astype(signature.single.dtype)
        try:
            return run(tf.constant(raw if normalized is None else normalized(raw))).numpy()
        except Exception as error:
            raise RequestError(f"{name} cannot predict {signature.kind}s: {cause(error)}") from error

    return predict


def _predictions_on_noise(predict: Callable[[np.ndarray], np.ndarray], signature: Signature, name: str) -> np.ndarray:
    """Returns what a model gives for noise, which must be numbers."""
    predictions = predict(_noise(signature))
    if not np.isfinite(predictions).all():
        raise RequestError(
            f"{name} predicts values that are not finite; its weights are damaged. Save the model again."
        )
    return predictions


def _noise(signature: Signature) -> np.ndarray:
    """Returns bright and dark images of noise, or random ids, of which the first is the largest."""
    rng, tensor = np.random.default_rng(0), signature.single
    assert tensor.range is not None
    low, high = tensor.range
    shape = (_PROBES, *(side or 1 for side in tensor.shape))
    if np.issubdtype(tensor.dtype, np.integer):
        noise = rng.integers(int(low), int(high) + 1, shape)
        noise.flat[0] = int(high)
        return noise
    return rng.uniform(low, high, shape) * rng.uniform(0, 1, (_PROBES, *[1] * (len(shape) - 2), shape[-1]))
