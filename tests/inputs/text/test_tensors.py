"""Signatures of texts."""

import keras
import pytest
from pydantic import TypeAdapter

from tfkd.errors import RequestError
from tfkd.inputs.text.tensors import describe, length_of, signature, signature_of
from tfkd.inputs.text.vocabulary import SPECIAL
from tfkd.models.token_ids import token_ids
from tfkd.signature import Signature

PIECES = (*SPECIAL, "a", "##b")


def test_a_model_states_its_length_and_vocabulary() -> None:
    ids, known = token_ids(keras, PIECES, 7)
    found = signature_of(keras.Model(ids, known))
    assert found == signature(7, PIECES) and length_of(found) == 7
    assert str(found) == "text (ids: int32 [7], 0 to 5)"
    assert describe(found).properties == {"length": 7, "pieces": 6}


def test_the_vocabulary_is_no_part_of_a_written_signature() -> None:
    kind = TypeAdapter(Signature)
    written = kind.dump_json(signature(7, PIECES))
    assert b"pieces" not in written and kind.validate_json(written).pieces == ()


@pytest.mark.parametrize(
    ("shape", "dtype", "message"),
    [
        ((7,), "float32", "not the ids of one text"),
        ((None,), "int32", "build it for one length"),
        ((7, 3), "int32", "not the ids of one text"),
        ((7,), "int64", "has 0 TokenIds layers, and needs one that says its vocabulary"),
    ],
)
def test_another_model_is_refused(shape: tuple[int | None, ...], dtype: str, message: str) -> None:
    ids = keras.Input(shape, dtype=dtype)
    with pytest.raises(RequestError, match=message):
        signature_of(keras.Model(ids, ids + 1))
