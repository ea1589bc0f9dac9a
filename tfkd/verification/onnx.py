"""Loads and runs .onnx files with onnxruntime."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from tfkd.errors import RequestError, cause
from tfkd.signature import Signature
from tfkd.verification import VerifyError
from tfkd.verification.probabilities import must_be_finite
from tfkd.verification.records import InputOutput, Tensor
from tfkd.writers import Card
from tfkd.writers.graph import OUTPUT

_TYPES = {"float32": "tensor(float)", "int32": "tensor(int32)"}  # onnxruntime's names


def check(path: Path, card: Card, signature: Signature) -> InputOutput:
    """Checks the ends and the labels of a file; returns its input and output.

    Raises:
        VerifyError: the file cannot be loaded, or it is not what the card says.
        RequestError: the extra is missing.
    """
    session = load(path)
    ends = [(each.name, each.shape, each.type) for each in (*session.get_inputs(), *session.get_outputs())]
    tensor, row = signature.single, [1, len(card.classes)]
    shape = [1, *(int(side or 0) for side in tensor.shape)]
    expected = [(tensor.name, shape, _TYPES[tensor.dtype]), (OUTPUT, row, _TYPES["float32"])]
    if ends != expected:
        raise VerifyError(f"{path}: takes and gives {ends}, not {expected}.")
    if labels(path) != card.classes:
        raise VerifyError(f"{path}: the labels in its metadata are not the model's classes; export it again.")
    return InputOutput(
        input=Tensor(name=tensor.name, shape=shape, dtype=tensor.dtype, range=tensor.range and [*tensor.range]),
        output=Tensor(name=OUTPUT, shape=row, dtype="float32", range=[0.0, 1.0]),
    )


def labels(path: Path) -> tuple[str, ...]:
    """Returns the class names in a file's metadata, in the order of its output.

    Raises:
        VerifyError: the file cannot be loaded.
    """
    return tuple(load(path).get_modelmeta().custom_metadata_map.get("labels", "").splitlines())


def predict(path: Path, batches: Iterable[Any]) -> np.ndarray:
    """Runs a file on raw examples, one at a time.

    Args:
        path: of an .onnx file.
        batches: raw [b, ...], anything that NumPy can read; read once, in order.

    Returns:
        float32 [n, classes] probabilities.

    Raises:
        VerifyError: the file cannot be loaded or run, or its predictions are not numbers.
    """
    session = load(path)
    dtype = np.int32 if session.get_inputs()[0].type == _TYPES["int32"] else np.float32
    outputs = [_predict_one(session, example, path) for batch in batches for example in np.asarray(batch, dtype)]
    probabilities = np.concatenate(outputs) if outputs else np.zeros((0, session.get_outputs()[0].shape[1]), np.float32)
    must_be_finite(probabilities, path, lambda: False)
    return probabilities


def load(path: Path) -> Any:
    """Loads a file into onnxruntime.

    Raises:
        VerifyError: the file is missing or damaged, or it has not one input and one output.
        RequestError: the extra is missing.
    """
    try:
        import onnxruntime
    except ImportError:
        raise RequestError('ONNX files need the extra "onnx": pip install "tfkd[onnx]".') from None
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime has a dozen kinds for a damaged file
        raise VerifyError(f"{path}: is no .onnx file, or a damaged one: {cause(error)}") from None
    if len(session.get_inputs()) != 1 or len(session.get_outputs()) != 1:
        raise VerifyError(f"{path}: has not one input and one output; export it again.")
    return session


def _predict_one(session: Any, example: np.ndarray, path: Path) -> np.ndarray:
    try:
        output: np.ndarray = session.run(None, {session.get_inputs()[0].name: example[np.newaxis]})[0]
    except Exception as error:
        raise VerifyError(f"{path}: cannot be run on an example {example.shape}: {cause(error)}") from None
    return output
