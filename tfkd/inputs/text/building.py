"""Vocabularies for the texts of a training: pruned from a teacher's, or of frequent words.

Either holds every character of the texts and of ASCII, so that a word of known characters is never unknown.
"""

import string
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from tfkd.errors import RequestError
from tfkd.inputs.text.delimiters import is_delimiter
from tfkd.inputs.text.tokenizer import Tokenizer, is_splittable, words
from tfkd.inputs.text.vocabulary import CONTINUATION, SPECIAL, UNKNOWN, Vocabulary

_BASIC = string.ascii_lowercase + string.digits + string.punctuation
_FREQUENT = 2  # occurrences


@dataclass(frozen=True)
class PrunedVocabulary:
    """The part of a teacher's vocabulary that texts use.

    Attributes:
        vocabulary: the special pieces, those that the teacher has in its order, then new characters.
        teacher_ids: for each piece its id in the teacher's vocabulary; -1 where the teacher has none.
    """

    vocabulary: Vocabulary
    teacher_ids: tuple[int, ...]


def pruned(teacher: Vocabulary, texts: Iterable[str]) -> PrunedVocabulary:
    """Returns the pieces of a teacher's vocabulary that texts use, and all characters.

    Texts that the teacher knows are split as before. The result does not depend on the order of the texts.
    """
    tokenizer, used = Tokenizer(teacher), _counts(texts)
    wanted = {teacher.pieces[number] for word in used for number in tokenizer.ids_of_word(word)}
    wanted |= _characters(used)
    wanted.discard(UNKNOWN)
    known = sorted(wanted & teacher.ids.keys(), key=teacher.ids.__getitem__)
    pieces = (*SPECIAL, *known, *sorted(wanted - teacher.ids.keys()))
    return PrunedVocabulary(Vocabulary(pieces), tuple(teacher.ids.get(piece, -1) for piece in pieces))


def of_texts(texts: Iterable[str], size: int) -> Vocabulary:
    """Returns a vocabulary of all characters and the most frequent words.

    Args:
        texts: of the training.
        size: largest number of pieces.

    Raises:
        RequestError: the characters alone are more.
    """
    counts = _counts(texts)
    characters = sorted(_characters(counts))
    room = size - len(SPECIAL) - len(characters)
    if room < 0:
        least = size - room
        raise RequestError(
            f"A vocabulary of {size:,} pieces cannot hold the characters of the texts; use {least:,} or more."
        )
    frequent = sorted(
        (word for word, count in counts.items() if count >= _FREQUENT and len(word) > 1),
        key=lambda word: (-counts[word], word),
    )
    return Vocabulary((*SPECIAL, *characters, *frequent[:room]))


def _counts(texts: Iterable[str]) -> Counter[str]:
    counts = Counter(word for text in texts for word in words(text))
    return Counter({word: count for word, count in counts.items() if is_splittable(word)})


def _characters(used: Iterable[str]) -> set[str]:
    """Returns every character, and its form within a word unless it is always a word."""
    characters = {character for word in used for character in word} | set(_BASIC)
    return characters | {CONTINUATION + each for each in characters if not is_delimiter(each)}
