"""Vocabularies for the texts of a training."""

import random

import pytest

from tests.inputs.text.texts import texts, vocabulary
from tfkd.errors import RequestError
from tfkd.inputs.text.building import of_texts, pruned
from tfkd.inputs.text.tokenizer import Tokenizer, is_splittable, words
from tfkd.inputs.text.vocabulary import SPECIAL, Vocabulary, parse

TEACHER = Vocabulary(
    ("[PAD]", "[unused0]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "!", "a", "b", "c", "##a", "##b", "card", "cab", "##d")
)


def test_a_pruned_vocabulary_keeps_used_pieces_characters_and_the_ids_of_the_teacher() -> None:
    found = pruned(TEACHER, ["Cab!", "cabd 中 é"])
    pieces = found.vocabulary.pieces
    known = (*SPECIAL, "!", "a", "b", "c", "##a", "##b", "cab", "##d")
    assert pieces[: len(known)] == known and "card" not in pieces and "[MASK]" not in pieces
    assert found.teacher_ids[: len(known)] == (0, 2, 3, 4, 6, 7, 8, 9, 10, 11, 13, 14)
    assert set(found.teacher_ids[len(known) :]) == {-1} and len(found.teacher_ids) == len(pieces)
    assert {"中", "é", "##é", "z", "##z", "7", "##7", "~"} <= set(pieces)
    assert not {"##中", "##~", "A"} & set(pieces)  # delimiters stand alone, and ASCII has no capitals
    assert list(pieces[len(known) :]) == sorted(pieces[len(known) :])


def test_words_of_known_characters_are_never_unknown_and_known_texts_are_split_as_before() -> None:
    given = texts()
    teacher = vocabulary(given)
    old, found = Tokenizer(teacher), pruned(teacher, given[::2])
    new = Tokenizer(found.vocabulary)
    characters = {character for text in given[::2] for word in words(text) for character in word}
    compared = 0
    for word in {word for text in given for word in words(text) if is_splittable(word)}:
        if set(word) <= characters:
            assert 1 not in new.ids_of_word(word), word
    for word in {word for text in given[::2] for word in words(text)}:
        if 1 not in old.ids_of_word(word):
            compared += 1
            assert [found.teacher_ids[each] for each in new.ids_of_word(word)] == list(old.ids_of_word(word)), word
    assert compared > 1_000


def test_the_order_of_the_texts_does_not_matter() -> None:
    given = texts()
    mixed = random.Random(1).sample(given, len(given))
    teacher = vocabulary(given)
    assert pruned(teacher, given) == pruned(teacher, mixed)
    assert of_texts(given, 9_500) == of_texts(mixed, 9_500)
    assert parse(of_texts(given, 9_500).text.encode(), "x") == of_texts(given, 9_500)


def test_a_vocabulary_of_texts_holds_the_most_frequent_words() -> None:
    given = ["the cat", "The dog", "the cat sat", "a " + "x" * 101 + " y", "y"]
    whole = of_texts(given, 1_000).pieces
    assert whole[:4] == SPECIAL and whole[-2:] == ("the", "cat") and len(whole) == 4 + 26 + 10 + 32 + 36 + 2
    assert of_texts(given, len(whole) - 1).pieces == whole[:-1]
    assert of_texts(given, len(whole) - 2).pieces == whole[:-2]
    with pytest.raises(RequestError, match="of 107 pieces cannot hold the characters of the texts; use 108 or more"):
        of_texts(given, len(whole) - 3)
