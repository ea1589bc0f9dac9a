"""Looks into a .tflite file: its operators, where they run, and how much noise quantization adds to each layer."""

import math
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import OpResolverType

from tfkd.data import open_evaluation
from tfkd.errors import RequestError
from tfkd.export import bundle, samples
from tfkd.progress import Progress, counted
from tfkd.recipe import Data
from tfkd.verify import VerifyError, operators, tflite
from tfkd.verify.delegates import DelegateReport, reports
from tfkd.verify.operators import Operand, Operator

FLOAT = "fp32"
_CONVERSIONS = ("QUANTIZE", "DEQUANTIZE")
_SMALLEST_POWER = 1e-30


@dataclass(frozen=True)
class Row:
    """One operator of the file.

    Attributes:
        number: its place in the file, from 0.
        kind: CONV_2D, MUL …
        name: of its output; `export.float_layers` takes it.
        shape: of its output.
        dtype: of its output.
        stored: bytes of its weights.
        multiply_adds: of convolutions and dense layers, for one image.
        part: which of XNNPACK's parts runs it, from 0; None outside.
    """

    number: int
    kind: str
    name: str
    shape: tuple[int, ...]
    dtype: str
    stored: int
    multiply_adds: int
    part: int | None


@dataclass(frozen=True)
class Noise:
    """How far one operator's values are from the float file's.

    Attributes:
        number: of the operator in the file.
        kind: of the operator.
        name: of its output.
        against: number of the operator in the float file that it was compared with.
        signal_to_noise: 10 log10(sum of signal² / sum of noise²) over all images, dB; None where there is no noise.
    """

    number: int
    kind: str
    name: str
    against: int
    signal_to_noise: float | None


@dataclass(frozen=True)
class Comparison:
    """The noise of a file's operators against the float file, in the order in which they run.

    Attributes:
        against: path of the float file.
        images: how many images were run.
        layers: the operators that both files have.
        unmatched: numbers of the file's operators that the float file lacks, conversions of numbers left out.
    """

    against: str
    images: int
    layers: tuple[Noise, ...]
    unmatched: tuple[int, ...]

    @property
    def worst(self) -> list[Noise]:
        """The layers from the noisiest on."""
        return sorted(self.layers, key=lambda layer: math.inf if (db := layer.signal_to_noise) is None else db)


@dataclass(frozen=True)
class Inspection:
    """What stands in a file.

    Attributes:
        path: of the file.
        bytes: of the file.
        compressed: of the file once it is deflated, as in an app's package.
        stored: bytes of all weights.
        computed: bytes of all values that the operators compute for one image, were all of them kept.
        multiply_adds: for one image.
        operators: in the order in which they run.
        partitions: parts that XNNPACK runs; 1 means that the graph is not cut into pieces.
        delegates: what other accelerators would take, by published rules.
        comparison: the noise of quantization; None where no images were given.
    """

    path: str
    bytes: int
    compressed: int
    stored: int
    computed: int
    multiply_adds: int
    operators: tuple[Row, ...]
    partitions: int
    delegates: tuple[DelegateReport, ...]
    comparison: Comparison | None

    @property
    def outside(self) -> list[Row]:
        """The operators that XNNPACK leaves to LiteRT's own kernels."""
        return [row for row in self.operators if row.part is None]


def inspect(path: Path, against: Path | None = None, images: np.ndarray | None = None) -> Inspection:
    """Reads a file, and runs it beside its float file where images are given.

    Args:
        path: of a .tflite file.
        against: the float file of the same network; None takes the `_fp32.tflite` beside it.
        images: uint8 [n, S, S, 3] raw RGB at the file's input size.

    Raises:
        RequestError: a file cannot be read, the two are of different networks, or there is no float file.
    """
    try:
        return _inspect(path, against, images)
    except VerifyError as error:
        raise RequestError(str(error)) from None


