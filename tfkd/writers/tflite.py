"""Writes TFLite files: fp32, fp16, dynamic-range, int8 and 16x8, each with metadata and the class labels inside."""

import contextlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import numpy as np
import tensorflow as tf

from tfkd import files
from tfkd.errors import RequestError, cause, nearest
from tfkd.processes import FORKSERVER
from tfkd.quiet import native_logs_silenced
from tfkd.recipe import TflitePrecision
from tfkd.sandbox import Sandbox
from tfkd.signature import Signature
from tfkd.writers import Calibration, Card, ConversionError, ExportedFile, bert_inputs, metadata, quantize, rewrite
from tfkd.writers.flatbuffer import TfliteNetwork
from tfkd.writers.graph import Graph, frozen

_NO_IMAGES = np.zeros((0, 0, 0, 3), np.uint8)


def write_tflite(
    model: Any,
    precision: str,
    path: Path,
    card: Card,
    calibration: np.ndarray = _NO_IMAGES,
    *,
    ranges: str = "min_max",
    float_layers: Sequence[str] = (),
    io: str = "uint8",
) -> None:
    """Writes one TFLite file of a Keras classifier; see `write` for many files of the same one.

    Args:
        model: keras.Model, raw inputs of its signature to logits [None, classes].
        precision: fp32, fp16, dynamic, int8 or 16x8.
        path: of the file.
        card: what is written into the file.
        calibration: raw examples, [n, ...] as golden files hold them; read for int8 and 16x8 only.
        ranges: min_max or mse; see `Calibration`, also for what follows.
        float_layers: operators of an int8 file that stay in float.
        io: uint8 or int8.

    Raises:
        ConversionError: the converter cannot write the model in this precision.
    """
    with frozen(model, card) as graph:
        settings = Calibration(calibration, ranges, tuple(float_layers), io)
        write(graph, ExportedFile(path.name, "tflite", precision), path, card, settings)


def check_convertible(model: Any, card: Card, name: str) -> None:
    """Convert a network to fp32 and forget the file, to learn before a training that this works.

    The converter runs in a separate process, as an unusual network can crash it.

    Args:
        model: keras.Model, raw inputs of its signature to logits [None, classes].
        card: names the classes.
        name: of the network in the recipe, for messages.

    Raises:
        ConversionError: the converter cannot write the model, or crashes.
    """
    with frozen(model, card) as graph, Sandbox(ConversionError, context=FORKSERVER) as sandbox:
        sandbox.call(Path(name), _try, graph.saved_model, name)


def _try(saved_model: Path, name: str) -> None:
    with _conversion(f"{name} cannot be converted to TensorFlow Lite"):
        _convert(saved_model)


def write(graph: Graph, file: ExportedFile, path: Path, card: Card, calibration: Calibration) -> None:
    """Writes one TFLite file with the signature serving_default(image) -> probabilities, batch 1.

    fp32, fp16 and dynamic files take float32 pixels 0..255. int8 and 16x8 files take and give bytes: pixels as they
    are, and probabilities in 1/256. Where the model's first layer is a rescale that a byte's quantization can say, such
    as x/128 - 1, it is that quantization (scale 1/128, zero point 128) and no operator. 16x8 holds int16 activations
    for accuracy; XNNPACK has no such operators, so that it runs slower than fp32.

    Files of texts take int32 ids and the two other inputs of MediaPipe's TextClassifier, which the model does not read.

    Raises:
        ConversionError: the converter cannot write the graph in this precision.
        RequestError: the calibration does not fit the graph.
    """
    if file.precision in ("int8", "16x8"):
        _check_examples(calibration.images, file.precision, graph.signature)
    with _conversion(f"{path.name}: TensorFlow cannot convert the model to {file.precision}"):
        content = _CONTENTS[graph.signature.kind](graph, file.precision, calibration)
    files.write_bytes(path, metadata.pack(content, card, graph.signature))


def write_quantized(saved_model: Path, path: Path, card: Card, signature: Signature, io: str = "uint8") -> None:
    """Writes the int8 file of a network that quantization-aware training has given its ranges.

    Args:
        saved_model: folder of a SavedModel, the signature's pixels as x/128 - 1 to logits [1, classes], with fake
            quantization inside.
        path: of the file.
        card: what is written into the file.
        signature: of the input.
        io: uint8 or int8.

    Raises:
        RequestError: there is no such SavedModel, it has another shape, or its ranges are missing.
    """
    if not (saved_model / "saved_model.pb").is_file():
        raise RequestError(f"There is no SavedModel at {saved_model}; train with quantization first.")
    with _conversion(f"{path.name}: TensorFlow cannot convert the SavedModel at {saved_model}"):
        content = _convert(saved_model, optimize=True)
    network = TfliteNetwork(content)
    shapes = [network.shape(int(end[0])) for end in (network.graph.inputs, network.graph.outputs)]
    expected = [(1, *signature.single.shape), (1, len(card.classes))]
    if shapes != expected:
        raise RequestError(
            f"The SavedModel at {saved_model} maps {shapes[0]} to {shapes[1]}, not {expected[0]} to {expected[1]}; "
            "save a classifier of these inputs and classes."
        )
    if "QUANTIZE" not in {network.kind(operator) for operator in network.graph.operators}:
        raise RequestError(f"The SavedModel at {saved_model} holds no ranges of activations; train it with 'qat'.")
    content = quantize.with_bytes(content, rewrite.NORMALISED, io)
    files.write_bytes(path, metadata.pack(content, card, signature))


