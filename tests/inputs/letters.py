"""A kind of input for the tests: texts as indices of letters and a mask, in two tensors."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

import numpy as np

from tfkd.inputs.kind import Arrays, Description, ExampleError, InputKind, Ranges, RowNames
from tfkd.inputs.seeds import drawn
from tfkd.recipe import Augment
from tfkd.signature import InputTensor, Signature

LENGTH = 12


class Found(NamedTuple):
    digest: int
    letters: int


@dataclass
class Letters:
    empty: list[tuple[str, int]] = field(default_factory=list)

    def add(self, split: str, position: int, finding: Found) -> None:
        if not finding.letters:
            self.empty.append((split, position))

    def facts(self) -> dict[str, Any]:
        return {"empty": self.empty}


@dataclass(frozen=True)
class LettersReport:
    facts: Mapping[str, Any]
    name: Callable[[str, int], str]

    def notes(self) -> Iterator[str]:
        yield "texts are read letter by letter"

    def warnings(self) -> Iterator[str]:
        for split, position in self.facts["empty"]:
            yield f"{self.name(split, position)} holds no letter"

    def explanation(self) -> str:
        return ""


@dataclass(frozen=True)
class Blend:
    own: float

    def own_weight(self) -> float:
        return self.own

    def lay(self, own: Arrays, partner: Arrays) -> Arrays:
        count = round(self.own * LENGTH)
        ids, mask = (np.concatenate([mine[:count], theirs[count:]]) for mine, theirs in zip(own, partner, strict=True))
        return ids, mask


@dataclass(frozen=True)
class LettersReading:
    kind_name = "letters"
    ranges: Ranges = field(default_factory=dict)
    stamp: list[Any] = field(default_factory=list)
    identity: tuple[Any, dict[str, Any]] = (LENGTH, {})
    shown: str = "plain"

    def decode(self, encoded: bytes) -> str:
        try:
            return encoded.decode()
        except UnicodeDecodeError:
            raise ExampleError("no text in UTF-8") from None

    def compact(self, example: str) -> tuple[str, int]:
        return example, len(example)

    def examine(self, encoded: bytes) -> Found:
        text = self.decode(encoded)
        return Found(self.whole_digest(encoded), sum(map(str.isalpha, text)))

    def whole_digest(self, encoded: bytes) -> int:
        return int.from_bytes(hashlib.sha256(encoded).digest()[:8], "little") | 1

    def findings(self) -> Letters:
        return Letters()

    def settled(self, facts: Mapping[str, Any]) -> "LettersReading":
        return self

    def fitted(self, findings: Iterable[Found]) -> "LettersReading":
        return self

    def report(self, facts: Mapping[str, Any], name: Callable[[str, int], str], total: int) -> LettersReport:
        return LettersReport(facts, name)

    adapts_by: ClassVar[list[Any]] = []

    def adaptation(self, training: Iterable[str], others: Iterable[str]) -> dict[str, Any]:
        return {}

    def adapted(self, facts: Mapping[str, Any]) -> "LettersReading":
        return self

    def adaptation_notes(self, facts: Mapping[str, Any]) -> Iterator[str]:
        yield from ()

    def adaptation_warnings(self, facts: Mapping[str, Any]) -> Iterator[str]:
        yield from ()

    def input_notes(self, examples: Iterable[str], signature: Signature) -> Iterator[str]:
        yield from ()

    def signature(self, data: Any) -> Signature:
        return signature(data)

    def rendered(self, rendering: str) -> "LettersReading":
        return LettersReading(shown=rendering)

    def plain(self, example: str, signature: Signature) -> Arrays:
        ids = np.array([ord(letter) % 32 for letter in example[:LENGTH].ljust(LENGTH)], np.int32)
        return ids, (np.arange(LENGTH) < len(example)).astype(np.float32)

    def view(self, example: str, seed: np.ndarray, augment: Augment, signature: Signature) -> Arrays:
        start = int(drawn(seed, 0).integers(0, max(1, len(example) - LENGTH)))
        return self.plain(example[start:], signature)

    def overlay(self, seed: np.ndarray, augment: Augment) -> Blend:
        return Blend(0.5 if augment.mix != "none" and drawn(seed, 1).random() < augment.mix_share else 1.0)

    def finish(self, inputs: Any) -> Any:
        return inputs if self.shown == "plain" else {**inputs, "mask": 0.0 * inputs["mask"]}


def signature(_: Any) -> Signature:
    ids = InputTensor("ids", (LENGTH,), "int32", (0.0, 31.0))
    return Signature("letters", (ids, InputTensor("mask", (LENGTH,), "float32", (0.0, 1.0))))


def signature_of(model: Any) -> Signature:
    found = signature(None)
    found.require_taken_by(model, f"The model {model.name!r}")
    return found


KIND = InputKind(
    name="letters",
    noun="letter",
    suffixes=(".txt",),
    companions=(),
    feature=("Text", "text"),
    reading=lambda data, ranges: LettersReading(),
    signature_of=signature_of,
    describe=lambda _: Description(
        "Numbers of letters.", "Numbers of letters.", f"{LENGTH} letters", "Give the model letters.", {}, {}
    ),
    fields=frozenset(),
    export_fields=frozenset(),
    not_by_default=frozenset(),
    conversion=lambda rendering: "",
    golden_suffix=".txt",
    values="letters",
    elsewhere="letters of other alphabets",
    normalization=lambda words, where: None,
    other_normalizations=lambda _: (),
    source_in=lambda folder: f"folder:{folder}",
    write_source=lambda texts, labels, classes, folder: f"folder:{folder}",
    from_memory=lambda texts, _: texts,
    to_golden=lambda inputs: {name: np.asarray(each, np.uint8) for name, each in inputs.items()},
    encode_golden=lambda example, _: bytes(example["ids"].astype(np.uint8)),
    decode_golden=lambda encoded, _: {"ids": np.frombuffer(encoded, np.uint8)},
    encode_shown=lambda example, _: "",
    shown_type=lambda text: "text/plain",
    row_names=RowNames(str, None, lambda _: "Name files by their path"),
)