def photos(path: Path, source: str, count: int, seed: int, progress: Progress | None = None) -> np.ndarray:
    """Picks photos to compare on, as many of each class as possible.

    They come from the validation split; without one from the test split, without either from all images.

    Args:
        path: of the .tflite file, which says the size.
        source: as in a recipe: folder:PATH, files:LIST.csv, tfds:NAME or embedded:NAME.
        count: how many photos.
        seed: draws the photos.
        progress: shows how many photos of the source have been checked; None shows nothing.

    Returns:
        uint8 [count, S, S, 3] raw RGB.

    Raises:
        RequestError: the file or the source cannot be read.
    """
    try:
        size = tflite.io(path).input.shape[1]
    except VerifyError as error:
        raise RequestError(str(error)) from None
    with progress.task("checking photos", None, "photos") if progress else nullcontext(_ignored) as advance:
        found = open_evaluation(Data(source=source), seed, counted(advance))
    images, _ = samples.photos(found.validation if len(found.validation) else found.test, size, count, seed)
    return images


def _ignored(_: int) -> None: ...


def _inspect(path: Path, against: Path | None, images: np.ndarray | None) -> Inspection:
    found = operators.read(path)
    _, parts = tflite.partitions(path)
    part_of = {number: part for part, numbers in enumerate(parts) for number in numbers}
    return Inspection(
        path=str(path),
        bytes=path.stat().st_size,
        compressed=bundle.compressed_size(path),
        stored=sum({operand.index: operand.stored for each in found for operand in each.inputs}.values()),
        computed=sum(_bytes(made) for each in found if not each.prepares_constants for made in each.outputs),
        multiply_adds=sum(operator.multiply_adds for operator in found),
        operators=tuple(_row(operator, part_of.get(operator.number)) for operator in found),
        partitions=len(parts),
        delegates=reports(found),
        comparison=None if images is None else compare(path, against or sibling(path), images),
    )


def sibling(path: Path) -> Path:
    """Returns the float file that a bundle holds beside a quantized one: a_int8.tflite -> a_fp32.tflite.

    Raises:
        RequestError: there is none.
    """
    float_file = path.with_name(f"{path.stem.rpartition('_')[0] or path.stem}_{FLOAT}.tflite")
    if path == float_file or not float_file.is_file():
        raise RequestError(f"{path}: there is no {float_file.name} to compare it with; name the float file: --against.")
    return float_file


def compare(path: Path, against: Path, images: np.ndarray) -> Comparison:
    """Runs a quantized file and its float file on images, without a delegate, and compares what each operator gives.

    Operators are matched by the names of their outputs; those that a rewriting has renamed by kind, shape and order.

    Args:
        path: of the quantized file.
        against: of the float file.
        images: uint8 [n, S, S, 3] raw RGB at the files' input size.

    Raises:
        RequestError: there are no images, or the files are of different networks.
        VerifyError: a file cannot be loaded or run.
    """
    if not len(images):
        raise RequestError("There are no images to compare the files on; give a source with photos.")
    ours, theirs = (_layers(operators.read(file)) for file in (path, against))
    pairs = _matched(ours, theirs)
    _require_same_network(path, against, pairs, min(len(ours), len(theirs)))
    signal, noise = np.zeros(len(pairs)), np.zeros(len(pairs))
    run, run_float = _Kept(path), _Kept(against)
    for image in images:
        run(image)
        run_float(image)
        for index, (mine, reference) in enumerate(pairs):
            expected = run_float.values(reference.outputs[0])
            signal[index] += np.square(expected).sum()
            noise[index] += np.square(run.values(mine.outputs[0]) - expected).sum()
    if not np.isfinite(signal + noise).all():
        raise VerifyError(f"{path}: some values of its layers are not finite numbers; the file is unusable.")
    matched = {mine.number for mine, _ in pairs}
    return Comparison(
        against=str(against),
        images=len(images),
        layers=tuple(
            Noise(mine.number, mine.kind, mine.name, reference.number, _decibels(signal[index], noise[index]))
            for index, (mine, reference) in enumerate(pairs)
        ),
        unmatched=tuple(operator.number for operator in ours if operator.number not in matched),
    )


