"""Writes ONNX files for TensorRT on NVIDIA GPUs and Jetson boards, with an int8 calibration cache beside them.

The extra `onnx` brings the converter. TensorRT itself needs such a GPU: nothing here was run by it.
"""

import re
import struct
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tfkd import files
from tfkd.errors import RequestError, cause
from tfkd.inputs import kind_of
from tfkd.labels import labels_text
from tfkd.quiet import native_logs_silenced
from tfkd.writers import Calibration, Card, ConversionError, ExportedFile
from tfkd.writers.graph import OUTPUT, Graph

OPSET = 17
CALIBRATION_IMAGES = 100  # the largest absolute values hardly grow after that
CACHE = ".calibration"
GUIDE = "TENSORRT.md"

# What TensorRT's own entropy calibrator writes on top; trtexec reads the lines below it for the implicit quantization
# of TensorRT 7 to 10. Version 8.6 is used for all.
_HEADER = "TRT-8600-EntropyCalibration2"
_LEVELS = 127


def write(graph: Graph, file: ExportedFile, path: Path, card: Card, calibration: Calibration) -> None:
    """Writes the input of the signature, float32 `image` [1, S, S, 3] for instance, to `probabilities`, opset 17.

    Labels and the card's texts are in the file's metadata. Beside it: the lines that build TensorRT's engines and, of a
    model with a float input, the calibration cache, made from the examples of `calibration`.

    Raises:
        RequestError: the extra is missing.
        ConversionError: the graph has an operator that ONNX or its runtime does not know.
    """
    model = _converted(graph, path)
    _describe(model, card)
    files.write_bytes(path, model.SerializeToString(deterministic=True))
    calibrated = len(calibration.images) > 0 and graph.signature.single.dtype == "float32" and graph.trees is None
    if calibrated:
        scales = _scales(model, calibration.images[:CALIBRATION_IMAGES])
        files.write_text(path.with_suffix(CACHE), cache_text(scales))
    files.write_text(path.with_name(GUIDE), _guide(path, graph, calibrated))


def cache_text(scales: dict[str, float]) -> str:
    """Returns a calibration cache: a tensor a line with its scale, |largest| / 127, as the hex of a float32."""
    lines = [f"{name}: {struct.pack('>f', scale).hex()}\n" for name, scale in scales.items()]
    return "".join([f"{_HEADER}\n", *lines])


def _converted(graph: Graph, path: Path) -> Any:
    try:
        with native_logs_silenced():
            import onnx
            import onnxruntime
            import tf2onnx
    except ImportError as error:
        raise RequestError(f'ONNX files need the extra "onnx" ({error}): pip install "tfkd[onnx]".') from None
    image = graph.signature.single.name
    ends = [tensor.name for tensor in (*graph.function.inputs, *graph.function.outputs)]
    with native_logs_silenced():
        try:
            model, _ = tf2onnx.convert.from_graph_def(
                graph.function.graph.as_graph_def(),
                input_names=ends[:1],
                output_names=ends[1:],
                opset=OPSET,
                custom_op_handlers={"Erfc": (_erfc, [])},
                tensors_to_rename=dict(zip(ends, (image, OUTPUT), strict=True)),
            )
            _renumber(model.graph, (image, OUTPUT))
            onnx.checker.check_model(model)
            onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        except Exception as error:
            raise ConversionError(f"{path.name}: the model cannot be converted to ONNX: {cause(error)}") from error
    return model


def _erfc(graph: Any, node: Any, name: str, arguments: list[Any]) -> None:
    """Writes 1 - erf(x), as ONNX has no erfc; TensorFlow computes exact GELU with it."""
    one = graph.make_const(f"{name}_one", np.array(1, np.float32))
    erf = graph.make_node("Erf", [node.input[0]])
    node.type = "Sub"
    graph.replace_inputs(node, [one.output[0], erf.output[0]])


