"""The tokenizer of phones: MediaPipe's BertTokenizer, which splits a text into words and words into known pieces.

It lower-cases ASCII letters alone, keeps accents and unusual spaces, and knows other delimiters than the tokenizers of
BERT in Python. The templates of `tfkd.bundle` have the same rule in Kotlin and Swift. Sources: MediaPipe's
bert_preprocessor_calculator.cc and bert_tokenizer.cc, TensorFlow Text's regex_split.cc and wordpiece_tokenizer.cc.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from tfkd.errors import RequestError
from tfkd.inputs.text import delimiters
from tfkd.inputs.text.vocabulary import CLASSIFIER, CONTINUATION, SEPARATOR, UNKNOWN, Vocabulary

LONGEST_WORD = 100  # bytes of UTF-8; a longer word is unknown

_WORD = re.compile(f"[{delimiters.CHARACTERS}]|[^ \t\n\f\r{delimiters.CHARACTERS}]+")
_REMEMBERED = 1 << 18  # words


@dataclass(frozen=True)
class EncodedTexts:
    """What a model takes for texts; each array is int32 [texts, length].

    Attributes:
        ids: of [CLS], the text's pieces and [SEP]; 0 behind them.
        mask: 1 for each of these, 0 behind them.
        segment_ids: 0.
        cut: number of texts with more pieces than fit.
    """

    ids: np.ndarray
    mask: np.ndarray
    segment_ids: np.ndarray
    cut: int


def words(text: str) -> list[str]:
    """Returns the words of a text with ASCII letters in lower case; each delimiter is a word.

    MediaPipe receives C strings, so that a text ends at its first NUL.
    """
    encoded = well_formed(text.partition("\0")[0]).encode()
    return _WORD.findall(encoded.lower().decode())  # bytes have lower case in ASCII alone


def well_formed(text: str) -> str:
    """Returns a text with U+FFFD in place of each half of a surrogate pair."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def is_splittable(word: str) -> bool:
    """Returns whether a word is short enough to be split into pieces."""
    return len(word.encode()) <= LONGEST_WORD


class Tokenizer:
    """Maps texts to the ids of a vocabulary. It remembers the pieces of words, as most words are frequent."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary
        self._longest = max(map(len, vocabulary.pieces))
        self._remembered: dict[str, tuple[int, ...]] = {}

    def ids(self, text: str) -> list[int]:
        """Returns the ids of a text's pieces, without [CLS] and [SEP]."""
        return [number for word in words(text) for number in self.ids_of_word(word)]

    def ids_of_word(self, word: str) -> tuple[int, ...]:
        """Returns the ids of the pieces of one of a text's `words`, or that of [UNK] alone."""
        found = self._remembered.get(word)
        if found is None:
            if len(self._remembered) >= _REMEMBERED:
                self._remembered.clear()
            found = self._remembered[word] = self._split(word)
        return found

    def encode(self, texts: Iterable[str], length: int) -> EncodedTexts:
        """Returns the model's inputs for texts.

        Args:
            texts: any text, also an empty one.
            length: of the input, with [CLS] and [SEP]; a longer text loses its end.

        Raises:
            RequestError: the length has no room for [CLS] and [SEP].
        """
        if length < 2:
            raise RequestError(
                f"An input of {length} tokens has no room for {CLASSIFIER} and {SEPARATOR}; use 2 or more."
            )
        first, last = (self.vocabulary.ids[piece] for piece in (CLASSIFIER, SEPARATOR))
        found = [self.ids(text) for text in texts]
        ids, mask = np.zeros((2, len(found), length), np.int32)
        for row, (pieces, used) in enumerate(zip(found, mask, strict=True)):
            whole = [first, *pieces[: length - 2], last]
            ids[row, : len(whole)] = whole
            used[: len(whole)] = 1
        cut = sum(len(pieces) > length - 2 for pieces in found)
        return EncodedTexts(ids, mask, np.zeros_like(ids), cut)

    def _split(self, word: str) -> tuple[int, ...]:
        """Takes the longest known piece again and again; a rest without one makes the whole word unknown."""
        known, unknown = self.vocabulary.ids, (self.vocabulary.ids[UNKNOWN],)
        if not is_splittable(word):
            return unknown
        found: list[int] = []
        start = 0
        while start < len(word):
            mark = CONTINUATION if start else ""
            for end in range(min(len(word), start + self._longest), start, -1):
                number = known.get(mark + word[start:end])
                if number is not None:
                    found.append(number)
                    start = end
                    break
            else:
                return unknown
        return tuple(found)
