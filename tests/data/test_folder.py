import struct
import tracemalloc
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.data.photos import READING, encoded, fill, picture, zipped
from tfkd.data import folder
from tfkd.data.dataset import Listing, Split
from tfkd.errors import RequestError
from tfkd.inputs.image.reading import ImageReading
from tfkd.inputs.kind import ExampleError


def names(listing: Listing, split: str) -> list[tuple[str, str]]:
    part = listing.splits[split]
    return [(part.name(i), listing.classes[part.labels[i]]) for i in range(len(part))]


def test_class_folders_alone_are_training_images(tmp_path: Path) -> None:
    fill(tmp_path, {"dog": 2, "cat": 1, "cat/old": 1})
    (tmp_path / "dog" / "notes.txt").write_text("no photo")
    (tmp_path / "dog" / ".hidden.jpg").write_text("no photo")
    (tmp_path / "__MACOSX" / "dog").mkdir(parents=True)
    listing = folder.listing(str(tmp_path), READING)
    assert listing.classes == ("cat", "dog")
    assert names(listing, "train") == [
        ("cat/000.jpg", "cat"),
        ("cat/old/000.jpg", "cat"),
        ("dog/000.jpg", "dog"),
        ("dog/001.jpg", "dog"),
    ]
    assert listing.splits["train"].load(2).size == (24, 16)


@pytest.mark.parametrize("validation", ["validation", "val", "Valid"])
@pytest.mark.parametrize("top", ["", "set/inner/"])
def test_split_folders_under_their_usual_names(tmp_path: Path, validation: str, top: str) -> None:
    fill(tmp_path / top, {"train/b": 2, "train/a": 1, f"{validation}/b": 1, "test/a": 1})
    listing = folder.listing(str(tmp_path), READING)
    assert listing.classes == ("a", "b")
    assert {name: split.labels.tolist() for name, split in listing.splits.items()} == {
        "train": [0, 1, 1],
        "validation": [1],
        "test": [0],
    }


def test_classes_called_like_splits_stay_classes(tmp_path: Path) -> None:
    assert folder.listing(str(fill(tmp_path, {"bus": 1, "train": 1, "car": 1})), READING).classes == (
        "bus",
        "car",
        "train",
    )


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_zip_reads_like_its_folder_from_many_threads(tmp_path: Path, method: int) -> None:
    root = fill(tmp_path / "set", {"train/a": 9, "train/b": 7, "test/b": 1, "test/a": 2})
    plain = folder.listing(str(root), READING).splits
    packed = folder.listing(str(zipped(root, tmp_path / "set.zip", "set/", method)), READING).splits
    assert plain.keys() == packed.keys()
    for name, split in plain.items():
        np.testing.assert_array_equal(split.labels, packed[name].labels)
        assert [f"set/{split.name(i)}" for i in range(len(split))] == list(map(packed[name].name, range(len(split))))
    order = np.random.default_rng(0).integers(0, 16, 2000)
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(packed["train"].encoded, order)) == list(map(plain["train"].encoded, order))


def test_unlabelled_images_are_found_in_any_folder(tmp_path: Path) -> None:
    split = folder.unlabelled(str(fill(tmp_path, {"": 1, "x/y": 2})), READING)
    assert split.labels.tolist() == [-1, -1, -1]
    assert [split.name(i) for i in range(3)] == ["000.jpg", "x/y/000.jpg", "x/y/001.jpg"]


def test_links_are_followed_without_cycles(tmp_path: Path) -> None:
    fill(tmp_path / "store", {"a": 1})
    fill(tmp_path / "set", {"b": 1})
    (tmp_path / "set" / "a").symlink_to(tmp_path / "store" / "a")
    (tmp_path / "set" / "b" / "up").symlink_to(tmp_path / "set")
    listing = folder.listing(str(tmp_path / "set"), READING)
    assert names(listing, "train") == [("a/000.jpg", "a"), ("b/000.jpg", "b")]


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ({}, "holds no examples"),
        ({"a": 1, "": 1}, "000.jpg is outside of the class folders"),
        ({"top/a": 1, "top/b": 1, "top": 1}, "top/000.jpg is outside of the class folders"),
        ({"train/a": 1, "train/b": 1, "test": 1}, "test/000.jpg is in test without a class folder"),
        ({"train/a": 1, "train/b": 1, "test/c": 1}, "test has class 'c', which train has not"),
        ({"train/a": 1, "extra/a": 1}, "'extra' is beside train and is not a split"),
        ({"train/a": 1, "val/a": 1, "valid/a": 1}, "has two folders for validation: val and valid"),
    ],
)
def test_wrong_layouts_get_one_clear_line(tmp_path: Path, counts: dict[str, int], message: str) -> None:
    fill(tmp_path, counts)
    with pytest.raises(RequestError) as error:
        folder.listing(str(tmp_path), READING)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_path_that_is_neither_a_folder_nor_a_zip_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"There is no .*nowhere"):
        folder.listing(str(tmp_path / "nowhere"), READING)
    (tmp_path / "list").write_text("a,b")
    with pytest.raises(RequestError, match=r"list is not a readable \.zip"):
        folder.listing(str(tmp_path / "list"), READING)


@pytest.mark.parametrize("name", ["../evil/a.jpg", "/etc/a.jpg", "a/../../b.jpg", "a\\..\\..\\b.jpg"])
def test_a_zip_that_reaches_outside_is_refused(tmp_path: Path, name: str) -> None:
    with zipfile.ZipFile(tmp_path / "slip.zip", "w") as archive:
        archive.writestr("a/good.jpg", encoded(picture(), "JPEG"))
        archive.writestr(name, encoded(picture(), "JPEG"))
    with pytest.raises(RequestError, match="points outside of the zip"):
        folder.listing(str(tmp_path / "slip.zip"), READING)


