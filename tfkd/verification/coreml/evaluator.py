"""Runs Core ML classifiers: an image, a text's ids or a row goes in, the probabilities come out in label order."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from tfkd.errors import cause
from tfkd.verification import VerifyError
from tfkd.verification.coreml.ids import Ids, declared_ids
from tfkd.verification.coreml.image import Image, declared_image
from tfkd.verification.coreml.limits import BatchError
from tfkd.verification.coreml.network import NeuralNetwork
from tfkd.verification.coreml.program import Program
from tfkd.verification.coreml.specification import NETWORK, PROGRAM, TREES, class_labels, computes_in_float16, read
from tfkd.verification.coreml.trees import RowInput, TreeModel, declared_row
from tfkd.verification.probabilities import must_be_finite

_ARRAY = "multiArrayType"
_MODELS: Mapping[str, Callable[[Any, Path], Any]] = {NETWORK: NeuralNetwork, TREES: TreeModel, PROGRAM: Program}


@dataclass(frozen=True)
class Evaluator:
    """A Core ML classifier, ready to run.

    Attributes:
        path: of its file or package.
        labels: its classes, in the order of the probabilities.
        taken: what it takes.
    """

    path: Path
    labels: tuple[str, ...]
    taken: Image | Ids | RowInput
    _graph: Any

    def __call__(self, examples: Any) -> np.ndarray:
        """Classifies a batch.

        Args:
            examples: raw: images, uint8 or float32 [b, H, W, 3], ids of texts, int32 [b, length], or rows, float32
                [b, columns].

        Returns:
            float32 [b, classes] probabilities.

        Raises:
            VerifyError: the examples have another size, or the model cannot be run on them.
        """
        batch = np.asarray(examples)
        if not batch.ndim or batch.shape[1:] != self.taken.shape:
            raise VerifyError(f"{self.path}: takes {self.taken.examples} {self.taken.shape}, not {batch.shape[1:]}.")
        if not len(batch):
            return np.zeros((0, len(self.labels)), np.float32)
        try:
            return self._graph(tf.constant(batch, self.taken.dtype)).numpy()
        except tf.errors.OpError as error:
            raise VerifyError(f"{self.path}: cannot be run: {cause(error)}") from error


def load(path: Path) -> Evaluator:
    """Reads a Core ML classifier and builds its graph, once for batches of any size.

    Operators that would mix the images of a batch, such as a reshape of the first axis, are computed image by image.

    Args:
        path: of an .mlmodel file or an .mlpackage folder.

    Raises:
        NotVerifiedError: it holds an operator that is not known.
        VerifyError: it cannot be read, is damaged, or takes no colour image, ids of a text or row of a table.
    """
    specification = read(path)
    taken = _declared(specification, path)
    names = tuple(class_labels(specification))
    model = _MODELS[specification.WhichOneof("Type")](specification, path)

    def classify(raw: tf.Tensor) -> tf.Tensor:
        return _one_a_class(model(taken.prepared(raw)), names, path)

    def one_by_one(raw: tf.Tensor) -> tf.Tensor:
        return tf.map_fn(lambda single: classify(single[None])[0], raw, fn_output_signature=tf.float32)

    raw = tf.TensorSpec([None, *taken.shape], taken.dtype)
    try:
        graph = tf.function(classify, autograph=False).get_concrete_function(raw)
    except BatchError:  # Core ML computes one image at a time, and so may what it computes
        graph = tf.function(one_by_one, autograph=False).get_concrete_function(raw)
    return Evaluator(path, names, taken, graph)


def _declared(specification: Any, path: Path) -> Image | Ids | RowInput:
    if specification.WhichOneof("Type") == TREES:
        return declared_row(specification, path)
    inputs = specification.description.input
    if specification.WhichOneof("Type") == PROGRAM and [each.type.WhichOneof("Type") for each in inputs] == [_ARRAY]:
        return declared_ids(specification, path)
    return declared_image(specification, path)


def labels(path: Path) -> tuple[str, ...]:
    """Returns the class names of a file, in the order of its output.

    Raises:
        VerifyError: the file cannot be read, or names no classes.
    """
    names = class_labels(read(path))
    if not names:
        raise VerifyError(f"{path}: names no classes; export it again.")
    return tuple(names)


def predict(path: Path, batches: Iterable[Any]) -> np.ndarray:
    """Runs a file on raw inputs, a batch at a time.

    Args:
        path: of an .mlmodel file or an .mlpackage folder.
        batches: raw [b, ...], anything that NumPy can read; read once.

    Returns:
        float32 [n, classes] probabilities in label order.

    Raises:
        NotVerifiedError: the file holds an operator that is not known.
        VerifyError: the file cannot be loaded or run, or its predictions are not numbers.
    """
    evaluator = load(path)
    results = [evaluator(batch) for batch in batches]
    probabilities = np.concatenate(results) if results else np.zeros((0, len(evaluator.labels)), np.float32)
    must_be_finite(probabilities, path, lambda: computes_in_float16(read(path)))
    return probabilities


def _one_a_class(probabilities: Any, names: tuple[str, ...], path: Path) -> tf.Tensor:
    """Drops axes of size 1, for a model may give [batch, classes, 1, 1]."""
    sizes = [1 if size is None else size for size in getattr(probabilities, "shape", [])]
    if not names or np.prod(sizes) != len(names) or not tf.is_symbolic_tensor(probabilities):
        raise VerifyError(f"{path}: gives {sizes} probabilities for {len(names)} classes.")
    return tf.reshape(probabilities, [-1, len(names)])
