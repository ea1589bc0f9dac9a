"""Training views of texts, which depend on the text and a seed alone, not on a vocabulary."""

import re

import numpy as np

from tfkd.inputs.seeds import drawn
from tfkd.recipe import Augment

_WORD = re.compile(r"\S+")
_DROPPED = 0  # purpose of the numbers drawn from a view's seed


def make_view(text: str, seed: np.ndarray, augment: Augment) -> str:
    """Leaves out a random part of a text's words; at least one stays.

    Args:
        text: any text.
        seed: int [2].
        augment: its `word_dropout` is the probability with which each word is left out.

    Returns:
        The text without these words and the white space before them.
    """
    found = list(_WORD.finditer(text))
    if not augment.word_dropout or len(found) < 2:
        return text
    numbers = drawn(seed, _DROPPED).random(len(found) + 1)
    stays = numbers[1:] >= augment.word_dropout
    stays[int(numbers[0] * len(found))] |= not stays.any()
    starts = [0, *(word.end() for word in found)]
    return "".join(text[starts[k] : word.end()] for k, word in enumerate(found) if stays[k]) + text[starts[-1] :]
