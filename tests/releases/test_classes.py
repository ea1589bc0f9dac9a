"""The labels of two bundles."""

import numpy as np
import pytest

from tfkd.errors import RequestError
from tfkd.releases.classes import label_changes, shared_classes


@pytest.mark.parametrize(
    ("old", "new", "changes"),
    [
        (("a", "b", "c"), ("a", "b", "c"), []),
        (("a", "b", "c"), ("a", "c", "b"), ["labels 1 and 2 are swapped ('b' and 'c')"]),
        (
            ("a", "b", "c"),
            ("b", "c", "a"),
            ["label 0 'a' is now 2; label 1 'b' is now 0; label 2 'c' is now 1"],
        ),
        (("a", "b", "c"), ("a", "c"), ["label 1 'b' of the old bundle is missing", "label 2 'c' is now 1"]),
        (("a", "b"), ("a", "b", "c"), ["label 2 'c' of the new bundle is new"]),
        (("a", "b"), ("a", "z"), ["label 1 was 'b', it is 'z'"]),
        (("T-shirt", "b"), ("t shirt", "b"), ["label 0 was 'T-shirt', it is 't shirt'"]),
    ],
)
def test_every_change_is_named(old: tuple[str, ...], new: tuple[str, ...], changes: list[str]) -> None:
    assert list(label_changes(shared_classes(old, new))) == changes


def test_unicode_forms_of_a_name_are_the_same_class() -> None:
    classes = shared_classes(("größer", "b"), ("gro\u0308ßer", "b"))
    assert classes.of_new == (0, 1) and classes.numbers(["gro\u0308ßer"]).tolist() == [0]


def test_outputs_are_placed_by_class() -> None:
    classes = shared_classes(("a", "b"), ("c", "d", "a"))
    assert (classes.names, classes.of_new) == (("a", "b", "c"), (2, 1, 0))
    np.testing.assert_array_equal(classes.of_old_outputs(np.array([[0.2, 0.8]])), [[0.2, 0.8, 0]])
    np.testing.assert_array_equal(classes.of_new_outputs(np.array([[0.1, 0.3, 0.6]])), [[0.6, 0.3, 0.1]])


def test_bundles_of_other_classes_are_refused() -> None:
    with pytest.raises(RequestError, match=r"of other classes altogether: 'a', 'b' and 'x', 'y'\. Compare bundles of"):
        shared_classes(("a", "b"), ("x", "y"))


def test_a_class_of_the_data_that_neither_has_is_named() -> None:
    with pytest.raises(RequestError, match=r"has the class 'cats', the bundles do not\. Did you mean 'cat'"):
        shared_classes(("cat", "dog"), ("cat", "dog")).numbers(["cats"])
