"""The interface of a kind of input: how its examples are read, changed, described and stored.

`InputKind` holds what is known of the kind; a `Reading` holds how the examples of one split are read. A second kind
fills both in, and no code outside of its package depends on the kind.
"""

import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from tfkd.recipe import Augment, Data
from tfkd.signature import Range, Signature

Arrays = tuple[np.ndarray, ...]  # one per tensor of a signature, without the batch
Ranges = Mapping[str, Range]  # of values, by the kind of samples that files hold


class ExampleError(Exception):
    """An example cannot be read; the text is the reason."""


def one_line(error: Exception) -> str:
    """Returns the text of a library's error on one short line."""
    return textwrap.shorten(str(error).rstrip(" ."), 300, placeholder=" ...") or type(error).__name__


class ExampleFinding(Protocol):
    """The finding about one example."""

    @property
    def digest(self) -> int:
        """63 bits of a hash of the decoded content as an odd number, or an even one of a part of it."""


class Findings(Protocol):
    """Collects the findings of a check, example by example."""

    def add(self, split: str, position: int, finding: Any) -> None:
        """Adds a decoded example."""

    def facts(self) -> dict[str, Any]:
        """Returns the findings about all examples, as JSON values."""


class Report(Protocol):
    """Notes and warnings of a check."""

    def notes(self) -> Iterator[str]:
        """Yields notes, one sentence each."""

    def warnings(self) -> Iterator[str]:
        """Yields warnings, one sentence each."""

    def explanation(self) -> str:
        """Returns what to add to a message about equal examples, or nothing."""


class Overlay(Protocol):
    """The overlay of a partner's view over a view."""

    def own_weight(self) -> float:
        """Returns the weight of the view's own example, 0 to 1."""

    def lay(self, own: Arrays, partner: Arrays) -> Arrays:
        """Returns the mixed view, float32."""


class Reading(Protocol):
    """How the examples of a split are decoded and made into inputs; a value, equal for equal results."""

    @property
    def kind_name(self) -> str:
        """A name of `tfkd.inputs.KINDS`."""

    @property
    def ranges(self) -> Ranges:
        """The ranges of values that become the raw range; empty where the files hold it already."""

    @property
    def stamp(self) -> list[Any]:
        """Everything but the files that the result of a check depends on, as JSON values."""

    @property
    def identity(self) -> tuple[Any, dict[str, Any]]:
        """Its part of the data's fingerprint: the settings, and facts by name; empty facts are left out."""

    def decode(self, encoded: bytes) -> Any:
        """Returns an example; raises an ExampleError."""

    def compact(self, example: Any) -> tuple[Any, int]:
        """Returns an example in the form that is cached in memory, and its size in bytes."""

    def examine(self, encoded: bytes) -> ExampleFinding:
        """Decodes an example for a check; raises an ExampleError."""

    def whole_digest(self, encoded: bytes) -> int:
        """Returns the digest of a whole example whose `ExampleFinding.digest` is even; 0 if it cannot be read."""

    def findings(self) -> Findings:
        """Returns an empty `Findings` for a check."""

    def settled(self, facts: Mapping[str, Any]) -> "Reading":
        """Returns the reading with the settings that the facts of a check determine."""

    def fitted(self, findings: Iterable[Any]) -> "Reading":
        """Returns the reading that fits these examples; reads only the first finding if that is sufficient."""

    def report(self, facts: Mapping[str, Any], name: Callable[[str, int], str], total: int) -> Report:
        """Returns the notes and warnings of a check.

        Args:
            facts: of the check.
            name: maps a split's name and a position in it to the name of the example.
            total: number of examples that could be decoded.
        """

    def signature(self, data: Data) -> Signature:
        """Returns the signature of the student of a recipe with this data; the reading is adapted where it can be."""

    @property
    def adapts_by(self) -> list[Any]:
        """Everything but the examples that an adaptation depends on, as JSON values; empty where there is none."""

    def adaptation(self, training: Iterable[Any], others: Iterable[Any]) -> Mapping[str, Any]:
        """Returns facts of decoded examples, as JSON values, such as a vocabulary.

        Args:
            training: examples with which students are trained.
            others: those of validation and test, from which nothing may be learnt.
        """

    def adapted(self, facts: Mapping[str, Any]) -> "Reading":
        """Returns the reading with what the facts of an adaptation determine."""

    def adaptation_notes(self, facts: Mapping[str, Any]) -> Iterator[str]:
        """Yields notes about an adaptation, one sentence each."""

    def adaptation_warnings(self, facts: Mapping[str, Any]) -> Iterator[str]:
        """Yields what an adaptation loses of many examples, one sentence each."""

    def input_notes(self, examples: Iterable[Any], signature: Signature) -> Iterator[str]:
        """Yields notes about decoded examples of which a model takes a part alone, one sentence each."""

    def rendered(self, rendering: str) -> "Reading":
        """Returns the reading for networks with this input rendering; raises a RequestError."""

    def plain(self, example: Any, signature: Signature) -> Arrays:
        """Returns the deterministic form, which models are evaluated on."""

    def view(self, example: Any, seed: np.ndarray, augment: Augment, signature: Signature) -> Arrays:
        """Returns the training view that a seed (int [2]) draws; the same at every size."""

    def overlay(self, seed: np.ndarray, augment: Augment) -> Overlay:
        """Draws from a view's seed how a partner's view is laid over it."""

    def finish(self, inputs: Any) -> Any:
        """Returns a batch of finished inputs in the input rendering: tensors in the signature's structure."""


