"""Texts in memory, in golden files and in the report.

The student takes ids. Golden files and the report hold a text that the tokenizer maps to the same ids: the words as the
vocabulary has them, with spaces between.
"""

import base64
import binascii
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from tfkd import arguments
from tfkd.errors import RequestError
from tfkd.inputs.kind import ExampleError
from tfkd.inputs.text.reading import tokenizer_of
from tfkd.inputs.text.tensors import length_of
from tfkd.inputs.text.vocabulary import CONTINUATION, SPECIAL, UNKNOWN
from tfkd.signature import Signature

_UNKNOWN_CHARACTERS = ("\N{REPLACEMENT CHARACTER}", *map(chr, range(0xE000, 0xE100)))  # of private use
_LARGEST_TEXT = 1 << 20  # bytes


def from_memory(texts: Any, signature: Signature) -> np.ndarray:
    """Returns the ids of texts.

    Args:
        texts: one text, or several.
        signature: the model's.

    Returns:
        int32 [n, length].

    Raises:
        RequestError: they are no texts.
    """
    return tokenizer_of(signature).encode(listed(texts), length_of(signature)).ids


def listed(texts: Any) -> list[str]:
    """Returns one text or several as a list; raises a RequestError if they are no texts."""
    several = [texts] if isinstance(texts, str) else texts
    if isinstance(several, bytes | Mapping) or not isinstance(several, Iterable):
        raise arguments.wrong("texts", texts, "a text, or a list of texts")
    whole = list(several)
    for each in whole:
        if not isinstance(each, str):
            raise arguments.wrong("a text", each, "a str")
    return whole


def to_golden(ids: Any) -> np.ndarray:
    """Returns ids, int32 [n, length]."""
    return np.asarray(ids, np.int32)


def encode_golden(ids: np.ndarray, signature: Signature) -> bytes:
    """Returns a text that has these ids (int32 [length]), in UTF-8."""
    return _text(ids, signature).encode()


def decode_golden(encoded: bytes, signature: Signature) -> np.ndarray:
    """Returns the ids of a golden text, int32 [length].

    Raises:
        ExampleError: it is no UTF-8, or too long.
    """
    if len(encoded) > _LARGEST_TEXT:
        raise ExampleError("is larger than 1 MiB")
    try:
        text = encoded.decode()
    except UnicodeDecodeError:
        raise ExampleError("is no text in UTF-8") from None
    return tokenizer_of(signature).encode([text], length_of(signature)).ids[0]


def golden_ids(ids: np.ndarray) -> list[int]:
    """Returns the ids of a golden text (int32 [length]) as golden.json lists them."""
    found: list[int] = ids.tolist()
    return found


def encode_shown(ids: np.ndarray, signature: Signature) -> str:
    """Returns a text that has these ids, in base64 of UTF-8."""
    return base64.b64encode(encode_golden(ids, signature)).decode("ascii")


def shown_type(text: str) -> str:
    """Returns "text/plain" for base64 of UTF-8.

    Raises:
        ValueError: it is something else, or empty.
    """
    try:
        shown = base64.b64decode(text, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise ValueError(
            "not the base64 text of UTF-8; encode it with tfkd.inputs.text.examples.encode_shown"
        ) from None
    if not shown or "\0" in shown:
        raise ValueError("the base64 text of no words")
    return "text/plain"


def conversion(rendering: str) -> str:
    """Returns nothing: an app gives the text as it is."""
    return ""


def no_normalization(text: str, where: str) -> None:
    """Refuses a normalization other than none.

    Raises:
        RequestError: the text names one.
    """
    if text != "none":
        raise RequestError(f"{where} = {text!r}: ids of texts are not normalised; leave it out.")


def no_others(normalization: Any) -> Sequence[Any]:
    """Returns no other normalization that a model may expect."""
    return ()


def _text(ids: np.ndarray, signature: Signature) -> str:
    """Returns the words of ids with spaces between; they are split into the same ids again."""
    pieces = [signature.pieces[number] for number in ids.tolist()]
    unknown = next(each for each in _UNKNOWN_CHARACTERS if each not in signature.pieces)
    words: list[str] = []
    for piece in pieces:
        if piece == UNKNOWN:
            words.append(unknown)
        elif piece.startswith(CONTINUATION) and len(piece) > len(CONTINUATION) and words:
            words[-1] += piece.removeprefix(CONTINUATION)
        elif piece not in SPECIAL:
            words.append(piece)
    return " ".join(words)