class _Kept:
    """A file in LiteRT that keeps the values of every tensor; without a delegate, which would keep them to itself."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._interpreter = tflite.load(
            path,
            experimental_preserve_all_tensors=True,
            experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        )
        self._input = self._interpreter.get_input_details()[0]

    def __call__(self, image: np.ndarray) -> None:
        try:
            self._interpreter.set_tensor(self._input["index"], tflite.as_taken(image, self._input["dtype"])[np.newaxis])
            self._interpreter.invoke()
        except (ValueError, RuntimeError):
            needed = self._input["shape"].tolist()
            raise VerifyError(f"{self._path}: takes {needed} and cannot be run on an image {image.shape}.") from None

    def values(self, operand: Operand) -> np.ndarray:
        """Returns what a tensor holds, dequantized, as float64 of its own shape."""
        values = self._interpreter.get_tensor(operand.index).astype(np.float64)
        return values if operand.scale is None else (values - (operand.zero_point or 0)) * operand.scale


def _layers(found: Sequence[Operator]) -> list[Operator]:
    """Returns the operators that compute something: neither prepare weights nor convert between types."""
    return [each for each in found if each.kind not in _CONVERSIONS and not each.prepares_constants]


def _matched(ours: Sequence[Operator], theirs: Sequence[Operator]) -> list[tuple[Operator, Operator]]:
    """Pairs the operators of two files of one network, in order: by name where both have it, else by kind and shape."""
    named = {_identity(operator) for operator in ours} & {_identity(operator) for operator in theirs}

    def token(operator: Operator) -> Any:
        identity = _identity(operator)
        activation = operator.options.get("fusedActivationFunction", 0)
        return identity if identity in named else (operator.kind, operator.outputs[0].shape, activation)

    places = _common([token(operator) for operator in ours], [token(operator) for operator in theirs])
    return [(ours[mine], theirs[reference]) for mine, reference in places]


def _identity(operator: Operator) -> tuple[frozenset[str], tuple[int, ...]]:
    """Names what an operator computes; a fused operator's names stand in the file in no fixed order."""
    return frozenset(operator.outputs[0].name.split(";")), operator.outputs[0].shape


def _common(left: Sequence[Any], right: Sequence[Any]) -> Iterator[tuple[int, int]]:
    """Yields the places of the longest common subsequence (Wagner, Fischer 1974)."""
    lengths = np.zeros((len(left) + 1, len(right) + 1), np.int64)
    for i in reversed(range(len(left))):
        for j in reversed(range(len(right))):
            equal = left[i] == right[j]
            lengths[i, j] = lengths[i + 1, j + 1] + 1 if equal else max(lengths[i + 1, j], lengths[i, j + 1])
    i = j = 0
    while i < len(left) and j < len(right):
        if left[i] == right[j]:
            yield i, j
            i, j = i + 1, j + 1
        elif lengths[i + 1, j] >= lengths[i, j + 1]:
            i += 1
        else:
            j += 1


def _require_same_network(path: Path, against: Path, pairs: Sequence[Any], layers: int) -> None:
    sizes = [(described.input.shape, described.output.shape) for described in (tflite.io(path), tflite.io(against))]
    if sizes[0] != sizes[1]:
        raise RequestError(f"{path} maps {sizes[0]} and {against} {sizes[1]}: they are different networks.")
    if 2 * len(pairs) < layers:
        raise RequestError(
            f"{path} and {against} share {len(pairs)} of {layers} operators: they are different networks; "
            "give the float file of the same export."
        )


def _decibels(signal: float, noise: float) -> float | None:
    return None if noise == 0 else 10 * math.log10(max(signal, _SMALLEST_POWER) / noise)


def _row(operator: Operator, part: int | None) -> Row:
    made = operator.outputs[0]
    return Row(
        number=operator.number,
        kind=operator.kind,
        name=operator.name,
        shape=made.shape,
        dtype=made.dtype,
        stored=sum(operand.stored for operand in operator.inputs),
        multiply_adds=operator.multiply_adds,
        part=part,
    )


def _bytes(operand: Operand) -> int:
    try:
        return operand.size * np.dtype(operand.dtype).itemsize
    except TypeError:
        return operand.size  # types that NumPy lacks, such as int4, take a byte at most once unpacked
