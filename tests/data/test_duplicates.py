"""The same picture in several splits is found by its pixels, reported, and left out of training."""

import shutil
from pathlib import Path

import pytest
from PIL import Image

from tests.data.photos import encoded, fill, picture
from tfkd.data import Dataset, Split, open_source
from tfkd.errors import RequestError
from tfkd.recipe import Data


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = fill(tmp_path / "set", {f"train/{name}": 6 for name in "ab"})
    fill(root, {f"{split}/{name}": 2 for split in ("val", "test") for name in "ab"}, start=500)
    return root


def opened(root: Path, **fields: object) -> Dataset:
    return open_source(Data(source=f"folder:{root}", **fields), 1)


def names(split: Split) -> list[str]:
    return [split.name(i) for i in range(len(split))]


def test_without_copies_nothing_is_reported(root: Path) -> None:
    data = opened(root)
    assert (data.notes, data.warnings) == ((), ())
    assert data.fingerprint == opened(root, drop_duplicates=False).fingerprint


@pytest.mark.parametrize("split", ["val", "test"])
def test_a_copy_in_another_split_is_left_out_of_training(root: Path, split: str) -> None:
    before = opened(root)
    shutil.copy(root / split / "a" / "001.jpg", root / "train" / "a" / "other name.jpg")
    data = opened(root)
    assert names(data.train) == names(before.train)
    assert len(data.validation) == len(before.validation) and len(data.test) == len(before.test)
    (note,) = data.notes
    assert f"train/a/other name.jpg = {split}/a/001.jpg" in note and "1 training example left out" in note
    kept = opened(root, drop_duplicates=False)
    assert len(kept.train) == 13
    assert "1 training example kept though validation or test hold the same content" in kept.warnings[0]
    assert len({before.fingerprint, data.fingerprint, kept.fingerprint}) == 3


@pytest.mark.parametrize(("width", "height"), [(24, 16), (600, 400)])
def test_pixels_are_compared_and_not_files(root: Path, width: int, height: int) -> None:
    photo = picture(77, width, height)
    (root / "test" / "a" / "p.png").write_bytes(encoded(photo, "PNG"))
    (root / "train" / "a" / "p.bmp").write_bytes(encoded(photo, "BMP"))
    assert "train/a/p.bmp" not in names(opened(root).train)
    photo.putpixel((width // 2 + 1, height // 2 + 1), (1, 2, 3))  # between the pixels of the thumbnail
    (root / "train" / "a" / "p.bmp").write_bytes(encoded(photo, "BMP"))
    assert "train/a/p.bmp" in names(opened(root).train)


def test_copies_that_land_in_splits_that_are_drawn_are_found(tmp_path: Path) -> None:
    root = fill(tmp_path / "set", {"a": 20, "b": 20})
    for i in range(20):
        shutil.copy(root / "a" / f"{i:03}.jpg", root / "a" / f"copy{i:03}.jpg")
    data = opened(root, test_share=0.2)
    reference = {split.encoded(i) for split in (data.test, data.validation) for i in range(len(split))}
    assert not {data.train.encoded(i) for i in range(len(data.train))} & reference
    assert any("left out" in note for note in data.notes)


def test_contradicting_labels_are_reported(root: Path) -> None:
    shutil.copy(root / "train" / "a" / "001.jpg", root / "train" / "b" / "x.jpg")
    (warning, *_) = opened(root).warnings
    assert "1 example with several labels: train/a/001.jpg is 'a', train/b/x.jpg is 'b'" in warning
    assert len(opened(root).train) == 13, "which label is right is not known"


def test_repetitions_within_a_split_and_between_validation_and_test_are_reported(root: Path) -> None:
    shutil.copy(root / "train" / "a" / "001.jpg", root / "train" / "a" / "x.jpg")
    shutil.copy(root / "test" / "a" / "001.jpg", root / "val" / "a" / "x.jpg")
    assert set(opened(root).warnings) == {
        "1 training example with the same content as another one of that split",
        "validation holds the content of 1 test example as well",
    }


def test_unlabelled_copies_are_left_out(root: Path, tmp_path: Path) -> None:
    extra = fill(tmp_path / "extra", {"": 3}, start=900)
    shutil.copy(root / "test" / "a" / "001.jpg", extra / "seen.jpg")
    shutil.copy(root / "train" / "a" / "001.jpg", extra / "known.jpg")
    shutil.copy(extra / "001.jpg", extra / "again.jpg")
    data = opened(root, unlabelled=f"folder:{extra}")
    assert data.unlabelled is not None
    assert names(data.unlabelled) == ["000.jpg", "001.jpg", "002.jpg"] or names(data.unlabelled) == [
        "000.jpg",
        "002.jpg",
        "again.jpg",
    ]
    assert any("seen.jpg = test/a/001.jpg" in note for note in data.notes)
    assert data.labelled == opened(root).labelled
    kept = opened(root, unlabelled=f"folder:{extra}", drop_duplicates=False)
    assert kept.unlabelled is not None and len(kept.unlabelled) == 6


def test_a_training_set_that_is_the_test_set_is_refused(root: Path) -> None:
    for name in "ab":
        shutil.rmtree(root / "train" / name)
        shutil.copytree(root / "test" / name, root / "train" / name)
    with pytest.raises(RequestError, match=r"\(of the classes a, b\) are in validation or test as well \(train/a"):
        opened(root)
    shutil.rmtree(root / "train" / "b")
    fill(root, {"train/b": 3}, start=700)
    with pytest.raises(RequestError, match="all training examples of class 'a' are in validation or test as well"):
        opened(root)
    assert len(opened(root, drop_duplicates=False).train) == 5


def test_a_large_photo_whose_copy_vanishes_is_not_a_duplicate(root: Path) -> None:
    large = Image.effect_noise((400, 300), 50).convert("RGB")
    (root / "train" / "a" / "large.png").write_bytes(encoded(large, "PNG"))
    assert "train/a/large.png" in names(opened(root).train)
