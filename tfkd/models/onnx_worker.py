"""Reads and runs an ONNX file with onnxruntime; for a process apart, because the file may be hostile."""

import difflib
import functools
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from tfkd import machine
from tfkd.errors import RequestError, cause, counted, some

PENULTIMATE = "penultimate"
_ALIASES = (PENULTIMATE, "pooled")
_PASSING = {"Softmax", "LogSoftmax", "Flatten", "Identity", "Cast", "Reshape", "Squeeze", "Dropout"}
_INPUTS = ("float32", "float16", "float64", "uint8")
_EXTERNAL = 1  # TensorProto.EXTERNAL
_CHANNELS = 3
_SHOWN = 5  # tensors in a message

Order = Literal["NCHW", "NHWC"]


@dataclass(frozen=True)
class OnnxDescription:
    """What an ONNX file takes and gives, found by running it.

    Attributes:
        input: name of its input.
        dtype: dtype of its input.
        order: order of the axes of its images.
        size: side of its square images, pixels.
        batch: number of images per call, where it is fixed.
        tensors: name in the file of each wanted output or inner tensor, by the name it was asked for.
        shapes: shape of each of them for one image, channels last.
        parameters: number of weights.
        penultimate: tensor that the last dense layer takes; None where the file does not end in one.
    """

    input: str
    dtype: str
    order: Order
    size: int
    batch: int | None
    tensors: dict[str, str]
    shapes: dict[str, tuple[int, ...]]
    parameters: int
    penultimate: str | None = None


def describe(path: Path, output: str | None, taps: Sequence[str], size: int | None) -> OnnxDescription:
    """Returns what a file takes and gives.

    Args:
        path: path of the file.
        output: name of the output or inner tensor to use, or "penultimate"; None for the only output.
        taps: names of further tensors.
        size: side of the images, pixels, for a file that takes images of any size.

    Raises:
        RequestError: it is no ONNX file, it has several inputs or outputs, a tensor does not exist, it takes no square
            RGB image, or it cannot be run.
    """
    model = _read(path)
    _require_data_beside(model, path)
    tensor = _only_input(model.graph, path)
    names = {name: _tensor_named(model.graph, name, path) for name in taps}
    names[""] = _tensor_named(model.graph, output, path) if output else _only_output(model.graph, path)
    shape, dtype = _input_form(tensor, path)
    orders, side = _orders(shape, path), _side(shape, size, path)
    session, wanted = _session(path, tuple(dict.fromkeys(names.values()))), list(dict.fromkeys(names.values()))
    tried = [(order, batch) for order in orders for batch in _batches(shape)]
    reason = ""
    for order, batch in tried:
        images = np.zeros((batch, *_sides(order, side)), dtype)
        try:
            found = dict(zip(wanted, session.run(wanted, {tensor.name: images}), strict=True))
        except Exception as error:  # onnxruntime has a dozen kinds
            reason = reason or cause(error)
            continue
        if all(np.ndim(values) and len(values) == batch for values in found.values()):
            shapes = {name: _channels_last(found[names[name]], order).shape[1:] for name in names}
            fixed = batch if batch == 1 or _is_fixed(shape[0]) else None
            inner = _before_last_layer(model.graph)
            return OnnxDescription(
                tensor.name, dtype, order, side, fixed, names, shapes, _parameters(model.graph), inner
            )
        reason = reason or f"{_shapes(found)} for {counted(batch, 'image')}, and not one row per image"
    raise RequestError(f"{path} cannot be run on {side} px images: {reason}")


def run(path: Path, description: OnnxDescription, batches: Iterator[np.ndarray]) -> dict[str, np.ndarray]:
    """Returns the wanted tensors of some images, float32, channels last.

    Args:
        path: path of the file.
        description: of the file.
        batches: normalised images [b, height, width, 3].
    """
    wanted = tuple(dict.fromkeys(description.tensors.values()))
    session = _session(path, wanted)
    rows: dict[str, list[np.ndarray]] = {name: [] for name in wanted}
    for images in batches:
        for part in _parts(_arranged(images, description), description.batch):
            padded = _padded(part, description.batch)
            for name, values in zip(wanted, session.run(wanted, {description.input: padded}), strict=True):
                rows[name].append(_channels_last(values[: len(part)], description.order).astype(np.float32))
    together = {name: np.concatenate(each) for name, each in rows.items()}
    return {name: together[tensor] for name, tensor in description.tensors.items()}


