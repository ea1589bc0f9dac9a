"""A trained classifier of the user's own, from a `.keras` file or the folder of a SavedModel, made ready for export."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from tfkd.distill.measures import softmax
from tfkd.errors import RequestError, cause
from tfkd.models.logits import FrozenLogits, frozen_logits
from tfkd.models.normalization import NONE, Normalization
from tfkd.models.weights import read_keras
from tfkd.quiet import native_logs_silenced

SIGNATURE = "serving_default"

# Parts of the names of operators that reach outside of the graph. Every SavedModel has the exceptions, to save itself.
_OUTSIDE = ("PyFunc", "File", "Reader", "Dataset", "Summary", "Debug", "Socket", "Print")
_HARMLESS = ("ShardedFilename",)

_PROBES = 8  # images of noise that a model's form is tried on


@dataclass(frozen=True)
class OwnModel:
    """A classifier from raw RGB 0..255 to logits, in the form that `tfkd.export.export` takes.

    Attributes:
        name: of its file or folder.
        input_shape: (1, S, S, 3).
        output_shape: (1, classes).
        parameters: numbers in its variables.
        answer: the model as it was loaded, not through the graph that is exported: float32 [b, S, S, 3] raw RGB
            to float32 probabilities [b, classes].
        normalization: what becomes part of the exported graph.
        logits: float32 [1, S, S, 3] normalised to float32 [1, classes].
    """

    name: str
    input_shape: tuple[int, int, int, int]
    output_shape: tuple[int, int]
    parameters: int
    answer: Callable[[np.ndarray], np.ndarray]
    normalization: Normalization
    logits: FrozenLogits

    @property
    def size(self) -> int:
        """Side of the square input, pixels."""
        return self.input_shape[1]

    @property
    def classes(self) -> int:
        """Number of classes."""
        return self.output_shape[1]

    def __call__(self, image: Any, training: bool = False) -> Any:
        """Returns float32 logits [1, classes] of one image, float32 [1, S, S, 3] raw RGB 0..255."""
        return self.logits(self.normalization.apply(image))


@dataclass(frozen=True)
class _Source:
    """What a file holds; shapes are (batch, ...), a free dimension is None."""

    name: str
    call: Callable[[Any], Any]  # float32 [b, S, S, 3] to [b, classes]
    inputs: list[tuple[tuple[int | None, ...], str]]
    outputs: list[tuple[tuple[int | None, ...], str]]
    parameters: int


def load(path: Path, normalized: Normalization = NONE, allow_code: bool = False) -> OwnModel:
    """Loads a classifier and checks its form.

    Args:
        path: a `.keras` file, or the folder of a SavedModel with the signature `serving_default`.
        normalized: what the model wants done to raw pixels; it becomes part of the exported model.
        allow_code: let the file bring code of its own, which may do anything: Lambda layers, operators that open files.

    Raises:
        RequestError: the file is missing, damaged or brings code, or it is not a classifier of one square RGB image
            that gives logits, or probabilities of one class for each image.
    """
    source = _from_folder(path, allow_code) if path.is_dir() else _from_file(path, allow_code)
    size, classes = _checked(source)
    specification = tf.TensorSpec([1, size, size, 3], tf.float32)
    with native_logs_silenced():
        try:
            traced = tf.function(source.call).get_concrete_function(specification)
            whole = convert_variables_to_constants_v2(traced)
        except Exception as error:
            raise RequestError(f"{source.name} cannot be traced for one image: {cause(error)}") from error
    raw = _answering(source, normalized)
    logits = frozen_logits(whole, source.name, _tried(raw, size, source.name))
    return OwnModel(
        name=source.name,
        input_shape=(1, size, size, 3),
        output_shape=(1, classes),
        parameters=source.parameters,
        answer=raw if logits.probabilities else lambda images: softmax(raw(images)).astype(np.float32),
        normalization=normalized,
        logits=logits,
    )


def _from_file(path: Path, allow_code: bool) -> _Source:
    import keras

    if path.suffix != ".keras":
        raise RequestError(
            f"{path} is neither a .keras file nor the folder of a SavedModel; write one with model.save('model.keras')."
        )
    model = read_keras(path, allow_code)
    if not isinstance(model, keras.Model) or not getattr(model, "outputs", None):
        raise RequestError(
            f"{path.name} is not a functional or sequential Keras model with a fixed input; rebuild it as one."
        )
    return _Source(
        path.name,
        lambda images: model(images, training=False),
        [(tuple(tensor.shape), str(tensor.dtype)) for tensor in model.inputs],
        [(tuple(tensor.shape), "float32") for tensor in model.outputs],  # half precision is widened
        model.count_params(),
    )


def _from_folder(path: Path, allow_code: bool) -> _Source:
    if not allow_code:
        _check_operators(path)
    try:
        with native_logs_silenced():
            loaded = tf.saved_model.load(str(path))
    except Exception as error:  # a damaged or hostile folder can fail anywhere in TensorFlow
        raise RequestError(f"{path} cannot be loaded as a SavedModel: {cause(error)}") from error
    if SIGNATURE not in loaded.signatures:
        known = ", ".join(loaded.signatures) or "none"
        raise RequestError(f"{path} has no signature {SIGNATURE!r} (it has: {known}); save it with model.export().")
    signature = loaded.signatures[SIGNATURE]
    given = signature.structured_input_signature[1]
    made = signature.structured_outputs

    def call(images: Any) -> Any:
        assert loaded is not None  # the signature's variables live as long as what was loaded
        return next(iter(signature(**dict.fromkeys(given, images)).values()))

    def described(tensors: Any) -> list[tuple[tuple[int | None, ...], str]]:
        return [(tuple(tensor.shape) if tensor.shape.rank else (), tensor.dtype.name) for tensor in tensors]

    numbers = sum(int(np.prod(variable.shape)) for variable in signature.variables)
    return _Source(path.name, call, described(given.values()), described(made.values()), numbers)


def _check_operators(path: Path) -> None:
    """Refuses a SavedModel that could open files or call Python; loading it already runs a part of its operators."""
    try:
        saved = saved_model_pb2.SavedModel.FromString((path / "saved_model.pb").read_bytes())
    except Exception as error:
        raise RequestError(f"{path} cannot be loaded as a SavedModel: {cause(error)}") from error
    graphs = [meta.graph_def for meta in saved.meta_graphs]
    bodies = [graph.node for graph in graphs] + [function.node_def for g in graphs for function in g.library.function]
    kinds = {node.op for nodes in bodies for node in nodes}
    found = sorted(kind for kind in kinds if kind not in _HARMLESS and any(part in kind for part in _OUTSIDE))
    if found:
        raise RequestError(
            f"{path} holds operators that reach outside of it ({', '.join(found)}); add --allow-code if you trust it."
        )


def _checked(source: _Source) -> tuple[int, int]:
    """Returns the side of the input and the number of classes."""
    name = source.name
    if len(source.inputs) != 1 or len(source.outputs) != 1:
        raise RequestError(
            f"{name} has {len(source.inputs)} inputs and {len(source.outputs)} outputs; "
            "a classifier here has one image as input and one row of classes as output."
        )
    (taken, dtype), (given, _) = source.inputs[0], source.outputs[0]
    if dtype != "float32":
        raise RequestError(f"{name} takes {dtype} images; build it for float32, which the exported files turn into.")
    if len(taken) != 4 or taken[3] != 3:
        raise RequestError(f"{name} takes {taken}; a classifier here takes RGB images (None, S, S, 3).")
    if taken[1] is None or taken[2] is None:
        raise RequestError(f"{name} takes images of any size, {taken}; build it for one: keras.Input((S, S, 3)).")
    if taken[1] != taken[2]:
        raise RequestError(
            f"{name} takes {taken[1]} x {taken[2]} pixels; build it for a square: keras.Input((S, S, 3))."
        )
    if taken[0] not in (None, 1):
        raise RequestError(f"{name} takes {taken[0]} images at a time; leave that free or make it 1.")
    if len(given) != 2 or given[1] is None or given[0] not in (None, taken[0]):
        raise RequestError(
            f"{name} gives {given} for {taken}; a classifier gives a row (None, classes) for each image."
        )
    if given[1] < 2:
        raise RequestError(f"{name} gives one number an image; give it an output for each of its two classes.")
    return taken[1], given[1]


def _answering(source: _Source, normalized: Normalization) -> Callable[[np.ndarray], np.ndarray]:
    """Returns the model as it was loaded: float32 [b, S, S, 3] raw RGB to float32 [b, classes]."""
    (batch, *_), _ = source.inputs[0]
    run = tf.function(lambda images: tf.cast(source.call(images), tf.float32), jit_compile=False, reduce_retracing=True)

    def answer(images: np.ndarray) -> np.ndarray:
        given = normalized(images.astype(np.float32))
        parts = np.split(given, len(given)) if batch == 1 else [given]
        try:
            return np.concatenate([run(tf.constant(part)).numpy() for part in parts])
        except Exception as error:
            raise RequestError(f"{source.name} cannot answer images: {cause(error)}") from error

    return answer


def _tried(answer: Callable[[np.ndarray], np.ndarray], size: int, name: str) -> np.ndarray:
    """Returns what a model gives for images of noise, bright and dark, which must be numbers."""
    rng = np.random.default_rng(0)
    noise = rng.uniform(0, 255, (_PROBES, size, size, 3)) * rng.uniform(0, 1, (_PROBES, 1, 1, 3))
    answers = answer(noise.astype(np.float32))
    if not np.isfinite(answers).all():
        raise RequestError(f"{name} answers with numbers that are not finite; its weights are damaged.")
    return answers
