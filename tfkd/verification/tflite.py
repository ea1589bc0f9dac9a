"""Loads and runs .tflite files with LiteRT, the runtime that phones use."""

import contextlib
import re
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from tfkd import machine
from tfkd.errors import cause, enumerated
from tfkd.inputs.table.tensors import COLUMNS, columns_text, parse_columns
from tfkd.inputs.text import vocabulary
from tfkd.inputs.text.vocabulary import VOCABULARY, Vocabulary
from tfkd.labels import LABELS, THRESHOLDS, thresholds_text
from tfkd.models.file_kind import described
from tfkd.quiet import native_logs_silenced
from tfkd.signature import Column, Range, Signature
from tfkd.verification import VerifyError, metadata, runtime_errors
from tfkd.verification.look_up import look_up
from tfkd.verification.probabilities import must_be_finite
from tfkd.verification.records import Delegation, InputOutput, Tensor
from tfkd.writers import Card
from tfkd.writers.bert_inputs import BERT_INPUTS
from tfkd.writers.metadata import packed_texts

_PROBABILITIES = (0.0, 1.0)
_OWN_KERNELS = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
_MIN_RUNTIME = "min_runtime_version"
_VERSION = re.compile(rb"[0-9]{1,4}(\.[0-9]{1,4}){1,3}")
_OPERATORS = {number: name for name, number in vars(schema.BuiltinOperator).items() if isinstance(number, int)}
_INTEGERS = frozenset((schema.TensorType.INT4, schema.TensorType.INT8, schema.TensorType.UINT8))
_LARGEST_LABELS = 1 << 24  # bytes; an archive may claim to unpack to anything


def check(path: Path, card: Card, signature: Signature) -> InputOutput:
    """Checks the texts and the metadata that are packed into a classifier, and what goes in and out of it.

    Args:
        path: of a .tflite file.
        card: the expected classes and description.
        signature: what it must take.

    Raises:
        VerifyError: it cannot be loaded, or it is not what the card says.
    """
    packed = _packed(path, list(packed_texts(card, signature)))
    if tuple(packed[LABELS].splitlines()) != card.classes:
        raise VerifyError(f"{path}: the class names packed into it are not those of the student, in order.")
    if packed.get(THRESHOLDS, "") != thresholds_text(card.thresholds):
        raise VerifyError(f"{path}: the thresholds packed into it are not those of the bundle.")
    if packed.get(VOCABULARY, "") != Vocabulary(signature.pieces).text:
        raise VerifyError(f"{path}: the vocabulary packed into it is not that of the student.")
    if signature.columns and packed[COLUMNS] != columns_text(signature.columns):
        raise VerifyError(f"{path}: the columns packed into it are not those of the student.")
    wrong = metadata.problems(model(path), card, signature)
    if wrong:
        raise VerifyError(f"{path}: {'; '.join(wrong)}.")
    tensor = signature.single
    found = io(path, tensor.range)
    shapes, expected = (found.input.shape, found.output.shape), ([1, *tensor.shape], [1, len(card.classes)])
    if shapes != expected:
        raise VerifyError(f"{path}: takes and gives {shapes}, not {expected}.")
    return found


def io(path: Path, raw: Range | None = None) -> InputOutput:
    """Returns the input and output of a file's signature; ranges are of dequantized values.

    Of the three inputs of a text it is the ids; MediaPipe derives the others from the same text.

    Args:
        path: of a .tflite file.
        raw: the range of a float input; None where nothing is known of it.

    Raises:
        VerifyError: the file cannot be loaded, or has other inputs or outputs.
    """
    interpreter = load(path)
    return InputOutput(
        input=_tensor(_input_name(interpreter), interpreter.get_input_details()[0], raw),
        output=_tensor(_output_name(interpreter), interpreter.get_output_details()[0], _PROBABILITIES),
    )


def delegation(path: Path) -> Delegation:
    """Returns into how many parts XNNPACK cuts the graph and which operators it leaves to the slow path.

    Raises:
        VerifyError: the file cannot be loaded.
    """
    found = partitions(path)
    inside = set().union(*found.parts)
    outside = {
        operator["index"]: operator["op_name"] for operator in found.operators if operator["index"] not in inside
    }
    return Delegation(
        partitions=len(found.parts),
        operators=len(found.operators),
        outside=list(outside.values()),
        look_up=[outside[number] for number in found.look_up if number in outside],
    )


