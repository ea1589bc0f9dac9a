"""ONNX files small enough to reason about: a dense layer on the mean colours of an image."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

# Class 0, 1, 2 of `tests.data.photos.fill_tinted` is brighter in channel 2, 1, 0; for pixels of -1..1 ("tf").
KERNEL = 8.0 * np.eye(3, dtype=np.float32)[::-1]
SIDE = 32


def colours(
    path: Path,
    *,
    kernel: np.ndarray = KERNEL,
    shape: tuple[Any, ...] = ("batch", 3, SIDE, SIDE),
    end: str | None = None,
    dtype: int = TensorProto.FLOAT,
    operator: str = "ReduceMean",
    outputs: tuple[str, ...] = ("logits",),
    inputs: int = 1,
) -> Path:
    """Writes a classifier of mean colours, in the layout of its input's shape.

    Args:
        path: of the file.
        kernel: float32 [3, outputs].
        shape: of its input.
        end: operator behind the dense layer, such as Softmax.
        dtype: of its input.
        operator: of the pooling.
        outputs: names of its outputs, of "logits", "pooled", "map", "tokens" and "end".
        inputs: number of its inputs.
    """
    axes = [2, 3] if shape[1] == 3 else [1, 2]
    nodes = [
        helper.make_node("Cast", ["image"], ["map"], to=TensorProto.FLOAT),
        helper.make_node(operator, ["map", "axes"], ["pooled"], keepdims=0),
        helper.make_node("Gemm", ["pooled", "kernel", "bias"], ["logits"]),
        helper.make_node("Reshape", ["map", "tokens_shape"], ["rows"]),
        helper.make_node("Transpose", ["rows"], ["tokens"], perm=[0, 2, 1]),
    ]
    if end:
        nodes.append(helper.make_node(end, ["logits"], ["end"]))
        outputs = tuple("end" if name == "logits" else name for name in outputs)
    constants = {
        "axes": np.array(axes),
        "kernel": kernel,
        "bias": np.zeros(kernel.shape[1], np.float32),
        "tokens_shape": np.array([0, 3, -1]),
    }
    graph = helper.make_graph(
        nodes,
        "colours",
        [helper.make_tensor_value_info("image" + "_" * number, dtype, shape) for number in range(inputs)],
        [onnx.ValueInfoProto(name=name) for name in outputs],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.save_model(model, path)
    return path
