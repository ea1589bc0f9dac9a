"""Views of texts: words are left out, by a seed."""

import numpy as np

from tfkd.inputs.seeds import view_seeds
from tfkd.inputs.text.views import make_view
from tfkd.recipe import Augment

TEXT = "  what can I do if\tmy card still has not arrived?\n"


def views(text: str, word_dropout: float, count: int = 500) -> list[str]:
    return [make_view(text, seed, Augment(word_dropout=word_dropout)) for seed in view_seeds(1, np.arange(count), 0)]


def test_each_word_is_left_out_with_the_probability() -> None:
    words = TEXT.split()
    found = [view.split() for view in views(TEXT, 0.3)]
    assert 0.67 < np.mean([len(view) for view in found]) / len(words) < 0.73
    for view in found:
        rest = iter(words)
        assert all(word in rest for word in view), "the order stays"
    assert len({tuple(view) for view in found}) > 300 and views(TEXT, 0.3) == views(TEXT, 0.3)


def test_one_word_stays_and_each_may() -> None:
    assert {view.strip() for view in views("yes no", 0.99)} == {"yes", "no"}
    assert set(views("yes", 0.99)) == {"yes"} and set(views("", 0.5)) == {""} and set(views(" \n", 0.5)) == {" \n"}


def test_without_dropout_a_view_is_the_text() -> None:
    assert set(views(TEXT, 0.0)) == {TEXT}
