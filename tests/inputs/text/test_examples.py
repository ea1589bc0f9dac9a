"""Texts in golden files, in the report and in memory."""

import base64

import numpy as np
import pytest

from tests.inputs.text.texts import texts, vocabulary
from tfkd.errors import RequestError
from tfkd.inputs.kind import ExampleError
from tfkd.inputs.text import KIND
from tfkd.inputs.text.building import of_texts
from tfkd.inputs.text.tensors import signature
from tfkd.inputs.text.vocabulary import SPECIAL

SMALL = signature(12, of_texts(["the card has not arrived, unaffable card", "café"], 400).pieces)
"""Few pieces and a short input, so that words are split, unknown or cut."""


def test_a_golden_text_has_the_ids_of_the_example() -> None:
    odd = texts()
    taken = signature(12, vocabulary(odd).pieces)
    ids = KIND.from_memory(odd, taken)
    assert ids.shape == (len(odd), 12) and ids.dtype == np.int32
    assert (ids == taken.pieces.index("[UNK]")).any() and (ids[:, -1] != 0).any()
    for row in ids:
        np.testing.assert_array_equal(KIND.decode_golden(KIND.encode_golden(row, taken), taken), row)


def test_words_are_shown_as_the_model_has_them() -> None:
    (row,) = KIND.from_memory("The CARD, ☃ Café", SMALL)
    shown = KIND.encode_shown(row, SMALL)
    assert base64.b64decode(shown).decode() == "the card , \ufffd café" and KIND.shown_type(shown) == "text/plain"


def test_unknown_words_stay_unknown_where_a_vocabulary_has_their_sign() -> None:
    with_sign = signature(6, (*SPECIAL, "\ufffd", "a"))
    (row,) = KIND.from_memory("a \ufffd b", with_sign)
    assert row.tolist() == [2, 5, 4, 1, 3, 0]
    np.testing.assert_array_equal(KIND.decode_golden(KIND.encode_golden(row, with_sign), with_sign), row)


@pytest.mark.parametrize("texts", [3, b"bytes", [b"bytes"], {"text": 1}, [None]])
def test_what_is_no_text_is_refused(texts: object) -> None:
    with pytest.raises(RequestError, match="text"):
        KIND.from_memory(texts, SMALL)


@pytest.mark.parametrize(("content", "message"), [(b"\xff", "no text in UTF-8"), (b"a" * (1 << 20 | 1), "larger than")])
def test_a_damaged_golden_text_is_refused(content: bytes, message: str) -> None:
    with pytest.raises(ExampleError, match=message):
        KIND.decode_golden(content, SMALL)


def test_settings_of_images_are_refused() -> None:
    with pytest.raises(RequestError, match="ids of texts are not normalised"):
        KIND.normalization("torch", "--normalization")
    assert KIND.normalization("none", "--normalization") is None and not KIND.conversion("rgb")
    with pytest.raises(ValueError, match="base64"):
        KIND.shown_type("/w==")
    with pytest.raises(ValueError, match="no words"):
        KIND.shown_type("")
