"""Folders of splits are recognised by the usual names of data sets, and never become classes."""

from pathlib import Path

import pytest

from tests.data.photos import READING, fill, zipped
from tfkd.data import folder
from tfkd.data.layout import split_of
from tfkd.errors import RequestError


@pytest.mark.parametrize(
    ("name", "split"),
    [
        *((name, "train") for name in ("Train", "TRAIN", "training_set", "train-data", "trainset", "TrainImages")),
        *((name, "train") for name in ("01_train", "trainval", "Training Photos")),
        *((name, "validation") for name in ("valid", "val", "dev", "validation_set", "ValidationSet", "dev-set")),
        *((name, "test") for name in ("testing", "TestSet", "test1", "holdout", "test_images")),
        *((name, None) for name in ("cat", "steam train", "seg_train", "trainer", "value", "contest", "latest", "")),
        ("train_test", None),
    ],
)
def test_a_name_that_means_a_split_and_nothing_else(name: str, split: str | None) -> None:
    assert split_of(name) == split


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    "folders",
    [
        ("training_set", "test_set"),
        ("Training", "Validation", "Testing"),
        ("TRAIN", "VALID", "TEST"),
        ("seg_train/seg_train", "seg_test/seg_test"),
        ("archive/seg/seg_train/seg_train", "archive/seg/seg_test/seg_test"),
        ("train/train", "test/test"),
        ("birds-train", "birds-dev"),
        ("trainA", "testA"),
        ("set/train_images", "set/val_images"),
        ("train/images", "valid/images", "test/images"),
    ],
)
def test_layouts_of_widely_used_data_sets(tmp_path: Path, folders: tuple[str, ...], packed: bool) -> None:
    root = fill(tmp_path / "set", {f"{top}/{name}": 2 for top in folders for name in ("cat", "dog")})
    listing = folder.listing(str(zipped(root, tmp_path / "set.zip") if packed else root), READING)
    assert listing.classes == ("cat", "dog")
    assert len(listing.splits) == len(folders) and "train" in listing.splits
    assert all(split.labels.tolist() == [0, 0, 1, 1] for split in listing.splits.values())


@pytest.mark.parametrize(
    "names",
    [
        ("bus", "train", "car"),
        ("steam train", "electric train"),
        ("train_station", "bus_station"),
        ("contest", "detest"),
        ("value", "invalid"),
        ("train", "crash test dummy", "car"),
    ],
)
def test_classes_that_are_called_so_stay_classes(tmp_path: Path, names: tuple[str, ...]) -> None:
    assert folder.listing(str(fill(tmp_path, dict.fromkeys(names, 1))), READING).classes == tuple(sorted(names))


def test_a_class_may_be_called_like_its_split(tmp_path: Path) -> None:
    root = fill(tmp_path, {"train/train": 1, "train/train/old": 1, "train/bus": 1, "test/train": 1, "test/bus": 1})
    assert folder.listing(str(root), READING).classes == ("bus", "train")


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ({"train_cats": 1, "test_cats": 1, "train_dogs": 1, "test_dogs": 1}, "look like splits; name them train and"),
        ({"train": 1, "evaluation": 1}, "look like splits"),
        ({"training": 1, "unlabeled": 1}, "look like splits"),
        ({"seg_train/a": 1, "seg_test/a": 1, "seg_pred": 1}, "'seg_pred' is beside train and is not a split"),
        ({"train/a": 1, "training/a": 1}, "has two folders for train: train and training"),
        (
            {"cat/train": 1, "cat/test": 1, "dog/train": 1, "dog/test": 1},
            "the class 'cat' holds folders that look like",
        ),
    ],
)
def test_folders_that_look_like_splits_and_are_not_understood_are_refused(
    tmp_path: Path, counts: dict[str, int], message: str
) -> None:
    fill(tmp_path, counts)
    with pytest.raises(RequestError) as error:
        folder.listing(str(tmp_path), READING)
    assert message in str(error.value) and "\n" not in str(error.value)


def test_splits_without_train_are_listed_for_an_evaluation(tmp_path: Path) -> None:
    listing = folder.listing(str(fill(tmp_path, {"val/a": 1, "test/b": 1})), READING)
    assert (listing.classes, set(listing.splits)) == (("a", "b"), {"validation", "test"})


@pytest.mark.parametrize(
    "tops", [("learn", "test"), ("raw-img", "test"), ("public_test", "private_test"), ("train_clean", "train_noisy")]
)
def test_folders_that_hold_the_same_classes_are_no_classes(tmp_path: Path, tops: tuple[str, str]) -> None:
    root = fill(tmp_path, {f"{top}/{name}": 2 for top in tops for name in ("cat", "dog")})
    with pytest.raises(RequestError, match="look like splits; name them train and test"):
        folder.listing(str(root), READING)


def test_classes_that_contain_the_same_folders_are_a_warning(tmp_path: Path) -> None:
    root = fill(tmp_path, {f"{top}/{name}": 2 for top in ("fold_1", "fold_2") for name in ("cat", "dog")})
    listing = folder.listing(str(root), READING)
    assert listing.classes == ("fold_1", "fold_2")
    (warning,) = listing.warnings
    assert "the classes 'fold_1', 'fold_2' all hold folders named 'cat', 'dog'" in warning
    fill(root, {"fold_3/bird": 2})
    assert folder.listing(str(root), READING).warnings == ()


def test_valid_and_invalid_may_be_classes(tmp_path: Path) -> None:
    assert folder.listing(str(fill(tmp_path, {"valid": 2, "invalid": 2})), READING).classes == ("invalid", "valid")


def test_photos_in_a_split_without_class_folders_are_refused_with_the_reason(tmp_path: Path) -> None:
    root = fill(tmp_path, {"train/cat": 2, "train/dog": 2, "test": 1})
    with pytest.raises(RequestError, match=r"test/000.jpg is in test without a class folder. Move it into one"):
        folder.listing(str(root), READING)


def test_a_single_file_is_not_a_folder(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("path,label\n", encoding="utf-8")
    with pytest.raises(RequestError, match=r"is a single file.*files:PATH"):
        folder.listing(str(tmp_path / "list.csv"), READING)
