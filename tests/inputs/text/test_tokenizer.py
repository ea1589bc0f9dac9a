"""The rule of the phone's tokenizer: compared with MediaPipe itself, and by hand where MediaPipe cannot show it."""

import unicodedata
from itertools import pairwise

import numpy as np
import pytest

from tests.inputs.text.texts import BROKEN, LENGTH, texts, vocabulary
from tests.tools import runtimes
from tests.tools.compilers import MissingError
from tfkd.errors import RequestError
from tfkd.inputs.text.delimiters import RANGES, is_delimiter
from tfkd.inputs.text.tokenizer import Tokenizer, words
from tfkd.inputs.text.vocabulary import SPECIAL, Vocabulary

# In the list of delimiters since Unicode 16 and 17, which MediaPipe 0.10.14 does not know.
NEW = "\u1b4e\u1b4f\u1b7f\U00010d6e\U00010ed0\U000113d4\U000113d5\U000113d7\U000113d8\U00011be1"
NEW += "\U00016d6d\U00016d6e\U00016d6f\U0001e5ff"


@pytest.fixture
def tokenizer() -> Tokenizer:
    return Tokenizer(Vocabulary((*SPECIAL, "hello", "un", "##able", "##a", "a", ",", "é", "##é", "##b")))


@pytest.mark.parametrize("title", ["mediapipe 1.2.2", pytest.param("mediapipe 0.10.14", marks=pytest.mark.slow)])
def test_mediapipe_hands_the_same_ids_to_a_model(title: str) -> None:
    given = [text for text in texts() if title == "mediapipe 1.2.2" or not set(NEW) & set(text)]
    known = vocabulary(given)
    try:
        expected = runtimes.tokens(title, known.text, given, LENGTH)
    except MissingError as error:
        pytest.skip(str(error))
    found = Tokenizer(known).encode(given, LENGTH)
    same = (np.stack([found.ids, found.mask, found.segment_ids], axis=1) == expected).all(axis=(1, 2))
    assert len(given) >= 2_000 and [text for text, equal in zip(given, same, strict=True) if not equal] == []
    # The texts show something: most words are known, some are not, some texts are cut.
    assert 0.02 < (found.ids == 1).sum() / found.mask.sum() < 0.2 and 100 < found.cut < 300


def test_words_are_lower_in_ascii_alone_and_delimiters_stand_alone() -> None:
    assert words("Don't STOP, Caf\u00e9 \u00c9COLE!") == ["don", "'", "t", "stop", ",", "caf\u00e9", "\u00c9cole", "!"]
    assert words("a\u3000b\xa0c\vd  e\tf") == ["a\u3000b\xa0c\vd", "e", "f"] and words(" \n") == []
    assert words("中文 a中b") == ["中", "文", "a", "中", "b"] and words("a\0b") == ["a"]


def test_half_of_a_surrogate_pair_counts_as_a_replacement_character() -> None:
    assert words("\ud800 a\udc00b \ud83d\ude00") == ["\ufffd", "a\ufffdb", "😀"]
    assert all(word.encode() for text in BROKEN for word in words(text))


def test_ids_are_of_the_longest_pieces_and_a_rest_makes_the_word_unknown(tokenizer: Tokenizer) -> None:
    assert tokenizer.ids("Hello, unable") == [4, 9, 5, 6]
    assert tokenizer.ids("una unab unac") == [5, 7, 5, 7, 12, 1]
    assert tokenizer.ids("é e\u0301 É") == [10, 1, 1]


def test_words_over_100_bytes_are_unknown(tokenizer: Tokenizer) -> None:
    assert [len(tokenizer.ids(text)) for text in ("a" * 100, "a" * 101, "é" * 50, "é" * 51)] == [100, 1, 50, 1]


def test_texts_are_padded_cut_and_counted(tokenizer: Tokenizer) -> None:
    found = tokenizer.encode(["", "hello a", "hello hello hello"], 4)
    assert found.ids.tolist() == [[2, 3, 0, 0], [2, 4, 8, 3], [2, 4, 4, 3]] and found.cut == 1
    assert found.mask.tolist() == [[1, 1, 0, 0], [1, 1, 1, 1], [1, 1, 1, 1]]
    assert not found.segment_ids.any() and found.segment_ids.shape == (3, 4)
    assert {each.dtype for each in (found.ids, found.mask, found.segment_ids)} == {np.dtype("int32")}
    assert tokenizer.encode([], 4).ids.shape == (0, 4)
    with pytest.raises(RequestError, match="An input of 1 tokens has no room for"):
        tokenizer.encode(["a"], 1)


def test_delimiters_are_the_punctuation_that_this_python_knows_and_more() -> None:
    assert list(RANGES) == sorted(RANGES) and all(first <= last for first, last in RANGES)
    assert all(last + 1 < first for (_, last), (first, _) in pairwise(RANGES))
    punctuation = {chr(code) for code in range(0x110000) if unicodedata.category(chr(code)).startswith("P")}
    listed = {chr(code) for first, last in RANGES for code in range(first, last + 1)}
    assert punctuation <= listed
    others = {each for each in listed - punctuation if unicodedata.category(each) not in ("Lo", "Cn")}
    assert others == set("$+<=>^`|~")
    assert all(map(is_delimiter, "$-中\u1b7f")) and not any(map(is_delimiter, "a0 é€😀あ"))