def _renumber(graph: Any, io_names: tuple[str, ...]) -> None:
    """Numbers the converter's own names from 0 in this graph; it counts on from one model to the next.

    Constants are called by the order of their use: of equal ones the converter keeps any.
    """
    counts: Counter[str] = Counter()
    names = {name: name for name in (*io_names, "")}
    constants = {tensor.name for tensor in graph.initializer}

    def named(name: str) -> str:
        if name not in names:
            plain = "constant" if name in constants else re.sub(r"__\d+", "", name)
            names[name] = f"{plain}__{counts[plain]}"
            counts[plain] += 1
        return names[name]

    for node in graph.node:
        node.input[:] = map(named, node.input)
        node.output[:] = map(named, node.output)
        node.name = named(node.name)
    for tensor in (*graph.initializer, *graph.value_info):
        tensor.name = named(tensor.name)
    used = list(names.values())
    graph.initializer.sort(key=lambda tensor: used.index(tensor.name))


def _describe(model: Any, card: Card) -> None:
    model.producer_name, model.producer_version, model.doc_string = "tfkd", "", card.description
    model.graph.name = card.name
    texts = {
        "name": card.name,
        "author": card.author,
        "license": card.license,
        "version": card.version,
        "labels": labels_text(card.classes),
        **card.origin,
    }
    del model.metadata_props[:]
    for key, value in texts.items():
        model.metadata_props.add(key=key, value=value)


def _scales(model: Any, images: np.ndarray) -> dict[str, float]:
    """Returns the int8 scale of the input and of every float tensor that is computed, in the order of the graph."""
    import onnx
    import onnxruntime

    inferred = onnx.shape_inference.infer_shapes(model)
    known = {value.name: value.type.tensor_type.elem_type for value in inferred.graph.value_info}
    computed = [name for node in model.graph.node for name in node.output if known.get(name) == onnx.TensorProto.FLOAT]
    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    for name in computed:
        watched.graph.output.add(name=name).type.tensor_type.elem_type = onnx.TensorProto.FLOAT
    options = onnxruntime.SessionOptions()
    # Tensors that the runtime fuses away have scales too.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(watched.SerializeToString(), options, providers=["CPUExecutionProvider"])
    names = [model.graph.input[0].name, *computed, OUTPUT]
    largest = np.max(list(_largest(session, names, images)), axis=0)
    return {name: float(value) / _LEVELS if value else 1.0 for name, value in zip(names, largest, strict=True)}


def _largest(session: Any, names: list[str], images: np.ndarray) -> Iterator[list[float]]:
    for image in images:
        batch = image[np.newaxis].astype(np.float32)
        outputs = session.run(names[1:], {names[0]: batch})
        yield [float(np.abs(values).max(initial=0)) for values in (batch, *outputs)]


def _guide(path: Path, graph: Graph, calibrated: bool) -> str:
    name, tensor = path.stem, graph.signature.single
    described = kind_of(graph.signature.kind).describe(graph.signature)
    lines = [
        f"# {path.name} with TensorRT",
        "",
        f"Input `{tensor.name}`: {tensor.dtype} {[1, *tensor.shape]}. {described.tflite} "
        f"Output `{OUTPUT}`: float32 [1, {graph.classes}].",
        "",
        "    trtexec " + f"--onnx={path.name} --fp16 --saveEngine={name}_fp16.engine",
    ]
    if calibrated:
        lines += [
            f"    trtexec --onnx={path.name} --int8 --fp16 --calib={name}{CACHE} --saveEngine={name}_int8.engine",
            "",
            f"`{name}{CACHE}` holds a scale for every tensor: its largest absolute value on real images, over 127. "
            "TensorRT 7 to 10 read such a cache; later versions quantize otherwise.",
        ]
    lines += ["", "The .onnx file was run by onnxruntime and compared with Keras. Nothing was run on a GPU."]
    return "\n".join(lines) + "\n"
