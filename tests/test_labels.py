"""Class names in exported label files."""

import pytest

from tfkd.errors import RequestError
from tfkd.labels import labels_text


@pytest.mark.parametrize("name", ["", "two\nlines", "tail\n", "\n", "a\rb", "a\u2028b"])
def test_class_names_that_break_the_lines_are_refused(name: str) -> None:
    with pytest.raises(RequestError, match=r"does not fit on one line of labels\.txt"):
        labels_text(["fine", name])


def test_two_classes_of_one_name_are_refused() -> None:
    with pytest.raises(RequestError, match=r"Two classes are named 'cat'"):
        labels_text(["cat", "dog", "cat"])