class Normalization(Protocol):
    """The normalization of raw values that a model expects."""

    @property
    def text(self) -> str:
        """The text that was parsed."""

    @property
    def rarity(self) -> int:
        """How unusual it is, 0 for the common ones."""

    def __call__(self, raw: np.ndarray, /) -> np.ndarray:
        """Returns normalized values, float32, of raw values [b, ...]."""

    def undone(self, values: np.ndarray, /) -> np.ndarray:
        """Returns the raw values, perhaps outside of the raw range, whose normalization gives these values."""


@dataclass(frozen=True)
class Description:
    """The description of the input in exported files.

    Attributes:
        tflite: sentence for the metadata of `.tflite` files.
        coreml: sentence for Core ML files.
        size: of the input, such as "96 × 96".
        advice: what an app must know of the input, one or two sentences.
        properties: properties that file formats have fields for, by the kind's names.
        apps: sentence for app developers, by the library that runs the file.
    """

    tflite: str
    coreml: str
    size: str
    advice: str
    properties: Mapping[str, Any]
    apps: Mapping[str, str]


def listed(properties: Mapping[str, Any]) -> str:
    """Returns a description's properties as text for messages."""
    return ", ".join(f"{name} {value}" for name, value in properties.items())


def no_ids(example: np.ndarray) -> None:
    """Lists nothing: apps read the golden file itself."""


@dataclass(frozen=True)
class RowNames:
    """How the rows of a file of predictions name examples.

    Attributes:
        normal: maps a name to the form in which names are compared.
        content: maps an example, or a name that may be one, to what equal examples have in common; None where rows
            name files alone.
        advice: maps the names of a file that names no example to how to name them, a sentence without its full stop.
    """

    normal: Callable[[str], str]
    content: Callable[[Any], str] | None
    advice: Callable[[Iterable[str]], str]


@dataclass(frozen=True)
class InputKind:
    """One kind of input.

    Attributes:
        name: in `tfkd.inputs.KINDS` and in signatures.
        noun: word for one example; its plural ends in s.
        suffixes: of the files that hold one example each, lower case, with the dot.
        companions: suffixes of sidecar files, which are ignored beside an example of the same name.
        feature: class in `tensorflow_datasets.features` of such examples, and its usual name in a data set.
        reading: maps a recipe's data, and the ranges determined from other examples, to the `Reading`.
        signature_of: maps a keras.Model, such as a teacher, to its signature; raises a RequestError if its input is
            not of this kind.
        describe: maps a signature to the description in exported files.
        fields: the fields of `recipe.Data`, and of its `augment` as "augment.NAME", that no other kind reads.
        export_fields: the fields of a request of `tfkd export` that no other kind reads.
        not_by_default: forms of exported files that are not written by default, because no such file can be made.
        conversion: maps an input rendering to the conversion that an app applies first; empty for none.
        golden_suffix: suffix of golden files.
        values: name of an example's numbers in messages, such as "pixels".
        elsewhere: examples of other sources, on which a model may be worse, as the model card names them.
        normalization: parses a normalization from its text and the flag or field it comes from; raises a RequestError.
        other_normalizations: maps a normalization to others that a model may expect instead.
        source_in: maps a folder to the source, as in `data.source`, that `write_source` writes there.
        write_source: writes examples in memory with their labels (numbers of the classes, whose names follow) into a
            folder, and returns `source_in` of it; raises a RequestError.
        from_memory: maps examples in memory and the signature to raw inputs in the form of golden files; raises a
            RequestError.
        to_golden: maps a batch of finished inputs to the smaller arrays that golden files hold.
        encode_golden: maps one raw example of the student's input, and the signature, to the bytes of its golden file.
        decode_golden: maps the bytes of a golden file and the signature to the example; raises an ExampleError.
        encode_shown: maps one raw example, and the signature, to the base64 text that the report embeds.
        shown_type: maps such a text to its media type; raises a ValueError if it has none.
        row_names: how the rows of a file of predictions name examples.
        golden_ids: maps a golden example to the ids that golden.json lists, so that a phone can be measured without a
            tokenizer; None where the golden file alone is read.
    """

    name: str
    noun: str
    suffixes: tuple[str, ...]
    companions: tuple[str, ...]
    feature: tuple[str, str]
    reading: Callable[[Data, Ranges], Reading]
    signature_of: Callable[[Any], Signature]
    describe: Callable[[Signature], Description]
    fields: frozenset[str]
    export_fields: frozenset[str]
    not_by_default: frozenset[str]
    conversion: Callable[[str], str]
    golden_suffix: str
    values: str
    elsewhere: str
    normalization: Callable[[str, str], Any]
    other_normalizations: Callable[[Any], Sequence[Any]]
    source_in: Callable[[Path], str]
    write_source: Callable[[Any, Any, Sequence[str], Path], str]
    from_memory: Callable[[Any, Signature], Any]
    to_golden: Callable[[Any], Any]
    encode_golden: Callable[[Any, Signature], bytes]
    decode_golden: Callable[[bytes, Signature], Any]
    encode_shown: Callable[[Any, Signature], str]
    shown_type: Callable[[str], str]
    row_names: RowNames
    golden_ids: Callable[[np.ndarray], list[int] | None] = no_ids