@dataclass(frozen=True)
class Partitions:
    """How XNNPACK cuts a graph.

    Attributes:
        operators: LiteRT's description of those of the file.
        parts: numbers of the operators in each part that XNNPACK runs.
        look_up: numbers of the operators that look up the word vectors of a text.
    """

    operators: list[dict[str, Any]]
    parts: list[set[int]]
    look_up: list[int]


def partitions(path: Path) -> Partitions:
    """Returns how XNNPACK cuts the graph of a file.

    LiteRT lists the operators of the file and, behind them, one DELEGATE for each part that a delegate took over.

    Raises:
        VerifyError: the file cannot be loaded.
    """
    interpreter = load(path)
    operators = interpreter._get_ops_details()
    own = [operator for operator in operators if operator["op_name"] != "DELEGATE"]
    parts = [_members(part, own) for part in operators if part["op_name"] == "DELEGATE"]
    return Partitions(own, parts, look_up(own, interpreter.get_input_details()[0]["index"]))


def labels(path: Path) -> tuple[str, ...]:
    """Returns the class names that are packed into a file, in the order of its output.

    Raises:
        VerifyError: the file has no labels.txt or more than that, or its archive is damaged.
    """
    return tuple(_packed(path, [LABELS])[LABELS].splitlines())


def pieces(path: Path) -> tuple[str, ...]:
    """Returns the vocabulary that is packed into a file of texts.

    Raises:
        VerifyError: the file has none, or its archive is damaged.
        RequestError: phones would not read the vocabulary.
    """
    with _archive(path, [VOCABULARY]) as archive:
        text = _text_in(archive, VOCABULARY)
    return vocabulary.parse(text.encode(), f"{path}: its {VOCABULARY}").pieces


def columns(path: Path) -> tuple[Column, ...]:
    """Returns the columns that are packed into a file of tables.

    Raises:
        VerifyError: the file has none, or its archive is damaged.
        RequestError: they are no list of columns.
    """
    with _archive(path, [COLUMNS]) as archive:
        text = _text_in(archive, COLUMNS)
    return parse_columns(text.encode(), f"{path}: its {COLUMNS}")


def _packed(path: Path, names: list[str]) -> dict[str, str]:
    """Returns the texts that are packed into a file, by name.

    Raises:
        VerifyError: the file packs other names, or its archive is damaged.
    """
    with _archive(path, names) as archive:
        if archive.namelist() != names:
            expected = enumerated(names) if names[1:] else f"{names[0]} alone"
            raise VerifyError(f"{path}: packs {_named(archive.namelist())}, not {expected}; export it again.")
        return {name: _text_in(archive, name) for name in names}


@contextlib.contextmanager
def _archive(path: Path, names: list[str]) -> Iterator[zipfile.ZipFile]:
    """Opens the archive in a file; what cannot be read inside the block is a VerifyError that names these texts."""
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except (OSError, KeyError, ValueError, RuntimeError, zipfile.BadZipFile, zlib.error):
        raise VerifyError(f"{path}: holds no readable {enumerated(names)}; export it again.") from None


def _text_in(archive: zipfile.ZipFile, name: str) -> str:
    with archive.open(name) as stream:
        return stream.read(_LARGEST_LABELS).decode()


def _named(names: list[str]) -> str:
    return repr(names[:3])[1:-1][:200] or "nothing"


def min_runtime(path: Path) -> str | None:
    """Returns the oldest TensorFlow Lite that has every operator version of a file, as its converter states it.

    Raises:
        VerifyError: the file cannot be read, or it is none of this format.
    """
    return _stated_runtime(model(path))


def _stated_runtime(graph: Any) -> str | None:
    for entry in graph.metadata or []:
        if _text(entry.name) == _MIN_RUNTIME and 0 <= entry.buffer < len(graph.buffers):
            data = graph.buffers[entry.buffer].data
            stated = b"" if data is None else bytes(data).rstrip(b"\0")
            return f"TensorFlow Lite {stated.decode()}" if _VERSION.fullmatch(stated) else None
    return None


