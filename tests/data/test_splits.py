import numpy as np
import pytest

from tests.data.photos import READING
from tfkd.data.dataset import Split
from tfkd.data.splits import divide, fraction_and_rest
from tfkd.errors import RequestError
from tfkd.recipe import Data

CLASSES = ("a", "b", "c")


class Nothing:
    stamp = ""

    def name(self, number: int) -> str:
        return str(number)

    def read(self, number: int) -> bytes:
        return b""


def split(*counts: int) -> Split:
    labels = np.repeat(np.arange(len(counts)), counts)
    labels = np.random.default_rng(0).permutation(labels)
    return Split(Nothing(), np.arange(len(labels)), labels, READING)


def data(**fields: float) -> Data:
    return Data(source="folder:x", **fields)


def numbers(splits: tuple[Split, ...]) -> list[list[int]]:
    return [part.numbers.tolist() for part in splits]


def test_missing_splits_are_split_off_per_class() -> None:
    whole = split(100, 50, 10)
    train, validation, test = divide("x", CLASSES, {"train": whole}, data(test_share=0.2), 1)
    assert np.bincount(test.labels).tolist() == [20, 10, 2]
    assert np.bincount(validation.labels).tolist() == [10, 5, 1]
    assert np.bincount(train.labels).tolist() == [70, 35, 7]
    together = np.concatenate([train.numbers, validation.numbers, test.numbers])
    assert sorted(together) == list(range(160))
    for part in (train, validation, test):
        np.testing.assert_array_equal(part.labels, whole.labels[part.numbers])


def test_only_the_seed_decides_the_split() -> None:
    once, again, other = (numbers(divide("x", CLASSES, {"train": split(40, 40, 40)}, data(), s)) for s in (1, 1, 2))
    assert once == again
    assert once != other


def test_the_test_split_does_not_depend_on_the_others() -> None:
    reference = divide("x", CLASSES, {"train": split(40, 40, 40)}, data(), 1)[2]
    changed = divide("x", CLASSES, {"train": split(40, 40, 40)}, data(validation_share=0.3, fraction=0.5), 1)[2]
    assert reference.numbers.tolist() == changed.numbers.tolist()


def test_splits_of_the_source_are_kept() -> None:
    of_source = {"train": split(20, 20, 20), "test": split(3, 3, 3)}
    train, validation, test = divide("x", CLASSES, of_source, data(), 1)
    assert test.numbers.tolist() == of_source["test"].numbers.tolist()
    assert (len(train), len(validation)) == (54, 6)


def test_fraction_keeps_a_nested_stratified_part_of_train_only() -> None:
    train = split(80, 40, 16)
    kept = {fraction: fraction_and_rest(train, fraction, 1)[0] for fraction in (1.0, 0.5, 0.1)}
    assert np.bincount(kept[0.5].labels).tolist() == [40, 20, 8]
    assert np.bincount(kept[0.1].labels).tolist() == [8, 4, 2]
    assert set(kept[0.1].numbers) < set(kept[0.5].numbers) < set(kept[1.0].numbers) == set(train.numbers)


@pytest.mark.parametrize(
    ("classes", "splits", "fields", "message"),
    [
        (CLASSES, {"test": split(1, 1, 1)}, {}, "no training split"),
        (CLASSES, {"train": split(0)}, {}, "no readable training example"),
        (("a",), {"train": split(5)}, {}, "only one class"),
        (CLASSES, {"train": split(5, 0, 5)}, {}, "no readable training example of class 'b'"),
        (CLASSES, {"train": split(5, 5, 2)}, {}, "class 'c' has 2 training examples, too few"),
        (CLASSES, {"train": split(5, 5, 5), "test": split(0)}, {}, "the test split holds no readable example"),
        (CLASSES, {"train": split(5, 5, 5)}, {"test_share": 0.6, "validation_share": 0.4}, "leave nothing"),
    ],
)
def test_data_that_cannot_be_split_is_refused(
    classes: tuple[str, ...], splits: dict[str, Split], fields: dict[str, float], message: str
) -> None:
    with pytest.raises(RequestError, match=message):
        divide("x", classes, splits, data(**fields), 1)


def test_the_rest_is_what_the_fraction_leaves_out_without_its_labels() -> None:
    everything = split(100, 50, 20)
    train, rest = fraction_and_rest(everything, 0.2, 1)
    _, nothing = fraction_and_rest(everything, 1.0, 1)
    assert sorted([*train.numbers, *rest.numbers]) == everything.numbers.tolist()
    assert set(rest.labels) == {-1}
    assert len(nothing) == 0
