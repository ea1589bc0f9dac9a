"""Collects, writes and reads the golden examples of a bundle and the expected probabilities of its files.

For each example `golden.json` holds the predictions of each file's reference family under `probabilities`, by the path
of the file, and those of the other families under `families`; for a text also the `ids` that it is split into, which
apps are measured with. Nothing that is read is trusted.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, field_validator

from tfkd.bundle.layout import GOLDEN, GOLDEN_INDEX
from tfkd.files import write_bytes, write_json
from tfkd.formats import FORMATS
from tfkd.formats.families import FAMILIES
from tfkd.inputs import kind_of
from tfkd.inputs.kind import ExampleError
from tfkd.signature import Signature
from tfkd.verification import VerifyError, artifacts
from tfkd.verification.records import Artifact

_INDEX = f"{GOLDEN}/{GOLDEN_INDEX}"
KERAS = "keras"  # in the place of a file's path

_LARGEST = 1 << 26  # bytes of an example or of the index


_FamilyName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]


class _Example(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, strict=True)
    file: str = Field(pattern=r"^[0-9]{3,6}\.[a-z0-9]{1,8}$")
    label: str | None
    ids: list[int] | None = None
    probabilities: dict[str, list[float]]
    families: dict[_FamilyName, Any] = {}


_ANSWERS = TypeAdapter(dict[str, list[float]], config=ConfigDict(allow_inf_nan=False, strict=True))


class _Index(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    classes: list[str]
    images: list[_Example] = Field(min_length=1)

    @field_validator("images")
    @classmethod
    def _different(cls, value: list[_Example]) -> list[_Example]:
        if len({image.file for image in value}) < len(value):
            raise ValueError("names an example twice")
        return value


@dataclass(frozen=True)
class Golden:
    """A few real examples with the expected predictions of every runtime.

    Attributes:
        images: raw examples as the student takes them, [n, ...], such as uint8 images.
        labels: int64 [n], the true classes; -1 where unknown.
        expected: float32 [n, classes] probabilities of each file's reference family, by its path in the bundle; `keras`
            for the Keras student.
        others: the same of further runtime families (tfkd.formats.families), by family and path.
        unknown: families whose predictions were not read, because this version does not know them.
    """

    images: np.ndarray
    labels: np.ndarray
    expected: dict[str, np.ndarray]
    others: dict[str, dict[str, np.ndarray]] = field(default_factory=dict)
    unknown: tuple[str, ...] = ()


def collect(
    folder: Path, files: Iterable[Artifact], images: np.ndarray, labels: np.ndarray, keras: np.ndarray
) -> Golden:
    """Runs the files of a bundle that can be run here, as every family that can.

    Args:
        folder: of the bundle.
        files: what is run.
        images: raw examples, [n, ...].
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
        reference, *further = FORMATS[file.format].stored_families(file.precision)
        expected[file.path] = artifacts.predict(folder / file.path, file.format, [images], reference)
        for family in further:
            predictions = artifacts.predict(folder / file.path, file.format, [images], family)
            others.setdefault(family, {})[file.path] = predictions
    return Golden(images, labels, expected, others)


def write(bundle: Path, golden: Golden, classes: list[str], signature: Signature) -> None:
    """Writes the golden examples into the folder of a bundle.

    Args:
        bundle: its folder.
        golden: the examples.
        classes: of the model, in order.
        signature: what the model takes.

    Raises:
        RequestError: the folder cannot be written.
    """
    folder, kind = bundle / GOLDEN, kind_of(signature.kind)
    names = [f"{index:03d}{kind.golden_suffix}" for index in range(len(golden.images))]
    for name, example in zip(names, golden.images, strict=True):
        write_bytes(folder / name, kind.encode_golden(example, signature))
    entries = [
        {
            "file": name,
            "label": classes[label] if label >= 0 else None,
            **_listed(kind.golden_ids(example)),
            "probabilities": _row(golden.expected, index),
            "families": {family: _row(predictions, index) for family, predictions in golden.others.items()},
        }
        for index, (name, label, example) in enumerate(zip(names, golden.labels.tolist(), golden.images, strict=True))
    ]
    write_json(folder / GOLDEN_INDEX, {"classes": classes, "images": entries})