def precision(path: Path) -> str:
    """Returns what a file is by the types of its tensors: fp32, fp16, dynamic, int8 or 16x8.

    Raises:
        VerifyError: the file cannot be read, or it is none of this format.
    """
    graph = model(path)
    weights: set[int] = set()
    activations: set[int] = set()
    for part in graph.subgraphs:
        rows = _rows_of_tables(graph, part)
        for number, tensor in enumerate(part.tensors):
            data = graph.buffers[tensor.buffer].data
            stored = number in rows or (data is not None and len(data))
            (weights if stored else activations).add(tensor.type)
    if schema.TensorType.INT16 in activations:
        return "16x8"
    if activations & _INTEGERS:
        return "int8"
    if weights & _INTEGERS:
        return "dynamic"
    return "fp16" if schema.TensorType.FLOAT16 in weights else "fp32"


def _rows_of_tables(graph: Any, part: Any) -> set[int]:
    """Returns the tensors that are looked up; in a dynamic file they are of the table's type, as weights are."""
    kinds = [max(code.builtinCode, code.deprecatedBuiltinCode) for code in graph.operatorCodes or []]
    gathers = {number for number, kind in enumerate(kinds) if kind == schema.BuiltinOperator.GATHER}
    operators = [operator for operator in part.operators or [] if operator.opcodeIndex in gathers]
    return {int(output) for operator in operators if operator.outputs is not None for output in operator.outputs}


def operator_versions(path: Path) -> dict[str, int]:
    """Returns the newest version that a file uses of each operator.

    Raises:
        VerifyError: the file cannot be read, or it is none of this format.
    """
    found: dict[str, int] = {}
    for code in model(path).operatorCodes or []:
        kind = max(code.builtinCode, code.deprecatedBuiltinCode)  # the older field holds numbers below 127 alone
        name = _OPERATORS.get(kind, str(kind)) if kind != schema.BuiltinOperator.CUSTOM else _text(code.customCode)
        found[name] = max(found.get(name, 0), code.version)
    return dict(sorted(found.items()))


def predict(path: Path, batches: Iterable[Any], own_kernels: bool = False) -> np.ndarray:
    """Runs a file on raw inputs, several at a time on single-threaded interpreters.

    Args:
        path: of a .tflite file with batch 1.
        batches: raw [b, ...], anything that NumPy can read; read once, in order.
        own_kernels: with LiteRT's own kernels in place of XNNPACK's.

    Returns:
        float32 [n, classes] probabilities; quantized ones are dequantized with the file's own scale and zero point.

    Raises:
        VerifyError: the file cannot be loaded or run, or its predictions are not numbers.
    """
    workers = machine.cores()
    options = {"experimental_op_resolver_type": _OWN_KERNELS} if own_kernels else {}
    runners = [_Runner(load(path, **options), path) for _ in range(workers)]
    with ThreadPoolExecutor(workers) as pool:
        results = list(_run(runners, pool, batches))
    probabilities = np.concatenate(results) if results else np.zeros((0, runners[0].classes), np.float32)
    must_be_finite(probabilities, path, lambda: precision(path) == "fp16")
    return probabilities


class _Runner:
    """One interpreter with its own buffers: used by one thread at a time."""

    def __init__(self, interpreter: Any, path: Path) -> None:
        self._interpreter = interpreter
        self._input = interpreter.get_input_details()[0]
        self._output = interpreter.get_output_details()[0]
        self._path = path
        self.classes = int(self._output["shape"][-1])

    def __call__(self, examples: np.ndarray) -> np.ndarray:
        rows = [self._one(example) for example in examples]
        return np.stack(rows) if rows else np.zeros((0, self.classes), np.float32)

    def _one(self, raw: np.ndarray) -> np.ndarray:
        try:
            self._interpreter.set_tensor(self._input["index"], as_taken(raw, self._input["dtype"])[np.newaxis])
            self._interpreter.invoke()
        except (ValueError, RuntimeError) as error:
            raise VerifyError(f"{self._path}: cannot be run on an input {raw.shape}: {cause(error)}") from None
        return _dequantized(self._interpreter.get_tensor(self._output["index"])[0], self._output)


def _run(runners: list[_Runner], pool: ThreadPoolExecutor, batches: Iterable[Any]) -> Iterator[np.ndarray]:
    for batch in batches:
        parts = np.array_split(np.asarray(batch), len(runners))
        yield np.concatenate(list(pool.map(lambda runner, part: runner(part), runners, parts)))


def as_taken(raw: np.ndarray, dtype: Any) -> np.ndarray:
    """Returns raw values as a file's input takes them: bytes from 0 to 255 are rounded, and int8 holds 128 less."""
    if dtype in (np.float32, np.int32):
        return raw.astype(dtype, copy=False)
    rounded = np.clip(np.rint(raw.astype(np.float32)), 0, 255)
    return (rounded - 128).astype(np.int8) if dtype == np.int8 else rounded.astype(dtype)


