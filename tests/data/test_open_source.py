from pathlib import Path

import pytest

from tests.data.photos import encoded, fill, picture, zipped
from tfkd.data import open_source
from tfkd.errors import RequestError
from tfkd.recipe import Data


def data(path: Path, **fields: object) -> Data:
    return Data(source=f"folder:{path}", **fields)


def test_a_folder_becomes_three_splits(tmp_path: Path) -> None:
    images = open_source(data(fill(tmp_path, {"a": 10, "b": 20})), 1)
    assert images.classes == ("a", "b")
    assert [len(split) for split in (images.train, images.validation, images.test)] == [24, 3, 3]
    assert (images.unlabelled, images.rejected) == (None, ())


def test_the_fingerprint_depends_on_photos_and_split_but_not_on_the_path(tmp_path: Path) -> None:
    root = fill(tmp_path / "set", {"a": 5, "b": 5})
    reference = open_source(data(root), 1).fingerprint
    assert open_source(data(zipped(root, tmp_path / "set.zip", "set/")), 1).fingerprint == reference
    assert open_source(data(root, image_size=64), 1).fingerprint == reference
    others = [
        open_source(data(root), 2),
        open_source(data(root, fraction=0.5), 1),
        open_source(data(root, test_share=0.3), 1),
    ]
    (root / "b" / "002.jpg").write_bytes(encoded(picture(99), "JPEG"))
    others.append(open_source(data(root), 1))
    assert len({reference, *(images.fingerprint for images in others)}) == 5


def test_unlabelled_images_are_added(tmp_path: Path) -> None:
    root = fill(tmp_path / "set", {"a": 5, "b": 5})
    extra = fill(tmp_path / "extra", {"": 3}, start=50)
    images = open_source(data(root, unlabelled=f"folder:{extra}"), 1)
    assert images.unlabelled is not None
    assert images.unlabelled.labels.tolist() == [-1, -1, -1]
    assert images.fingerprint != open_source(data(root), 1).fingerprint


def test_a_photo_that_vanishes_later_is_named(tmp_path: Path) -> None:
    root = fill(tmp_path, {"a": 5, "b": 5})
    images = open_source(data(root), 1)
    (root / images.train.name(0)).unlink()
    with pytest.raises(RequestError, match=f"{images.train.name(0)} can no longer be read"):
        images.train.load(0)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("foldr:x", "no source 'foldr'. Did you mean 'folder'?"),
        ("photos", "no source 'photos'. Known: embedded, files, folder, shards, table, texts, tfds."),
        ("folder:", "names nothing after the colon"),
        ("embedded:fashion_mnist", "Did you mean 'fashion_mnist_mini'?"),
    ],
)
def test_unknown_sources_get_the_nearest_name(source: str, message: str) -> None:
    with pytest.raises(RequestError) as error:
        open_source(Data(source=source), 1)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ({"a": 5, "b": 0}, "no readable training example of class 'b'"),
        ({"a": 5}, "only one class"),
        ({"train/a": 5, "train/b": 5, "validation": 0}, "the validation split holds no readable example"),
    ],
)
def test_sources_with_too_few_images_are_refused(tmp_path: Path, counts: dict[str, int], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        open_source(data(fill(tmp_path, counts)), 1)


def test_unlabelled_comes_from_a_folder(tmp_path: Path) -> None:
    root = fill(tmp_path, {"a": 5, "b": 5})
    with pytest.raises(RequestError, match="set it to folder:PATH, texts:FILE, table:FILE or rest"):
        open_source(data(root, unlabelled="tfds:mnist"), 1)
