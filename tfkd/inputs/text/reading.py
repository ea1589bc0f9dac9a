"""Reads texts, and converts them to ids of pieces."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tfkd.errors import counted
from tfkd.inputs.kind import Arrays, Ranges
from tfkd.inputs.text import building, check, encodings, vocabulary
from tfkd.inputs.text.bert_folders import vocabulary_file
from tfkd.inputs.text.tensors import length_of, signature
from tfkd.inputs.text.tokenizer import LONGEST_WORD, Tokenizer, is_splittable, words
from tfkd.inputs.text.views import make_view
from tfkd.inputs.text.vocabulary import Vocabulary
from tfkd.inputs.whole import WholeReading
from tfkd.recipe import MOST_TOKENS, Augment, Data
from tfkd.signature import Signature

_ADAPTATION = 3  # increase it when adaptations have other facts
_BYTES_PER_CHARACTER = 4
_MOST_TOKENIZERS = 16
_FEW = 0.05  # fraction of the texts that may lose something without a warning
_tokenizers: dict[int, Tokenizer] = {}  # by the identity of their vocabulary's pieces, which they hold


@dataclass(frozen=True)
class TextReading(WholeReading):
    """Settings of reading texts.

    Attributes:
        length: of the student's input, in ids.
        most: pieces of a vocabulary that is made from the texts.
        given: vocabulary whose pieces are taken; None where the texts alone decide.
        vocabulary: of the student; None until the reading is adapted to the training texts.
    """

    length: int
    most: int
    given: Vocabulary | None = None
    vocabulary: Vocabulary | None = None

    kind_name = "text"

    def decode(self, encoded: bytes) -> str:
        """Returns a text; raises an ExampleError."""
        return encodings.decode(encoded).text

    def compact(self, example: str) -> tuple[str, int]:
        """Returns the text, and about its bytes."""
        return example, _BYTES_PER_CHARACTER * len(example)

    def examine(self, encoded: bytes) -> check.TextFinding:
        """Decodes a text for a check; raises an ExampleError."""
        return check.examine(encoded)

    def whole_digest(self, encoded: bytes) -> int:
        """Returns the digest of all words, as `examine` does."""
        return check.examine(encoded).digest

    def findings(self) -> check.TextFindings:
        """Returns what gathers the findings of a check."""
        return check.TextFindings()

    def report(self, facts: Mapping[str, Any], name: Callable[[str, int], str], total: int) -> check.TextReport:
        """Returns the notes and warnings of a check."""
        return check.TextReport(facts, name)

    @property
    def adapts_by(self) -> list[Any]:
        """The version, and the settings of the vocabulary and the length."""
        return [_ADAPTATION, self.length, self.most, self.given.pieces if self.given else None]

    def adaptation(self, training: Iterable[str], others: Iterable[str]) -> dict[str, Any]:
        """Returns the vocabulary of the training texts, and how many of all texts no phone reads as a whole."""
        texts = list(training)
        found = building.pruned(self.given, texts).vocabulary if self.given else building.of_texts(texts, self.most)
        everything = [*texts, *others]
        lengths = [_length(Tokenizer(found), text) for text in everything]
        return {
            "pieces": found.pieces,
            "longer": sum(each > self.length for each in lengths),
            "long": int(np.quantile(lengths, 1 - _FEW, method="inverted_cdf")),
            "unsplit": sum(not all(map(is_splittable, words(text))) for text in everything),
            "texts": len(lengths),
        }

    def adapted(self, facts: Mapping[str, Any]) -> "TextReading":
        """Returns the reading with the vocabulary of an adaptation."""
        return replace(self, vocabulary=Vocabulary(tuple(facts["pieces"])))

    def adaptation_notes(self, facts: Mapping[str, Any]) -> Iterator[str]:
        """Yields the size of the vocabulary, and how many texts no phone reads as a whole."""
        yield f"vocabulary of {counted(len(facts['pieces']), 'piece')} from the training texts"
        yield from (text for count, text in _losses(facts, self.length) if 0 < count <= _FEW * facts["texts"])

    def adaptation_warnings(self, facts: Mapping[str, Any]) -> Iterator[str]:
        """Yields the same of many texts."""
        yield from (text for count, text in _losses(facts, self.length) if count > _FEW * facts["texts"])

    def input_notes(self, examples: Iterable[str], signature: Signature) -> Iterator[str]:
        """Yields how many texts are longer than the input of a model."""
        tokenizer, length = tokenizer_of(signature), length_of(signature)
        lengths = [_length(tokenizer, text) for text in examples]
        if longer := sum(each > length for each in lengths):
            yield _cut(longer, len(lengths), length)

    def signature(self, data: Data) -> Signature:
        """Returns the signature of the student's ids."""
        assert self.vocabulary is not None, "adapt the reading to the training texts first"
        return signature(self.length, self.vocabulary.pieces)

    def plain(self, example: str, signature: Signature) -> Arrays:
        """Returns the ids of a text by the signature's vocabulary, int32 [length]."""
        return (tokenizer_of(signature).encode([example], length_of(signature)).ids[0],)

    def view(self, example: str, seed: np.ndarray, augment: Augment, signature: Signature) -> Arrays:
        """Returns the ids of a text without some of its words, int32 [length]."""
        return self.plain(make_view(example, seed, augment), signature)


def reading(data: Data, ranges: Ranges) -> TextReading:
    """Returns how a recipe's texts are read.

    Raises:
        RequestError: `data.vocabulary` cannot be read.
    """
    given = None if data.vocabulary is None else vocabulary.read(vocabulary_file(data.vocabulary))
    return TextReading(data.tokens, data.pieces, given)


def tokenizer_of(signature: Signature) -> Tokenizer:
    """Returns the tokenizer of a signature's vocabulary; it stays in memory, as it remembers words."""
    found = _tokenizers.get(id(signature.pieces))
    if found is None:
        if len(_tokenizers) >= _MOST_TOKENIZERS:
            _tokenizers.clear()
        found = _tokenizers[id(signature.pieces)] = Tokenizer(Vocabulary(signature.pieces))
    return found


def _losses(facts: Mapping[str, Any], length: int) -> Iterator[tuple[int, str]]:
    """Yields how many texts lose something in an input of this length, and what."""
    texts = facts["texts"]
    yield facts["longer"], f"{_cut(facts['longer'], texts, length)}; {_remedy(facts['long'], length)}"
    yield (
        facts["unsplit"],
        f"{facts['unsplit']:,} of {texts:,} texts have words of more than {LONGEST_WORD} bytes, which phones do "
        "not split, so that they are unknown; in scripts without spaces, put spaces between words",
    )


def _remedy(long: int, length: int) -> str:
    """Returns what to do about texts that lose their end; `long` is the length that few texts exceed."""
    if length == MOST_TOKENS:
        return "data.tokens has its maximum, so divide long texts"
    if long > MOST_TOKENS:
        return f"set data.tokens={MOST_TOKENS}, its maximum, or divide long texts"
    if long > length:
        return f"set data.tokens={long}, which keeps {1 - _FEW:.0%} of the texts whole"
    return "increase data.tokens if their end matters"


def _cut(longer: int, texts: int, length: int) -> str:
    return f"{longer:,} of {texts:,} texts have more than {length} pieces and lose their end"


def _length(tokenizer: Tokenizer, text: str) -> int:
    return 2 + len(tokenizer.ids(text))
