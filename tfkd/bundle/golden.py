"""The golden images of a bundle and the probabilities that its files must give: collected, read again, compared.

`golden.json` holds for every image, under `probabilities`, the answers of each file's reference family by the file's
path, and under `families` those of the other families. Nothing that is read is trusted.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, field_validator

from tfkd.bundle.contents import Golden
from tfkd.inputs import kind_of
from tfkd.inputs.image.tensors import signature as image_signature
from tfkd.inputs.kind import ExampleError
from tfkd.signature import Signature
from tfkd.verification import VerifyError, artifacts, families
from tfkd.verification.families import FAMILIES
from tfkd.verification.probabilities import fault, unrelated
from tfkd.verification.records import Artifact

FOLDER = "golden"
INDEX = "golden.json"
KERAS = "keras"  # in the place of a file's path

_MASS = 2.0  # times the tolerance; within families as much probability moved as the largest difference of one

_LARGEST = 1 << 26  # bytes of an image or of the index


_FamilyName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]


class _Image(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, strict=True)
    file: str = Field(pattern=r"^[0-9]{3,6}\.png$")
    label: str | None
    probabilities: dict[str, list[float]]
    families: dict[_FamilyName, Any] = {}


_ANSWERS = TypeAdapter(dict[str, list[float]], config=ConfigDict(allow_inf_nan=False, strict=True))


class _Index(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    classes: list[str]
    images: list[_Image] = Field(min_length=1)

    @field_validator("images")
    @classmethod
    def _different(cls, value: list[_Image]) -> list[_Image]:
        if len({image.file for image in value}) < len(value):
            raise ValueError("names an image twice")
        return value


@dataclass(frozen=True)
class Comparison:
    """Answers of a device beside the golden answers of the runtime family that they are nearest to.

    Attributes:
        family: a name of `FAMILIES`.
        error: the largest difference of a probability; infinite where an answer is not a number.
        tolerance: the largest difference that passes.
        top1_equal: fraction of the images with the same class first.
        fault: why the answers cannot be right at any tolerance; None where they can.
    """

    family: str
    error: float
    tolerance: float
    top1_equal: float
    fault: str | None

    @property
    def passed(self) -> bool:
        return self.fault is None and self.error <= self.tolerance


def collect(
    folder: Path, files: Iterable[Artifact], images: np.ndarray, labels: np.ndarray, keras: np.ndarray
) -> Golden:
    """Runs the files of a bundle that can be run here, as every family that can.

    Args:
        folder: of the bundle.
        files: what is run.
        images: uint8 [n, S, S, 3] RGB.
        labels: int64 [n], the true classes; -1 where unknown.
        keras: float32 [n, classes], the Keras model's probabilities.

    Raises:
        VerifyError: a file cannot be run.
    """
    expected = {KERAS: keras}
    others: dict[str, dict[str, np.ndarray]] = {}
    for file in files:
        if file.not_verified:
            continue
        reference, *further = families.stored(file.format, file.precision)
        expected[file.path] = artifacts.predict(folder / file.path, file.format, [images], reference)
        for family in further:
            answers = artifacts.predict(folder / file.path, file.format, [images], family)
            others.setdefault(family, {})[file.path] = answers
    return Golden(images, labels, expected, others)


def answers_of(golden: Golden, file: Artifact) -> dict[str, np.ndarray]:
    """Returns a file's golden answers, float32 [n, classes], by runtime family; the reference family first.

    Raises:
        VerifyError: there are two answers of one family, or answers of a family that does not run the file's format.
    """
    reference, *_ = families.stored(file.format, file.precision)
    others = {name: answers[file.path] for name, answers in golden.others.items() if file.path in answers}
    for name in others:
        if file.format not in FAMILIES[name].formats:
            raise VerifyError(
                f"{FOLDER}/{INDEX}: has answers of {FAMILIES[name].title} of {file.path}, which it cannot run."
            )
    if reference in others:
        raise VerifyError(f"{FOLDER}/{INDEX}: has two answers of {FAMILIES[reference].title} of {file.path}.")
    return ({reference: golden.expected[file.path]} if file.path in golden.expected else {}) | others


def tolerance(file: Artifact, family: str, precision: str | None = None) -> float:
    """Returns the largest difference of a probability that passes: the table's, or a narrower one in the manifest.

    Args:
        file: as the manifest has it.
        family: a name of `FAMILIES`.
        precision: that was found in the file itself; default: as the manifest says.
    """
    widest = FAMILIES[family].tolerance(precision or file.precision)
    return min(widest, file.golden_tolerances.get(family, math.inf))


def compare(
    answers: np.ndarray, expected: Mapping[str, np.ndarray], tolerances: Mapping[str, float], step: float | None
) -> Comparison:
    """Compares answers with those of every family; returns the comparison that passes, else the nearest.

    Equal first classes are reported, not judged: where they differ within the tolerance, two classes were level.

    Args:
        answers: float [n, classes].
        expected: float32 [n, classes] by family, at least one.
        tolerances: by family.
        step: of a quantized output; None for floats.
    """
    compared = [_compared(answers, right, family, tolerances[family], step) for family, right in expected.items()]
    return min(compared, key=lambda each: (not each.passed, each.error / max(each.tolerance, 1e-9)))


def _compared(answers: np.ndarray, right: np.ndarray, family: str, allowed: float, step: float | None) -> Comparison:
    differences = np.abs(answers - right)
    error = float(np.where(np.isfinite(differences), differences, np.inf).max())
    equal = float(np.mean(answers.argmax(axis=1) == right.argmax(axis=1)))
    wrong = fault(answers, right, step)
    if wrong is None and error <= allowed:
        wrong = _moved(differences, allowed) or unrelated(answers, right, allowed)
    return Comparison(family, error, allowed, equal, wrong)


def _moved(differences: np.ndarray, allowed: float) -> str | None:
    """Says how much probability is at other classes: of a thousand level ones each differs by next to nothing."""
    moved = float(differences.sum(axis=1).max()) / 2
    if moved <= _MASS * allowed:
        return None
    return f"give {moved:.2g} of the probability to other classes; {_MASS * allowed:.2g} is allowed"


def read(bundle: Path, classes: Sequence[str], size: int) -> Golden:
    """Reads the golden images of a bundle; answers of families that this version does not know are left out.

    Args:
        bundle: its folder.
        classes: of the model, in order.
        size: side of its input, pixels.

    Raises:
        VerifyError: they cannot be read, are of another size, or their answers are of other classes.
    """
    folder = bundle / FOLDER
    index = _index(folder / INDEX)
    if index.classes != list(classes):
        raise VerifyError(f"{FOLDER}/{INDEX}: names other classes than the manifest.")
    for image in index.images:
        if image.label is not None and image.label not in index.classes:
            raise VerifyError(f"{FOLDER}/{INDEX}: {image.file} has the unknown label {image.label!r}.")
    expected = _stacked(index.images, [image.probabilities for image in index.images], len(classes))
    named = sorted({family for image in index.images for family in image.families})
    others = {
        family: _stacked(index.images, [_of_family(image, family) for image in index.images], len(classes))
        for family in named
        if family in FAMILIES
    }
    unknown = [family for family in named if family not in FAMILIES]
    labels = [-1 if image.label is None else index.classes.index(image.label) for image in index.images]
    examples = np.stack([_example(folder / image.file, image_signature(size)) for image in index.images])
    return Golden(examples, np.array(labels, np.int64), expected, others, tuple(unknown))


def _of_family(image: _Image, family: str) -> dict[str, list[float]]:
    if family not in image.families:
        raise VerifyError(f"{FOLDER}/{INDEX}: {image.file} has no answers of {family}, other images have.")
    try:
        return _ANSWERS.validate_python(image.families[family])
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, (family, *first["loc"])))
        raise VerifyError(f"{FOLDER}/{INDEX}: {image.file}: {place}: {first['msg']}.") from None


def _stacked(images: list[_Image], answers: list[dict[str, list[float]]], classes: int) -> dict[str, np.ndarray]:
    """Returns float32 [n, classes] by path of a file."""
    for image, found in zip(images, answers, strict=True):
        if found.keys() != answers[0].keys():
            raise VerifyError(f"{FOLDER}/{INDEX}: {image.file} has the answers of other files than the first image.")
        for path, probabilities in found.items():
            if len(probabilities) != classes:
                raise VerifyError(
                    f"{FOLDER}/{INDEX}: {image.file} has {len(probabilities)} probabilities of {path}, not one "
                    f"probability for each of the {classes} classes."
                )
    with np.errstate(over="ignore"):  # becomes infinite, which no comparison accepts
        return {path: np.array([found[path] for found in answers]).astype(np.float32) for path in answers[0]}


def _index(path: Path) -> _Index:
    try:
        return _Index.model_validate_json(_content(path))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise VerifyError(f"{FOLDER}/{INDEX}: {place or 'it'}: {first['msg']}.") from None


def _example(path: Path, signature: Signature) -> np.ndarray:
    try:
        example: np.ndarray = kind_of(signature.kind).decode_golden(_content(path), signature)
    except ExampleError as error:
        raise VerifyError(f"{FOLDER}/{path.name}: {error}.") from None
    return example


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            content = stream.read(_LARGEST + 1)
    except OSError as error:
        raise VerifyError(f"{FOLDER}/{path.name}: cannot be read: {error.strerror}.") from None
    if len(content) > _LARGEST:
        raise VerifyError(f"{FOLDER}/{path.name}: is larger than {_LARGEST:,} bytes, which none is.")
    return content