def central_header(content: bytes, name: bytes) -> int:
    """Returns where the archive's directory describes a file (APPNOTE 6.3.10, section 4.3.12)."""
    return content.rindex(name) - 46


def test_a_zip_packed_in_other_ways_is_refused(tmp_path: Path) -> None:
    root = fill(tmp_path / "set", {"a": 1, "b": 1})
    with pytest.raises(RequestError, match="packed with method 14"):
        folder.listing(str(zipped(root, tmp_path / "lzma.zip", method=zipfile.ZIP_LZMA)), READING)
    plain = zipped(root, tmp_path / "plain.zip")
    content = bytearray(plain.read_bytes())
    content[central_header(content, b"a/000.jpg") + 8] |= 1  # the flag of encryption
    plain.write_bytes(content)
    with pytest.raises(RequestError, match="is encrypted"):
        folder.listing(str(plain), READING)


def test_a_damaged_or_inconsistent_zip_entry_is_a_rejected_photo(tmp_path: Path) -> None:
    root = fill(tmp_path / "set", {"a": 1, "b": 1})
    path = zipped(root, tmp_path / "set.zip")
    content = bytearray(path.read_bytes())
    for field, value, reason in ((24, 10, "checksum"), (24, 1 << 30, "larger than 256 MiB"), (42, 5, "damaged")):
        damaged = bytearray(content)
        struct.pack_into("<I", damaged, central_header(content, b"a/000.jpg") + field, value)
        path.write_bytes(damaged)
        split = folder.listing(str(path), READING).splits["train"]
        with pytest.raises(ExampleError, match=reason):
            split.encoded(0)


def test_listing_many_files_holds_names_and_numbers_only(tmp_path: Path) -> None:
    count = 20_000
    with zipfile.ZipFile(tmp_path / "many.zip", "w") as archive:
        for i in range(count):
            archive.writestr(f"top/train/class{i % 10}/photo{i:06}.jpg", b"x" * 1000)
    tracemalloc.start()
    listing = folder.listing(str(tmp_path / "many.zip"), READING)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(listing.splits["train"]) == count
    assert held / count < 250  # bytes a photo: its name, seven numbers
    assert listing.splits["train"].encoded(count - 1) == b"x" * 1000


def pairs(split: Split, other: Split) -> list[tuple[str, str]]:
    return [(split.name(i), other.name(i)) for i in range(len(split))]


@pytest.mark.parametrize("packed", [False, True])
def test_a_pair_has_the_same_place_and_any_extension(tmp_path: Path, packed: bool) -> None:
    fill(tmp_path / "photos", {"train/b": 2, "train/a.b": 1, "test/b": 2, "train/b/old": 1})
    for file in sorted((tmp_path / "photos").rglob("*.jpg")):
        other = tmp_path / "depth" / file.relative_to(tmp_path / "photos").with_suffix(".png")
        other.parent.mkdir(parents=True, exist_ok=True)
        picture(7, 48, 32).save(other)
    path = zipped(tmp_path / "depth", tmp_path / "depth.zip", "inner/depth/") if packed else tmp_path / "depth"
    for split in folder.listing(str(tmp_path / "photos"), READING).splits.values():
        part = replace(split.take(np.arange(len(split))[::-1]), reading=ImageReading(40))
        other = folder.paired(part, str(path))
        top = "inner/depth/" if packed else ""
        assert [theirs for _, theirs in pairs(part, other)] == [
            f"{top}{part.name(i).removesuffix('.jpg')}.png" for i in range(len(part))
        ]
        np.testing.assert_array_equal(other.labels, part.labels)
        assert other.load(0).size == (40, 27)


def test_the_file_of_the_same_extension_is_the_partner(tmp_path: Path) -> None:
    split = folder.listing(str(fill(tmp_path / "photos", {"a": 2})), READING).splits["train"]
    fill(tmp_path / "depth", {"a": 2})
    picture().save(tmp_path / "depth" / "a" / "001.png")
    assert pairs(split, folder.paired(split, str(tmp_path / "depth")))[1] == ("a/001.jpg", "a/001.jpg")
    (tmp_path / "depth" / "a" / "001.jpg").rename(tmp_path / "depth" / "a" / "001.webp")
    with pytest.raises(RequestError, match=r"a/001.png and a/001.webp could both belong to a/001.jpg"):
        folder.paired(split, str(tmp_path / "depth"))


def test_missing_partners_are_named_and_counted(tmp_path: Path) -> None:
    split = folder.listing(str(fill(tmp_path / "photos", {"train/a": 3, "train/b": 2, "test/a": 1})), READING).splits[
        "train"
    ]
    fill(tmp_path / "depth", {"train/a": 1, "train/b": 2, "test/a": 3})  # those of test are no partners
    with pytest.raises(
        RequestError, match=r"no partner for 2 of 5 examples; the first one is 'train/a/001.jpg'"
    ) as caught:
        folder.paired(split, str(tmp_path / "depth"))
    assert "\n" not in str(caught.value)
    with pytest.raises(RequestError, match="There is no"):
        folder.paired(split, str(tmp_path / "nowhere"))
    assert len(folder.paired(split.take(np.array([], np.int64)), str(tmp_path / "depth"))) == 0
