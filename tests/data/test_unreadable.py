"""Files of a source that cannot be read are counted as rejected, with name and reason."""

import os
import stat
import zipfile
from pathlib import Path

import pytest

from tests.data.photos import encoded, fill, picture
from tfkd.data import open_source
from tfkd.errors import RequestError
from tfkd.recipe import Data


def rejected(path: Path, **fields: object) -> tuple[str, ...]:
    return open_source(Data(source=f"folder:{path}", max_rejected=0.5, **fields), 1).rejected


def test_broken_links_are_rejected_by_name(tmp_path: Path) -> None:
    root = fill(tmp_path / "set", {"blue": 6, "red": 6})
    (root / "red" / "gone.jpg").symlink_to("../../.git/annex/objects/xx/yy.jpg")
    (root / "blue" / "gone0.jpg").symlink_to(tmp_path / "nowhere.jpg")
    (root / "blue" / "kept.jpg").symlink_to("/srv/.dvc/cache/ab/cd")
    (root / "blue" / "circle.jpg").symlink_to("circle.jpg")
    (root / "blue" / "notes.txt").symlink_to("nowhere.txt")
    assert rejected(root) == (
        "blue/circle.jpg: a link that leads to itself",
        "blue/gone0.jpg: a link to nothing (fetch it)",
        "blue/kept.jpg: a link to nothing (fetch it: dvc pull)",
        "red/gone.jpg: a link to nothing (fetch it: git annex get)",
    )
    with pytest.raises(
        RequestError, match=r"4 of 16 examples cannot be read, over data.max_rejected = 0.01: blue/circ"
    ):
        open_source(Data(source=f"folder:{root}"), 1)


def test_a_class_that_is_a_broken_link_is_reported(tmp_path: Path) -> None:
    root = fill(tmp_path / "set", {"blue": 6, "red": 6})
    (root / "green").symlink_to(tmp_path / "nowhere")
    with pytest.raises(RequestError, match=r"green is a link to nothing \(fetch it\); fetch or remove it"):
        rejected(root)


def test_pipes_sockets_and_folders_are_not_photos(tmp_path: Path) -> None:
    root = fill(tmp_path / "set", {"blue": 6, "red": 6})
    os.mkfifo(root / "red" / "pipe.jpg")
    (root / "red" / "folder.jpg").mkdir()
    assert rejected(root) == ("red/folder.jpg: a folder, not a file", "red/pipe.jpg: a pipe, not a file")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_files_without_permission_are_rejected(tmp_path: Path) -> None:
    root = fill(tmp_path / "set", {"blue": 6, "red": 6})
    (root / "red" / "000.jpg").chmod(0)
    assert rejected(root) == ("red/000.jpg: Permission denied",)


def test_unlabelled_photos_count_as_well(tmp_path: Path) -> None:
    root, extra = fill(tmp_path / "set", {"blue": 6, "red": 6}), fill(tmp_path / "extra", {"": 3}, start=60)
    (extra / "gone.jpg").symlink_to("nowhere")
    assert rejected(root, unlabelled=f"folder:{extra}") == ("gone.jpg: a link to nothing (fetch it)",)


def test_links_that_a_zip_stores_are_rejected(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        for number in range(12):
            archive.writestr(f"{'ab'[number % 2]}/{number}.jpg", encoded(picture(number), "JPEG"))
        link = zipfile.ZipInfo("b/link.jpg")
        link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "../a/0.jpg")
    assert rejected(tmp_path / "set.zip") == ("b/link.jpg: a link stored in the zip (pack the file that it leads to)",)


def test_a_link_to_a_parent_folder_is_not_a_class(tmp_path: Path) -> None:
    root = fill(tmp_path / "set", {"blue": 6, "red": 6})
    (root / "self").symlink_to(".")
    (root / "red" / "up").symlink_to("..")
    data = open_source(Data(source=f"folder:{root}"), 1)
    assert data.classes == ("blue", "red") and data.warnings == ()


def test_a_broken_link_as_a_class_of_a_split_is_named(tmp_path: Path) -> None:
    root = fill(tmp_path / "set", {"train/blue": 6, "train/red": 6})
    (root / "train" / "green").symlink_to(tmp_path / "nowhere")
    with pytest.raises(RequestError, match=r"train/green is a link to nothing \(fetch it\); fetch or remove it"):
        rejected(root)


def test_an_unlabelled_folder_without_images_needs_no_classes(tmp_path: Path) -> None:
    root = fill(tmp_path / "set", {"blue": 6, "red": 6})
    (tmp_path / "more").mkdir()
    with pytest.raises(RequestError, match=r"holds no examples. Give a folder or a .zip of examples.$"):
        rejected(root, unlabelled=f"folder:{tmp_path / 'more'}")
    assert "data.unlabelled=rest adds no examples: data.fraction leaves none out" in (
        open_source(Data(source=f"folder:{root}", unlabelled="rest"), 1).warnings
    )


def test_a_photo_of_too_many_pixels_is_refused_with_the_reason(tmp_path: Path) -> None:
    root = fill(tmp_path / "set", {"blue": 6, "red": 6})
    huge = bytearray(encoded(picture(), "BMP"))
    huge[18:26] = (20_000).to_bytes(4, "little") * 2
    (root / "red" / "huge.bmp").write_bytes(huge)
    assert rejected(root) == ("red/huge.bmp: more than 178,956,970 pixels; shrink it",)
