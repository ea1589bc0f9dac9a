"""How much noise quantization adds to each layer: a quantized file beside its float file, on the same examples."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import OpResolverType

from tfkd.errors import RequestError, cause
from tfkd.inputs.image.normalization import ImageNormalization
from tfkd.verification import VerifyError, feeding, operators, tflite
from tfkd.verification.feeding import Feed
from tfkd.verification.operators import Operand, Operator

_CONVERSIONS = ("QUANTIZE", "DEQUANTIZE")
_SMALLEST_POWER = 1e-30
_FIRST_LAYERS = 3  # of which at least one must be that of the float file, by its values
_UNRELATED = 3.0  # dB; the noise of eight bits is far less there, even of a bad quantization


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
class NoiseComparison:
    """The noise of a file's operators against the float file, in the order in which they run.

    Attributes:
        against: path of the float file.
        images: how many images were run.
        pixels: what the file was fed with, and who says so.
        pixels_against: the same of the float file.
        layers: the operators that both files have.
        unmatched: numbers of the file's operators that the float file lacks, conversions of numbers left out.
    """

    against: str
    images: int
    pixels: str
    pixels_against: str
    layers: tuple[Noise, ...]
    unmatched: tuple[int, ...]

    @property
    def worst(self) -> list[Noise]:
        """The layers from the noisiest on."""
        return sorted(self.layers, key=lambda layer: math.inf if (db := layer.signal_to_noise) is None else db)


def compare(
    path: Path, against: Path, examples: np.ndarray, normalization: ImageNormalization | None = None
) -> NoiseComparison:
    """Runs a quantized file and its float file on examples, without a delegate, and compares what each operator gives.

    Operators are matched by the names of their outputs; those that a rewriting has renamed by kind, shape and order.

    Args:
        path: of the quantized file.
        against: of the float file.
        examples: raw [n, ...], as the files' inputs are.
        normalization: what the network wants done to raw values, for files that do not say it (see `feeding.feeds`).

    Raises:
        RequestError: there are no examples, nothing says what a file wants done to raw values, or the files compute
            other values from their first layers on, as files of different networks and wrong inputs do.
        VerifyError: a file cannot be loaded or run.
    """
    if not len(examples):
        raise RequestError("There are no examples to compare the files on; give a source that holds some.")
    ours, theirs = (_layers(operators.read(file)) for file in (path, against))
    pairs = _matched(ours, theirs)
    _require_same_network(path, against, pairs, min(len(ours), len(theirs)))
    signal, noise = np.zeros(len(pairs)), np.zeros(len(pairs))
    feed, feed_float = feeding.feeds(path, against, normalization)
    run, run_float = _Kept(path, feed), _Kept(against, feed_float)
    for raw in examples:
        run(raw)
        run_float(raw)
        for index, (mine, reference) in enumerate(pairs):
            expected = run_float.values(reference.outputs[0])
            signal[index] += np.square(expected).sum()
            noise[index] += np.square(run.values(mine.outputs[0]) - expected).sum()
    if not np.isfinite(signal + noise).all():
        raise VerifyError(f"{path}: some values of its layers are not finite numbers; the file is unusable.")
    matched = {mine.number for mine, _ in pairs}
    layers = tuple(
        Noise(mine.number, mine.kind, mine.name, reference.number, _decibels(signal[index], noise[index]))
        for index, (mine, reference) in enumerate(pairs)
    )
    _require_same_values(path, against, layers, feed, feed_float)
    return NoiseComparison(
        against=str(against),
        images=len(examples),
        pixels=str(feed),
        pixels_against=str(feed_float),
        layers=layers,
        unmatched=tuple(operator.number for operator in ours if operator.number not in matched),
    )


class _Kept:
    """A file in LiteRT that keeps the values of every tensor; without a delegate, which would keep them to itself."""

    def __init__(self, path: Path, feed: Feed) -> None:
        self._path, self._feed = path, feed
        self._interpreter = tflite.load(
            path,
            experimental_preserve_all_tensors=True,
            experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        )
        self._input = self._interpreter.get_input_details()[0]

    def __call__(self, raw: np.ndarray) -> None:
        try:
            self._interpreter.set_tensor(self._input["index"], self._feed(raw))
            self._interpreter.invoke()
        except (ValueError, RuntimeError) as error:
            needed = self._input["shape"].tolist()
            raise VerifyError(
                f"{self._path}: takes {needed} and cannot be run on an input {raw.shape}: {cause(error)}"
            ) from None

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
    """Names what an operator computes; the names of a fused operator have no fixed order in the file."""
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


def _require_same_values(path: Path, against: Path, layers: Sequence[Noise], feed: Feed, feed_float: Feed) -> None:
    """Refuses files that have nothing in common from their first layers on: noise of quantization is less than that."""
    first = [layer.signal_to_noise for layer in layers[:_FIRST_LAYERS]]
    if first and all(ratio is not None and ratio < _UNRELATED for ratio in first):
        raise RequestError(
            f"{path} with {feed} computes other values than {against} with {feed_float}, from the first layer on; give "
            "the float file of the same export, or say how it is fed: --normalization."
        )


def _decibels(signal: float, noise: float) -> float | None:
    return None if noise == 0 else 10 * math.log10(max(signal, _SMALLEST_POWER) / noise)
