"""Class names: one Unicode form, the right code page in zips, and only names that a label file can hold."""

import os
import struct
import zipfile
import zlib
from pathlib import Path

import pytest

from tests.data.photos import READING, encoded, fill, picture, zipped
from tfkd.data import folder, open_source
from tfkd.errors import RequestError
from tfkd.recipe import Data

COMPOSED, DECOMPOSED = "caf\u00e9", "cafe\u0301"


def packed(path: Path, names: list[bytes], utf_8: bool = False, extra: bytes = b"") -> Path:
    """Writes a zip whose folder names have exactly these bytes, with one photo each."""
    placeholders = [bytes([65 + k]) * len(name) for k, name in enumerate(names)]
    with zipfile.ZipFile(path, "w") as archive:
        for number, name in enumerate(placeholders):
            info = zipfile.ZipInfo(f"{name.decode()}/0.jpg")
            info.extra = extra
            archive.writestr(info, encoded(picture(number), "JPEG"))
    content = path.read_bytes()
    for placeholder, name in zip(placeholders, names, strict=True):
        content = content.replace(placeholder + b"/0.jpg", name + b"/0.jpg")
    if utf_8:
        content = content.replace(b"PK\x01\x02\x14\x03\x14\0\0\0", b"PK\x01\x02\x14\x03\x14\0\0\x08")
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("names", "utf_8", "classes"),
    [
        ([COMPOSED.encode(), b"bar"], False, ("bar", COMPOSED)),
        ([COMPOSED.encode(), b"bar"], True, ("bar", COMPOSED)),
        ([DECOMPOSED.encode(), b"bar"], False, ("bar", COMPOSED)),
        (["Äpfel".encode("cp437"), b"bar"], False, ("bar", "Äpfel")),
        (["猫".encode(), "犬".encode()], False, ("犬", "猫")),
    ],
)
def test_names_in_a_zip(tmp_path: Path, names: list[bytes], utf_8: bool, classes: tuple[str, ...]) -> None:
    listing = folder.listing(str(packed(tmp_path / "set.zip", names, utf_8)), READING)
    assert listing.classes == classes
    for i in range(2):
        assert listing.splits["train"].load(i).size == (24, 16)


def test_the_unicode_name_beside_an_old_one_counts(tmp_path: Path) -> None:
    name = "犬/0.jpg".encode()
    field = struct.pack("<BL", 1, zlib.crc32(b"??/0.jpg")) + name
    extra = struct.pack("<HH", 0x7075, len(field)) + field
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        info = zipfile.ZipInfo("??/0.jpg")
        info.extra = extra
        archive.writestr(info, encoded(picture(1), "JPEG"))
        archive.writestr("bar/0.jpg", encoded(picture(2), "JPEG"))
    assert folder.listing(str(tmp_path / "set.zip"), READING).classes == ("bar", "犬")


def test_both_unicode_forms_are_one_class(tmp_path: Path) -> None:
    root = fill(tmp_path / "set", {f"train/{DECOMPOSED}": 2, f"test/{COMPOSED}": 1, "train/b": 2, "test/b": 1})
    listing = folder.listing(str(root), READING)
    assert listing.classes == ("b", COMPOSED)
    assert listing.splits["test"].labels.tolist() == [0, 1]
    again = folder.listing(str(zipped(root, tmp_path / "set.zip")), READING)
    assert again.classes == listing.classes


def test_pairs_are_found_in_any_unicode_form(tmp_path: Path) -> None:
    split = folder.listing(str(fill(tmp_path / "photos", {COMPOSED: 2, "b": 2})), READING).splits["train"]
    assert len(folder.paired(split, str(fill(tmp_path / "depth", {DECOMPOSED: 2, "b": 2})))) == 4


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        (b"two\nlines", "a line break"),
        (b"two\rlines", "a line break"),
        ("two\u2028lines".encode(), "a line break"),
        (b"two\x85lines".decode("latin-1").encode(), "a line break"),
        (b"bell\x07", "a control character"),
        (b"caf\xe9", "bytes that are no UTF-8"),
        (b" cat", "begins or ends with white space"),
        ("cat\u3000".encode(), "begins or ends with white space"),
        (b" ", "the name is empty"),
        ("\ufeffcat".encode(), "begins or ends with white space"),
    ],
)
def test_names_that_cannot_be_labels_are_refused_when_the_data_is_read(
    tmp_path: Path, name: bytes, reason: str
) -> None:
    root = fill(tmp_path / "set", {"a": 5, "b": 5})
    os.rename(os.fsencode(root / "b"), os.fsencode(root) + b"/" + name)  # noqa: PTH104  (a name that is no text)
    with pytest.raises(RequestError, match=reason) as error:
        open_source(Data(source=f"folder:{root}"), 1)
    assert str(error.value).isprintable() and "cannot be a label" in str(error.value)


def test_names_that_can_be_labels_are_not(tmp_path: Path) -> None:
    names = ('the "green" 🐸', "👩‍👩‍👧", "dark, red", "a;b", "$x", "\\d", "%s", "1")
    root = fill(tmp_path, {name: 5 for name in names if "\\" not in name})
    assert len(open_source(Data(source=f"folder:{root}"), 1).classes) == 7


def test_names_in_an_old_code_page_are_reported(tmp_path: Path) -> None:
    listing = folder.listing(str(packed(tmp_path / "old.zip", ["röd".encode("cp1252"), b"bar"])), READING)
    (note,) = listing.notes
    assert "names are not in UTF-8 and were read in code page 437, for example 'r÷d/0.jpg'" in note
    assert folder.listing(str(packed(tmp_path / "new.zip", ["röd".encode(), b"bar"])), READING).notes == ()


@pytest.mark.parametrize("prefix", ["./", "top//", "./top/./"])
def test_needless_parts_of_names_in_a_zip_do_not_matter(tmp_path: Path, prefix: str) -> None:
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        for number, name in enumerate(("bar", "foo")):
            archive.writestr(f"{prefix}{name}/", b"")
            archive.writestr(f"{prefix}{name}/0.jpg", encoded(picture(number), "JPEG"))
    listing = folder.listing(str(tmp_path / "set.zip"), READING)
    assert listing.classes == ("bar", "foo") and len(listing.splits["train"]) == 2


@pytest.mark.parametrize("pair", [("Red", "red"), ("t-shirt", "t_shirt"), ("fish", "\ufb01sh"), ("red", "red\u200b")])
def test_classes_of_almost_the_same_name_are_reported(tmp_path: Path, pair: tuple[str, str]) -> None:
    data = open_source(Data(source=f"folder:{fill(tmp_path, {**dict.fromkeys(pair, 6), 'other': 6})}"), 1)
    first, second = sorted(pair)
    assert len(data.classes) == 3
    assert any(f"the classes {first!r} and {second!r} have almost the same name" in text for text in data.warnings)


def test_a_class_that_train_has_under_another_spelling_is_suggested(tmp_path: Path) -> None:
    root = fill(tmp_path, {"train/red": 2, "train/blue": 2, "test/Red": 1})
    with pytest.raises(RequestError, match=r"test has class 'Red', which train has not. Did you mean 'red'?"):
        folder.listing(str(root), READING)
    (root / "test" / "Red").rename(root / "test" / "green")
    with pytest.raises(RequestError, match=r"which train has not. Add it there"):
        folder.listing(str(root), READING)


def test_a_refused_name_stays_legible(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="the class '赤い ' cannot be a label"):
        folder.listing(str(fill(tmp_path, {"赤い ": 2, "b": 2})), READING)