def timed(path: Path, description: OnnxDescription, threads: int, warmup: int, runs: int) -> list[float]:
    """Returns the milliseconds of each of some runs on one image, or per image of a fixed batch.

    Args:
        path: path of the file.
        description: of the file.
        threads: number of threads.
        warmup: number of runs before the timed ones.
        runs: number of timed runs.
    """
    batch = description.batch or 1
    session = _session(path, (description.tensors[""],), threads)
    feed = {description.input: np.zeros((batch, *_sides(description.order, description.size)), description.dtype)}
    durations = []
    for _ in range(warmup + runs):
        start = time.perf_counter()
        session.run(None, feed)
        durations.append(1e3 * (time.perf_counter() - start) / batch)
    return durations[warmup:]


def _read(path: Path) -> Any:
    import onnx

    try:
        model = onnx.load_model(path, load_external_data=False)
    except Exception as error:  # of protobuf
        raise RequestError(f"{path} is no ONNX file, or a damaged one: {cause(error)}") from None
    if not model.graph.node:
        raise RequestError(f"{path} is no ONNX file, or an empty one: it has no operators.")
    return model


def _require_data_beside(model: Any, path: Path) -> None:
    """Refuses weights in files outside of the folder of the model."""
    folder = path.resolve().parent
    for tensor in _tensors(model):
        if tensor.data_location != _EXTERNAL:
            continue
        location = next((entry.value for entry in tensor.external_data if entry.key == "location"), "")
        place = (folder / location).resolve()
        if not location or not place.is_relative_to(folder):
            raise RequestError(f"{path} keeps weights in {location!r}, outside of its folder; put them beside it.")
        if not place.is_file():
            raise RequestError(f"{path} keeps weights in {location!r}, which is missing; put that file beside it.")


def _tensors(model: Any) -> Iterator[Any]:
    """Yields every constant tensor of a model."""
    yield from model.graph.initializer
    for sparse in model.graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    waiting = [*model.graph.node, *(node for function in model.functions for node in function.node)]
    while waiting:
        for attribute in waiting.pop().attribute:
            yield from (attribute.t, *attribute.tensors)
            yield from (part for sparse in (attribute.sparse_tensor,) for part in (sparse.values, sparse.indices))
            for graph in (attribute.g, *attribute.graphs):
                yield from graph.initializer
                waiting += graph.node


def _only_input(graph: Any, path: Path) -> Any:
    constants = {tensor.name for tensor in graph.initializer}
    inputs = [tensor for tensor in graph.input if tensor.name not in constants]
    if len(inputs) != 1:
        names = some([tensor.name for tensor in inputs], ", ") or "none"
        raise RequestError(f"{path} has {counted(len(inputs), 'input')} ({names}); a teacher takes one image.")
    return inputs[0]


def _only_output(graph: Any, path: Path) -> str:
    names = [tensor.name for tensor in graph.output]
    if len(names) != 1:
        raise RequestError(
            f"{path} has {counted(len(names), 'output')} ({some(names, ', ')}); choose one: output={names[0]!r}."
        )
    return str(names[0])


def _tensor_named(graph: Any, name: str, path: Path) -> str:
    """Returns the name of a tensor in the file."""
    known = [output for node in graph.node for output in node.output if output]
    if name in known:
        return name
    found = _before_last_layer(graph) if name in _ALIASES else None
    if found is None:
        close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
        hint = f"Did you mean {close[0]!r}?" if close else f"Its last ones are {', '.join(known[-_SHOWN:])}."
        raise RequestError(f"{path} has no tensor {name!r}. {hint}")
    return found


def _before_last_layer(graph: Any) -> str | None:
    """Returns the tensor that the last dense layer takes; None where the file does not end in one."""
    makers = {output: node for node in graph.node for output in node.output}
    constants = {tensor.name for tensor in graph.initializer}
    constants |= {output for node in graph.node if node.op_type == "Constant" for output in node.output}
    node = makers.get(graph.output[0].name)
    while node is not None:
        if node.op_type in ("Gemm", "MatMul"):
            return str(node.input[0])
        changing = [name for name in node.input if name not in constants]
        is_bias = node.op_type == "Add" and len(changing) == 1
        if node.op_type not in _PASSING and not is_bias:
            return None
        node = makers.get(changing[0]) if changing else None
    return None


