"""Tensors of a PyTorch state dict as the weights of Keras layers."""

from itertools import islice
from typing import Any

import numpy as np

from tfkd.errors import RequestError

_COUNTER = "num_batches_tracked"  # of batch normalisation; Keras has none


def keras_array(tensor: np.ndarray, depthwise: bool = False) -> np.ndarray:
    """Returns a tensor in Keras's layout.

    PyTorch stores kernels as [out, in, height, width], depthwise ones as [out, 1, height, width] and those of dense
    layers as [out, in]; vectors are the same in both.
    """
    if tensor.ndim == 4:
        return tensor.transpose((2, 3, 0, 1) if depthwise else (2, 3, 1, 0))
    return tensor.T


def arrays_in_order(model: Any, tensors: dict[str, np.ndarray], name: str) -> dict[str, list[np.ndarray]]:
    """Returns the arrays of every layer by its name, taking the tensors in the order of the state dict.

    Args:
        model: a chain of layers in the order of the PyTorch network; residuals may go around.
        tensors: the state dict; layers at its end may be missing.
        name: name of the file, for messages.

    Raises:
        RequestError: more tensors than the model has weights.
    """
    values = iter([tensor for key, tensor in tensors.items() if not key.endswith(_COUNTER)])
    arrays = {}
    for layer in model.layers:
        depthwise = type(layer).__name__ == "DepthwiseConv2D"
        arrays[layer.name] = [keras_array(value, depthwise) for value in islice(values, len(layer.weights))]
    if next(values, None) is not None:
        raise RequestError(f"{name} doesn't fit {model.name}: it holds more tensors than the model has weights.")
    return arrays