def _dequantized(values: np.ndarray, details: dict[str, Any]) -> np.ndarray:
    scale, zero_point = details["quantization"]
    floats = values.astype(np.float32)
    return (floats - zero_point) * np.float32(scale) if scale else floats


def load(path: Path, **options: Any) -> Any:
    """Loads a file into LiteRT, after a walk over its whole structure: LiteRT itself trusts the offsets in a file.

    Args:
        path: of the file.
        options: more arguments of LiteRT's Interpreter.

    Raises:
        VerifyError: the file cannot be read or loaded, or has neither one input nor those of a text, or not one output.
    """
    content = _content(path)
    graph = _walk(path, content)
    try:
        with native_logs_silenced():
            interpreter = Interpreter(model_content=content, num_threads=1, **options)
            interpreter.allocate_tensors()
    except Exception as error:
        raise VerifyError(f"{path}: {runtime_errors.reason(error, _stated_runtime(graph))}.") from error
    if not _has_known_inputs(interpreter) or len(interpreter.get_output_details()) != 1:
        raise VerifyError(f"{path}: has not one input and one output; export it again.")
    return interpreter


def _has_known_inputs(interpreter: Any) -> bool:
    """Returns whether there is one input, or the three of a text in MediaPipe's order."""
    inputs = interpreter.get_input_details()
    if len(inputs) == 1:
        return True
    forms = {(each["dtype"], tuple(each["shape"])) for each in inputs}
    return tuple(each["name"] for each in inputs) == BERT_INPUTS and len(forms) == 1 and forms.pop()[0] == np.int32


def model(path: Path) -> Any:
    """Returns a file's whole structure, a ModelT of the schema.

    Raises:
        VerifyError: the file cannot be read, or it is none of this format.
    """
    return _walk(path, _content(path))


def _content(path: Path) -> bytes:
    if path.is_dir():
        raise VerifyError(f"{path}: is no .tflite file but {described(path)}.")
    try:
        return path.read_bytes()
    except OSError as error:
        raise VerifyError(f"{path}: cannot be read: {error.strerror}.") from None


def _walk(path: Path, content: bytes) -> Any:
    if content[4:8] != b"TFL3":
        raise VerifyError(f"{path}: is no .tflite file but {described(path)}.")
    try:
        return schema.ModelT.InitFromPackedBuf(content)
    except Exception as error:
        raise VerifyError(f"{path}: is a damaged .tflite file ({cause(error)}); copy or export it again.") from error


def _text(value: bytes | str | None) -> str:
    return value if isinstance(value, str) else (value or b"").decode(errors="replace")


def _members(part: dict[str, Any], own: list[dict[str, Any]]) -> set[int]:
    """Returns the operators between a part's inputs and its outputs: those it took over."""
    makers = {tensor: operator for operator in own for tensor in operator["outputs"]}
    found: set[int] = set()
    known = set(part["inputs"])
    waiting = list(part["outputs"])
    while waiting:
        tensor = waiting.pop()
        if tensor in known or tensor not in makers:
            continue
        known.add(tensor)
        found.add(makers[tensor]["index"])
        waiting.extend(makers[tensor]["inputs"])
    return found


def _tensor(name: str, details: dict[str, Any], values: Range | None) -> Tensor:
    scale, zero_point = details["quantization"]
    if scale:
        limits = np.iinfo(details["dtype"])
        values = (limits.min - zero_point) * float(scale), (limits.max - zero_point) * float(scale)
    return Tensor(
        name=name,
        shape=details["shape"].tolist(),
        dtype=np.dtype(details["dtype"]).name,
        scale=float(scale) if scale else None,
        zero_point=int(zero_point) if scale else None,
        range=None if values is None else [*values],
    )


def _signature(interpreter: Any) -> dict[str, list[str]]:
    return interpreter.get_signature_list().get("serving_default", {"inputs": [], "outputs": []})


def _input_name(interpreter: Any) -> str:
    return next(iter(_signature(interpreter)["inputs"]), interpreter.get_input_details()[0]["name"])


def _output_name(interpreter: Any) -> str:
    return next(iter(_signature(interpreter)["outputs"]), interpreter.get_output_details()[0]["name"])
