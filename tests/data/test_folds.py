"""data.folds: every labelled example is held out in exactly one fold."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.data.photos import READING, fill
from tests.data.test_splits import CLASSES, Nothing, data, split
from tfkd.data import Dataset, open_source
from tfkd.data.dataset import Split
from tfkd.data.folds import folds_of_transfer_set, with_folds
from tfkd.errors import RequestError
from tfkd.recipe import Data


def grouped(labels: list[int], groups: list[int]) -> Split:
    return Split(Nothing(), np.arange(len(labels)), np.array(labels), READING, groups=np.array(groups))


def test_folds_have_equal_numbers_of_every_class_and_of_all() -> None:
    whole = split(23, 11, 7)
    parts = with_folds("x", CLASSES, whole, 5, seed=1)
    assert parts.folds is not None
    counts = np.array([np.bincount(whole.labels[parts.folds == fold], minlength=3) for fold in range(5)])
    assert (np.ptp(counts, axis=0) <= 1).all()
    assert np.ptp(counts.sum(axis=1)) <= 1
    again, other = (with_folds("x", CLASSES, whole, 5, seed).folds for seed in (1, 2))
    assert again is not None and other is not None
    assert (parts.folds == again).all() and (parts.folds != other).any()


def test_examples_of_a_group_or_with_the_same_content_are_in_one_fold() -> None:
    rng = np.random.default_rng(0)
    groups = rng.integers(0, 24, 120)
    whole = grouped((groups % 2).tolist(), groups.tolist())
    copies = np.full(120, -1)
    first, second = np.flatnonzero(groups == 3)[0], np.flatnonzero(groups == 5)[0]
    copies[[first, second]] = 7
    parts = with_folds("x", ("a", "b"), Split(**{**vars(whole), "copies": copies}), 4, seed=1)
    assert parts.folds is not None
    assert all(len(np.unique(parts.folds[groups == group])) == 1 for group in np.unique(groups))
    assert parts.folds[first] == parts.folds[second]
    counts = np.array([np.bincount(whole.labels[parts.folds == fold], minlength=2) for fold in range(4)])
    assert counts.min() > 0 and np.ptp(counts.sum(axis=1)) <= 12


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A source with all three splits."""
    root = tmp_path_factory.mktemp("set")
    for number, (name, count) in enumerate({"train": 8, "validation": 2, "test": 2}.items()):
        fill(root, {f"{name}/a": count, f"{name}/b": count}, start=100 * number)
    return root


def opened(root: Path, **fields: object) -> Dataset:
    return open_source(Data(source=f"folder:{root}", **{"folds": 4, **fields}), seed=1)


def names(part: Split | None) -> list[str]:
    assert part is not None
    return [part.name(i) for i in range(len(part))]


def held_out(root: Path) -> Iterator[Dataset]:
    for fold in range(4):
        yield opened(root, held_out=[fold])


def test_all_labelled_photos_are_held_out_once_and_train_the_student_that_ships(root: Path) -> None:
    whole = opened(root)
    assert [len(part) for part in (whole.train, whole.validation, whole.test)] == [24, 24, 24]
    tests = []
    for fold, part in enumerate(held_out(root)):
        assert whole.train.folds is not None
        expected = whole.train.take(np.flatnonzero(whole.train.folds == fold))
        assert names(part.test) == names(expected)
        parts = [names(part.train), names(part.validation), names(part.test)]
        assert sorted([*parts[0], *parts[1], *parts[2]]) == sorted(names(whole.train))
        tests += parts[2]
    assert sorted(tests) == sorted(names(whole.train)) and len(set(tests)) == 24
    assert [len(opened(root, held_out=[0, 2]).test)] == [12]


def test_fingerprints_differ_by_folds(root: Path) -> None:
    plain = opened(root, folds=None)
    others = [opened(root), opened(root, folds=3), *held_out(root)]
    assert len({each.labelled for each in (plain, *others)}) == 7
    assert plain.train.folds is None


def test_unlabelled_photos_stay_in_the_transfer_set_of_every_fold(root: Path, tmp_path: Path) -> None:
    extra = fill(tmp_path, {"": 7}, start=500)
    for held in ([], [1]):
        part = opened(root, unlabelled=f"folder:{extra}", held_out=held)
        folds = folds_of_transfer_set(part)
        assert part.unlabelled is not None and len(part.unlabelled) == 7
        assert len(folds) == len(part.train) + 7
        assert set(folds[-7:]) == set(folds[:-7])
    rest = opened(root, fraction=0.5, unlabelled="rest")
    assert (len(rest.train), len(rest.test), len(rest.unlabelled or ())) == (12, 12, 12)


def test_copies_are_left_out_and_counted(tmp_path: Path) -> None:
    root = fill(tmp_path, {"train/a": 6, "train/b": 6})
    fill(root, {"test/a": 2, "test/b": 1}, start=2)  # the first two are copies of train/a/002 and 003
    found = opened(root, folds=3)
    assert len(found.train) == 12
    assert any("3 labelled examples left out" in note for note in found.notes)


@pytest.mark.parametrize(
    ("parts", "folds", "message"),
    [
        (split(9, 9, 4), 5, "class 'c' has 4 labelled examples, too few for data.folds=5. Set data.folds to 4 or less"),
        (split(9, 9, 1), 3, "class 'c' has 1 labelled example, too few for data.folds=3. Add examples, or remove the"),
        (
            grouped([0, 1, 2] * 6, [0, 1, 2] * 3 + [3, 1, 4] * 3),
            2,
            "class 'b' has 6 labelled examples in 1 group, too few for data.folds=2. Add examples",
        ),
    ],
)
def test_a_class_needs_an_example_or_a_group_per_fold(parts: Split, folds: int, message: str) -> None:
    with pytest.raises(RequestError, match=message):
        with_folds("x", CLASSES, parts, folds, seed=1)


def test_folds_that_leave_too_little_are_refused(tmp_path: Path) -> None:
    root = fill(tmp_path, {"a": 3, "b": 30})
    message = r"data.folds=3, without fold 1 and 3: .*class 'a' has 1 training example, too few to split off validation"
    with pytest.raises(RequestError, match=message):
        opened(root, folds=3, held_out=[0, 2])


@pytest.mark.parametrize("fields", [{"folds": 1}, {"held_out": [0]}, {"folds": 3, "held_out": [3]}, {"folds": 2.5}])
def test_impossible_numbers_are_refused(fields: dict[str, object]) -> None:
    with pytest.raises(RequestError, match=r"folds|held_out"):
        data(**fields)  # type: ignore[arg-type]
