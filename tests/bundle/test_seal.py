"""What operating systems and careless copies do to a bundle's files: each gets its own words."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.tools.bundles import write_bundle
from tfkd.bundle import seal
from tfkd.errors import RequestError
from tfkd.files import content_digest
from tfkd.verification import VerifyError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "tiny"
    write_bundle(folder, "android/a_fp32.tflite", "ios/a.mlpackage")
    seal.seal(folder)
    return folder


def checked(folder: Path) -> str:
    listed, _ = seal.listing(folder)
    return seal.checked(folder, listed)[1]


@pytest.mark.parametrize(
    "name",
    [
        ".DS_Store",
        "android/.DS_Store",
        "ios/a.mlpackage/Data/.DS_Store",
        "golden/Thumbs.db",
        "Desktop.ini",
        "._labels.txt",
        "__MACOSX/tiny/._labels.txt",
    ],
)
def test_files_that_operating_systems_leave_are_named_and_ignored(folder: Path, name: str) -> None:
    before = content_digest(folder / "ios" / "a.mlpackage")
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(b"left")
    listed, found = seal.listing(folder)
    assert name not in listed and f"ignored: {name}, which operating systems leave in folders" in found
    assert "no others are there" in checked(folder)
    assert content_digest(folder / "ios" / "a.mlpackage") == before
    seal.seal(folder)
    assert name not in (folder / "SHA256SUMS").read_text()


def with_windows_line_ends(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))


@pytest.mark.parametrize("name", ["labels.txt", "manifest.json", "SHA256SUMS"])
def test_windows_line_ends_get_their_own_words(folder: Path, name: str) -> None:
    with_windows_line_ends(folder / name)
    with pytest.raises(VerifyError) as raised:
        checked(folder)
    assert str(raised.value).startswith(f"{name}: has Windows line ends (CR LF) and is otherwise as it was")


def test_every_kind_of_difference_is_named(folder: Path) -> None:
    with_windows_line_ends(folder / "labels.txt")
    (folder / "golden" / "001.png").unlink()
    (folder / "notes.txt").write_text("x")
    (folder / "android" / "a_fp32.tflite").write_bytes(b"other\r\n")
    with pytest.raises(VerifyError) as raised:
        checked(folder)
    message = str(raised.value)
    for words in (
        "golden/001.png: is missing.",
        "notes.txt: is not in SHA256SUMS.",
        "labels.txt: has Windows line ends",
        "android/a_fp32.tflite: not as it was when the bundle was sealed",
    ):
        assert words in message


def nested(folder: Path, name: str, depth: int) -> None:
    """Makes folders in folders, deeper than any path may be long."""
    place = os.open(folder, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir(name, dir_fd=place)
        inner = os.open(name, os.O_RDONLY, dir_fd=place)
        os.close(place)
        place = inner
    os.close(place)


@pytest.mark.parametrize(("name", "depth"), [("a", 101), ("a", 3000), ("n" * 255, 50)])
def test_folders_of_any_depth_get_one_line(folder: Path, name: str, depth: int) -> None:
    nested(folder, name, depth)
    with pytest.raises(VerifyError) as raised:
        seal.listing(folder)
    assert len(str(raised.value)) < 1000
    assert "folders deep; no bundle is" in str(raised.value) or "File name too long" in str(raised.value)
    subprocess.run(["rm", "-rf", folder / name], check=True)


def test_a_folder_that_is_nested_less_is_listed(folder: Path) -> None:
    nested(folder, "a", 90)
    assert "no others are there" in checked(folder)


@pytest.mark.parametrize("rename", [str.upper, lambda name: name.replace("b", "B")])
def test_names_that_differ_only_by_case_are_refused(folder: Path, rename: Callable[[str], str]) -> None:
    assert seal.colliding_names(seal.listing(folder)[0]) == []
    (folder / rename("labels.txt")).write_text("x")
    assert seal.colliding_names(seal.listing(folder)[0]) == sorted(["labels.txt", rename("labels.txt")])
    assert seal.colliding_names(["\u00d6.txt", "O\u0308.txt", "o.txt"]) == ["O\u0308.txt", "\u00d6.txt"]


def test_a_file_in_a_sealed_bundle_is_refused_except_measurements(folder: Path, tmp_path: Path) -> None:
    (folder / "manifest.json").touch()
    for free in (None, tmp_path / "a.json", folder / "measurements" / "a.json"):
        seal.require_unsealed(free)
    (tmp_path / "link").symlink_to(folder)
    for inside in ("manifest.json", "new.svg", "android/new.json", "measurements/../labels.txt"):
        for place in (folder, tmp_path / "link"):
            with pytest.raises(RequestError, match="which is sealed"):
                seal.require_unsealed(place / inside)
    (folder / "SHA256SUMS").unlink()
    seal.require_unsealed(folder / "new.svg")


def test_a_link_that_leads_to_itself_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(RequestError, match=r"loop leads to itself by symbolic links\. Name a file\.$"):
        seal.require_unsealed(tmp_path / "loop")