def write_score_threshold(path: Path, card: Card, signature: Signature) -> None:
    """Writes the least probability of a label into a finished file; MediaPipe gives no class below it.

    Args:
        path: of a file that `write` or `write_quantized` wrote.
        card: what was written into it, with the score threshold.
        signature: of the input.
    """
    files.write_bytes(path, metadata.repacked(path.read_bytes(), card, signature))


def _of_text(graph: Graph, precision: str, calibration: Calibration) -> bytes:
    match precision:
        case "int8":
            content = quantize.int8_of_texts(_float(graph), calibration)
        case "16x8":
            raise ConversionError("Networks of texts are not written in 16x8; use fp16 or dynamic.")
        case _:
            content = _content(graph, precision, calibration)
    return bert_inputs.with_bert_inputs(content)


def _content(graph: Graph, precision: str, calibration: Calibration) -> bytes:
    match precision:
        case "fp32":
            return _float(graph)
        case "fp16":
            return _convert(graph.saved_model, optimize=True, types=[tf.float16])
        case "dynamic":
            return _dynamic(graph.saved_model)
        case "int8":
            return quantize.int8(_float(graph), calibration)
        case "16x8":
            return quantize.int16(_float(graph), calibration)
        case _:
            known = list(get_args(TflitePrecision))
            raise RequestError(f"There is no TFLite precision {precision!r}.{nearest(precision, known)}")


def _of_table(graph: Graph, precision: str, calibration: Calibration) -> bytes:
    if graph.trees is not None and precision != "fp32":
        raise ConversionError(f"Trees are not written in {precision}, which rounds what they compare with; use fp32.")
    return _content(graph, precision, calibration)


_CONTENTS: Mapping[str, Callable[[Graph, str, Calibration], bytes]] = {
    "image": _content,
    "text": _of_text,
    "table": _of_table,
}
"""By kind of input: makes a file without its metadata."""


def _float(graph: Graph) -> bytes:
    return graph.once("fp32", lambda: _convert(graph.saved_model))


def _dynamic(saved_model: Path) -> bytes:
    network = TfliteNetwork(_convert(saved_model, optimize=True))
    rewrite.with_float_depthwise(network)
    return network.packed()


def _convert(saved_model: Path, optimize: bool = False, types: Sequence[Any] = ()) -> bytes:
    """Runs TensorFlow's converter; `optimize` makes the weights int8 or of the given types."""
    converter = tf.lite.TFLiteConverter.from_saved_model(str(saved_model))
    converter.optimizations = [tf.lite.Optimize.DEFAULT] if optimize else []
    converter.target_spec.supported_types = list(types)
    return converter.convert()


@contextlib.contextmanager
def _conversion(what: str) -> Iterator[None]:
    """Turns whatever a converter raises or logs inside the block into one line that begins with `what`."""
    with native_logs_silenced():
        try:
            yield
        except RequestError:
            raise
        except Exception as error:
            raise ConversionError(f"{what}: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    """Return what the converter's compiler says, without the places in its code where it says it."""
    text = str(error)
    if found := re.search(r"^TF Select ops: (.+)$", text, re.MULTILINE):
        return f"LiteRT has no operator for TensorFlow's {found[1].strip()}"
    if found := re.search(r"^Custom ops: (.+)$", text, re.MULTILINE):
        return f"LiteRT has no operator {found[1].strip()}"
    errors = re.findall(r"error: (?:loc\(.*\): )?(.+)$", text, re.MULTILINE)
    return errors[-1] if errors else cause(error)


def _check_examples(examples: np.ndarray, precision: str, signature: Signature) -> None:
    shape, kind = signature.single.shape, signature.kind
    dtype = "uint8" if kind == "image" else signature.single.dtype
    if examples.dtype != dtype or examples.shape[1:] != shape:
        expected = f"{dtype} [n, {', '.join(map(str, shape))}]"
        raise RequestError(f"{precision} needs calibration {kind}s {expected}, not {examples.dtype} {examples.shape}.")
    if not len(examples):
        raise RequestError(
            f"{precision} needs at least one calibration {kind}; set export.calibration_images to 1 or more."
        )
