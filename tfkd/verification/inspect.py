"""Looks into a .tflite file: its operators, where they run, and how much noise quantization adds to each layer."""

from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tfkd.data import open_evaluation
from tfkd.errors import RequestError
from tfkd.files import compressed_size
from tfkd.inputs.image.normalization import ImageNormalization
from tfkd.progress import Progress, counted
from tfkd.recipe import Data
from tfkd.signature import Signature
from tfkd.verification import VerifyError, feeding, operators, tflite
from tfkd.verification.apart import Apart
from tfkd.verification.delegates import DelegateReport, reports
from tfkd.verification.noise import NoiseComparison, compare
from tfkd.verification.operators import Operand, Operator
from tfkd.writers import samples

FLOAT = "fp32"


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
        looks_up: whether it looks up the word vectors of a text, which XNNPACK never runs.
    """

    number: int
    kind: str
    name: str
    shape: tuple[int, ...]
    dtype: str
    stored: int
    multiply_adds: int
    part: int | None
    looks_up: bool = False


@dataclass(frozen=True)
class ComparedOn:
    """What a file is compared with its float file on.

    Attributes:
        source: as in a recipe: folder:PATH, files:LIST.csv, tfds:NAME or embedded:NAME.
        count: how many examples, as many of each class as possible.
        seed: draws the examples.
        against: the float file; None takes the `_fp32.tflite` beside the file.
        normalization: what the network wants done to raw values, for files that do not say it.
    """

    source: str
    count: int
    seed: int
    against: Path | None = None
    normalization: ImageNormalization | None = None


@dataclass(frozen=True)
class Inspection:
    """The operators and sizes of a file.

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
        comparison: the noise of quantization; None where no examples were given.
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
    comparison: NoiseComparison | None

    @property
    def outside(self) -> list[Row]:
        """The operators that XNNPACK leaves to LiteRT's own kernels."""
        return [row for row in self.operators if row.part is None]


def inspect(
    path: Path,
    against: Path | None = None,
    examples: np.ndarray | None = None,
    normalization: ImageNormalization | None = None,
) -> Inspection:
    """Reads a file, and runs it beside its float file where examples are given.

    Args:
        path: of a .tflite file.
        against: the float file of the same network; None takes the `_fp32.tflite` beside it.
        examples: raw [n, ...], as the file's input is.
        normalization: what the network wants done to raw values, for files that do not say it (see `feeding.feeds`).

    Raises:
        RequestError: a file cannot be read, the two are of different networks, there is no float file, or nothing says
            what a file wants done to raw values.
    """
    try:
        return _inspect(path, against, examples, normalization)
    except VerifyError as error:
        raise RequestError(str(error)) from None


def inspect_apart(path: Path, on: ComparedOn | None = None, progress: Progress | None = None) -> Inspection:
    """Inspects a file in a process of its own, which a damaged file may crash.

    Args:
        path: of a .tflite file.
        on: what it is compared on with its float file; None compares nothing.
        progress: shows how many examples of the source have been checked; None shows nothing.

    Raises:
        RequestError: as of `inspect`, or the examples cannot be read, or the file crashes the runtime.
    """
    against = on and (on.against or sibling(path))
    try:
        with Apart() as process:
            if on is None:
                return process.call(path, inspect, path)
            examples = _examples(on, process.call(path, feeding.signature, path), progress)
            return process.call(path, inspect, path, against, examples, on.normalization)
    except VerifyError as error:
        raise RequestError(str(error)) from None


def _examples(on: ComparedOn, signature: Signature, progress: Progress | None) -> np.ndarray:
    """Picks examples of the validation split; without one of the test split, without either of all."""
    with progress.task("checking examples", None, "examples") if progress else nullcontext(_ignored) as advance:
        found = open_evaluation(Data(source=on.source, kind=signature.kind), on.seed, counted(advance))
    split = found.validation if len(found.validation) else found.test
    return samples.examples(split, signature, on.count, on.seed)[0]


def _ignored(_: int) -> None: ...


def _inspect(
    path: Path, against: Path | None, examples: np.ndarray | None, normalization: ImageNormalization | None
) -> Inspection:
    found = operators.read(path)
    cut = tflite.partitions(path)
    part_of = {number: part for part, numbers in enumerate(cut.parts) for number in numbers}
    return Inspection(
        path=str(path),
        bytes=path.stat().st_size,
        compressed=compressed_size(path),
        stored=sum({operand.index: operand.stored for each in found for operand in each.inputs}.values()),
        computed=sum(_bytes(tensor) for each in found if not each.prepares_constants for tensor in each.outputs),
        multiply_adds=sum(operator.multiply_adds for operator in found),
        operators=tuple(
            _row(operator, part_of.get(operator.number), operator.number in cut.look_up) for operator in found
        ),
        partitions=len(cut.parts),
        delegates=reports(found),
        comparison=None if examples is None else compare(path, against or sibling(path), examples, normalization),
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


def _row(operator: Operator, part: int | None, looks_up: bool) -> Row:
    output = operator.outputs[0]
    return Row(
        number=operator.number,
        kind=operator.kind,
        name=operator.name,
        shape=output.shape,
        dtype=output.dtype,
        stored=sum(operand.stored for operand in operator.inputs),
        multiply_adds=operator.multiply_adds,
        part=part,
        looks_up=looks_up,
    )


def _bytes(operand: Operand) -> int:
    try:
        return operand.size * np.dtype(operand.dtype).itemsize
    except TypeError:
        return operand.size  # types that NumPy lacks, such as int4, take a byte at most once unpacked