def _input_form(tensor: Any, path: Path) -> tuple[list[int | None], str]:
    """Returns the shape of the input, None for a free side, and its dtype."""
    from onnx import helper

    form = tensor.type.tensor_type
    dtype = str(helper.tensor_dtype_to_np_dtype(form.elem_type)) if form.elem_type else "nothing known"
    if dtype not in _INPUTS:
        raise RequestError(f"{path} takes {dtype}; a teacher takes an image of {', '.join(_INPUTS)}.")
    shape = [side.dim_value or None for side in form.shape.dim]
    if len(shape) != 4:
        raise RequestError(
            f"{path} takes {shape}; a teacher takes images [batch, 3, side, side] or [.., side, side, 3]."
        )
    return shape, dtype


def _orders(shape: list[int | None], path: Path) -> list[Order]:
    """Returns the possible orders of the axes."""
    if shape[1] == _CHANNELS:
        return ["NCHW"]
    if shape[3] == _CHANNELS:
        return ["NHWC"]
    found: list[Order] = [order for order, axis in (("NCHW", 1), ("NHWC", 3)) if shape[axis] is None]  # type: ignore[misc]
    if not found:
        raise RequestError(f"{path} takes {shape}, not images of three channels.")
    return found


def _side(shape: list[int | None], size: int | None, path: Path) -> int:
    """Returns the side of the square images."""
    sides = shape[2:4] if shape[1] == _CHANNELS or (shape[1] is None and shape[3] != _CHANNELS) else shape[1:3]
    stated = {side for side in sides if side is not None}
    if len(stated) > 1:
        raise RequestError(f"{path} takes images of {sides[0]} × {sides[1]}; a teacher takes square ones.")
    if not stated and size is None:
        raise RequestError(f"{path} takes images of any size; set one: image_size=224.")
    side = stated.pop() if stated else size
    assert side is not None
    if size not in (None, side):
        raise RequestError(f"{path} takes {side} px images but image_size is {size}; make them equal.")
    return side


def _batches(shape: list[int | None]) -> list[int]:
    """Returns the numbers of images to try: exporters state a free batch also where only one image works."""
    return [shape[0]] if shape[0] else [2, 1]


def _is_fixed(batch: int | None) -> bool:
    return batch is not None


def _sides(order: Order, side: int) -> tuple[int, int, int]:
    return (_CHANNELS, side, side) if order == "NCHW" else (side, side, _CHANNELS)


def _arranged(images: np.ndarray, description: OnnxDescription) -> np.ndarray:
    arranged = images.transpose(0, 3, 1, 2) if description.order == "NCHW" else images
    if description.dtype == "uint8":
        arranged = arranged.round()
    return np.ascontiguousarray(arranged.astype(description.dtype))


def _parts(images: np.ndarray, batch: int | None) -> Iterator[np.ndarray]:
    size = batch or len(images)
    for start in range(0, len(images), size):
        yield images[start : start + size]


def _padded(images: np.ndarray, batch: int | None) -> np.ndarray:
    """Returns a whole batch, which repeats the last image."""
    if batch is None or len(images) == batch:
        return images
    return np.concatenate([images, np.repeat(images[-1:], batch - len(images), axis=0)])


def _channels_last(values: Any, order: Order) -> np.ndarray:
    values = np.asarray(values)
    return values.transpose(0, 2, 3, 1) if values.ndim == 4 and order == "NCHW" else values


def _shapes(found: dict[str, Any]) -> str:
    return ", ".join(f"{name} is {list(np.shape(values))}" for name, values in found.items())


def _parameters(graph: Any) -> int:
    return sum(int(np.prod(tensor.dims, dtype=np.int64)) for tensor in graph.initializer)


@functools.lru_cache(2)
def _session(path: Path, outputs: tuple[str, ...], threads: int | None = None) -> Any:
    """Loads a file that gives these tensors; default: threads on all cores."""
    import onnx
    import onnxruntime

    model = _read(path)
    stated = {tensor.name: tensor for tensor in model.graph.output}
    del model.graph.output[:]
    model.graph.output.extend(stated.get(name) or onnx.ValueInfoProto(name=name) for name in outputs)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = threads or machine.cores()
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(path.resolve().parent))
    try:
        return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime has a dozen kinds
        raise RequestError(f"{path} cannot be loaded by onnxruntime: {cause(error)}") from None