def _listed(ids: list[int] | None) -> dict[str, list[int]]:
    return {} if ids is None else {"ids": ids}


def _row(predictions: dict[str, np.ndarray], index: int) -> dict[str, list[float]]:
    return {source: probabilities[index].tolist() for source, probabilities in predictions.items()}


def read(bundle: Path, classes: Sequence[str], signature: Signature) -> Golden:
    """Reads the golden examples of a bundle; predictions of families that this version does not know are left out.

    Args:
        bundle: its folder.
        classes: of the model, in order.
        signature: what it takes.

    Raises:
        VerifyError: they cannot be read, are of another form, or their predictions are of other classes.
    """
    folder = bundle / GOLDEN
    index = _index(folder / GOLDEN_INDEX)
    if index.classes != list(classes):
        raise VerifyError(f"{_INDEX}: names other classes than the manifest.")
    for image in index.images:
        if image.label is not None and image.label not in index.classes:
            raise VerifyError(f"{_INDEX}: {image.file} has the unknown label {image.label!r}.")
    expected = _stacked(index.images, [image.probabilities for image in index.images], len(classes))
    named = sorted({family for image in index.images for family in image.families})
    others = {
        family: _stacked(index.images, [_of_family(image, family) for image in index.images], len(classes))
        for family in named
        if family in FAMILIES
    }
    unknown = [family for family in named if family not in FAMILIES]
    labels = [-1 if image.label is None else index.classes.index(image.label) for image in index.images]
    examples = np.stack([_example(folder / image.file, image.ids, signature) for image in index.images])
    return Golden(examples, np.array(labels, np.int64), expected, others, tuple(unknown))


def _of_family(image: _Example, family: str) -> dict[str, list[float]]:
    if family not in image.families:
        raise VerifyError(f"{_INDEX}: {image.file} has no predictions of {family}, other examples have.")
    try:
        return _ANSWERS.validate_python(image.families[family])
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, (family, *first["loc"])))
        raise VerifyError(f"{_INDEX}: {image.file}: {place}: {first['msg']}.") from None


def _stacked(images: list[_Example], predictions: list[dict[str, list[float]]], classes: int) -> dict[str, np.ndarray]:
    """Returns float32 [n, classes] by path of a file."""
    for image, found in zip(images, predictions, strict=True):
        if found.keys() != predictions[0].keys():
            raise VerifyError(f"{_INDEX}: {image.file} has the predictions of other files than the first example.")
        for path, probabilities in found.items():
            if len(probabilities) != classes:
                raise VerifyError(
                    f"{_INDEX}: {image.file} has {len(probabilities)} probabilities of {path}, not one "
                    f"probability for each of the {classes} classes."
                )
    with np.errstate(over="ignore"):  # becomes infinite, which no comparison accepts
        return {path: np.array([found[path] for found in predictions]).astype(np.float32) for path in predictions[0]}


def _index(path: Path) -> _Index:
    try:
        return _Index.model_validate_json(_content(path))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise VerifyError(f"{_INDEX}: {place or 'it'}: {first['msg']}.") from None


def _example(path: Path, ids: list[int] | None, signature: Signature) -> np.ndarray:
    kind = kind_of(signature.kind)
    if path.suffix != kind.golden_suffix:
        raise VerifyError(f"{_INDEX}: names {path.name}, which is no {kind.golden_suffix} file.")
    try:
        example: np.ndarray = kind.decode_golden(_content(path), signature)
    except ExampleError as error:
        raise VerifyError(f"{GOLDEN}/{path.name}: {error}.") from None
    if ids is not None and ids != kind.golden_ids(example):
        raise VerifyError(f"{_INDEX}: lists other ids of {path.name} than those that its content gives.")
    return example


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            content = stream.read(_LARGEST + 1)
    except OSError as error:
        raise VerifyError(f"{GOLDEN}/{path.name}: cannot be read: {error.strerror}.") from None
    if len(content) > _LARGEST:
        raise VerifyError(f"{GOLDEN}/{path.name}: is larger than {_LARGEST:,} bytes, which none is.")
    return content
