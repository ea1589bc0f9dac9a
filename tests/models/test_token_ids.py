"""The layer that carries a model's vocabulary."""

import keras
import numpy as np
import pytest

from tfkd.errors import RequestError
from tfkd.inputs.text.vocabulary import SPECIAL
from tfkd.models.token_ids import TokenIds, token_ids, vocabulary_warnings


def test_ids_pass_unchanged_and_the_vocabulary_stays_with_the_layer() -> None:
    pieces = (*SPECIAL, "é", "##é", " ")
    ids, same = token_ids(keras, pieces, 4)
    model = keras.Model(ids, same)
    values = np.array([[2, 4, 3, 0]], np.int32)
    assert model(values).dtype == "int32"
    np.testing.assert_array_equal(model(values), values)
    copy = TokenIds.from_config(model.get_layer("token_ids").get_config())
    assert copy.pieces == pieces and not copy.weights


@pytest.mark.parametrize(
    ("pieces", "message"),
    [
        ("[PAD]", "pieces that are no texts"),
        ([*SPECIAL, 5], "pieces that are no texts"),
        ([*SPECIAL, "a\nb"], "a line break within a piece"),
        ([*SPECIAL, "\ud800"], "half of a surrogate pair"),
        ([*SPECIAL, "a", "a"], "'a' is on line 5 too"),
        (["a", *SPECIAL], r"has \[PAD\] on line 2"),
        ([], r"lacks \[PAD\]"),
    ],
)
def test_pieces_that_are_no_vocabulary_get_one_line(pieces: list[str], message: str) -> None:
    with pytest.raises(RequestError, match=f"The vocabulary of a TokenIds layer.*{message}"):
        TokenIds(pieces)


def test_pieces_that_phones_never_find_are_a_warning() -> None:
    ids, checked = token_ids(keras, [*SPECIAL, "[MASK]", "the", "The", "##S"], 4)
    (warning,) = vocabulary_warnings(keras.Model(ids, checked), "cased")
    assert warning.startswith("2 pieces of cased, such as 'The', have capital letters") and "uncased" in warning
    ids, checked = token_ids(keras, [*SPECIAL, "[MASK]", "the", "É"], 4)
    assert vocabulary_warnings(keras.Model(ids, checked), "uncased") == ()
