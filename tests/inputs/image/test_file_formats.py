"""Files that are not photos are named by what their bytes are, whatever their extension says."""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, TiffImagePlugin, features

from tests.data.photos import encoded, fill, picture, tiff
from tfkd.data import open_source
from tfkd.errors import RequestError
from tfkd.inputs.image.decode import ExampleError, decode
from tfkd.inputs.image.file_formats import described, is_heic
from tfkd.recipe import Data

LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 1234\n"


def box(*brands: bytes) -> bytes:
    content = b"ftyp" + brands[0] + b"\0\0\0\0" + b"".join(brands[1:])
    return (len(content) + 4).to_bytes(4, "big") + content + b"\0" * 64


def upright(width: int = 64, height: int = 48) -> Image.Image:
    """Four different quarters, 240, 160, 80 and 0, so that every rotation is visible."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[: height // 2, : width // 2], pixels[: height // 2, width // 2 :] = 240, 160
    pixels[height // 2 :, : width // 2] = 80
    return Image.fromarray(pixels)


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (b"", "an empty file"),
        (b"\0" * 500, "nothing but zero bytes"),
        (LFS, "a Git LFS pointer; fetch the file with: git lfs pull"),
        (b"/annex/objects/SHA256E-s10--abc.jpg\n", "git annex get"),
        (b"../../.dvc/cache/ab/cdef", "a link stored as text"),
        (box(b"qt  "), "a video (QuickTime)"),
        (box(b"isom", b"mp41"), "a video (MP4)"),
        (b"\0\0\0\x08wide" + b"\0\0\1\0mdat", "a video (QuickTime)"),
        (b"RIFF\0\0\0\0AVI LIST", "a video (AVI)"),
        (b"\x1aE\xdf\xa3" + b"x" * 40, "a video (Matroska"),
        (box(b"crx ", b"isom"), "RAW photo (CR3)"),
        (b"II*\0\x10\0\0\0CR\x02\0" + b"\0" * 40, "RAW photo (CR2)"),
        (b"FUJIFILMCCD-RAW 0201", "RAW photo (RAF)"),
        (b"IIU\0" + b"x" * 40, "RAW photo (RW2)"),
        (b"IIRO\x08\0\0\0" + b"x" * 40, "RAW photo (ORF)"),
        (b"\0" * 128 + b"DICM" + b"x", "a DICOM image"),
        (b"%PDF-1.7\n", "a PDF document"),
        (b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>', "an SVG drawing"),
        (b"<!DOCTYPE html>\n<html><h1>404 Not Found</h1>", "an HTML page"),
        (b"\xef\xbb\xbf<html>", "an HTML page"),
        (b"<plist><key>adjustmentFormatIdentifier</key>", "an Apple sidecar file of edits (AAE)"),
        (b"bplist00", "an Apple property list"),
        (b"PK\x03\x04abc", "a .zip"),
        (b"\xff\x0a\0\1", "a JPEG XL photo"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF", "a damaged JPEG photo"),
        (b"Not found\n", "a text file, perhaps the error message of a download"),
        (b'{"error": "not found"}', "a text file, perhaps the error message of a download"),
        (b"<head><title>403 Forbidden</title></head>", "an HTML page"),
        ("<html>caf\u00e9</html>".encode("latin-1"), "an HTML page"),
        ("<html></html>".encode("utf-16"), "an HTML page"),
        (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", "an XML file, perhaps the error message"),
        (b"\xef\xbb\xbf" + LFS, "a Git LFS pointer"),
        (b"version https://hawser.github.com/spec/v1\n", "a Git LFS pointer"),
        (b"../.git/annex/objects/Xx/Yy/SHA256E-s10--abc.jpg", "git annex get"),
        (b"https://example.com/a.jpg", "a web address as text (https://example.com/a.jpg)"),
        (b"/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAgGBgcGBQgH", "a picture encoded as text (base64)"),
        (b"data:image/png;base64,iVBORw0KGgo", "a picture encoded as text (a data URL)"),
        (b"HTTP/1.1 200 OK\r\n\r\n\xff\xd8\xff", "a web server's response"),
        (b"\n%PDF-1.7\n", "a PDF document"),
        (b"a.jpg".ljust(257, b"\0") + b"ustar\0", "a tar archive"),
        (b"\xff\xd8", "a damaged JPEG photo"),
        (bytes(range(200, 256)) * 9, "not a photo of a known format"),
    ],
)
def test_a_file_is_named_by_its_bytes(content: bytes, name: str) -> None:
    assert name in described(content)
    with pytest.raises(ExampleError) as error:
        decode(content, 1024)
    assert name in str(error.value) or content[:2] == b"\xff\xd8"
    assert "\n" not in str(error.value)


def test_raw_photos_that_are_tiff_files_do_not_become_their_thumbnails() -> None:
    for tags, name in (({50706: b"\1\4\0\0"}, "DNG"), ({254: 1, 271: "NIKON CORPORATION"}, "NIKON")):
        directory = TiffImagePlugin.ImageFileDirectory_v2()
        for tag, value in tags.items():
            directory[tag] = value
        raw = encoded(picture(), "TIFF", tiffinfo=directory)
        with pytest.raises(ExampleError, match=f"RAW photo.*{name}"):
            decode(raw, 1024)
    plain = TiffImagePlugin.ImageFileDirectory_v2()
    plain[271] = "NIKON CORPORATION"
    assert decode(encoded(picture(), "TIFF", tiffinfo=plain), 1024).size == (24, 16), "a scan names its maker too"


@pytest.mark.parametrize(
    ("photo", "name"),
    [
        (
            tiff(np.zeros((4, 4))),
            "of 1 floating-point channel of 64 bits, which is not read; convert it to PNG, or to a",
        ),
        (tiff(np.zeros((4, 4, 3), np.float32)), "of 3 floating-point channels of 32 bits"),
        (tiff(np.zeros((4, 4), np.float16)), "of 1 floating-point channel of 16 bits"),
        (tiff(np.zeros((4, 4), np.float32))[:20], "a damaged TIFF or RAW photo"),
    ],
)
def test_a_tiff_that_is_not_read_is_named_by_its_depth(photo: bytes, name: str) -> None:
    with pytest.raises(ExampleError) as error:
        decode(photo, 1024)
    assert name in str(error.value)


def test_a_canon_raw_photo_does_not_become_its_preview() -> None:
    preview = encoded(picture(), "TIFF")
    assert preview[4:8] == b"\x08\0\0\0"
    directory = preview[8 : 8 + 2 + 12 * int.from_bytes(preview[8:10], "little") + 4]
    moved = preview[:4] + len(preview).to_bytes(4, "little") + b"....%s" + preview[14:] + directory
    assert decode(moved.replace(b"%s", b"\0\0"), 1024).size == (24, 16)
    with pytest.raises(ExampleError, match=r"a Canon RAW photo \(CR2\)"):
        decode(moved.replace(b"....%s", b"CR\x02\0\0\0"), 1024)


def test_equal_reasons_are_named_once(tmp_path: Path) -> None:
    root = fill(tmp_path, {"a": 6, "b": 6})
    for i in range(5):
        (root / "a" / f"{i:03}.jpg").write_bytes(b"")
    (root / "b" / "001.jpg").write_bytes(LFS)
    with pytest.raises(RequestError) as error:
        open_source(Data(source=f"folder:{root}"), 1)
    assert "a/000.jpg, a/001.jpg, a/002.jpg and 2 more: an empty file; b/001.jpg: a Git LFS pointer" in str(error.value)
    for i in range(4):
        (root / "b" / f"{i:03}.jpg").write_bytes(f"/store/{i}".encode())
    with pytest.raises(RequestError, match=r"an empty file; .*to /store/0.*to /store/1.*file itself and 2 more\."):
        open_source(Data(source=f"folder:{root}"), 1)


def heic(image: Image.Image, **options: object) -> bytes:
    pillow_heif = pytest.importorskip("pillow_heif", reason="pillow-heif is not installed (extra heic)")
    pillow_heif.register_heif_opener()
    return encoded(image, "HEIF", quality=90, **options)


def corners(image: Image.Image) -> list[int]:
    return [image.getpixel((x, y))[0] for y in (4, image.height - 5) for x in (4, image.width - 5)]


@pytest.mark.parametrize("write", [heic, lambda image, **options: encoded(image, "AVIF", quality=90, **options)])
@pytest.mark.parametrize("orientation", [None, 1, 3, 6, 8, 5])
def test_phones_photos_come_out_upright(write: Callable[..., bytes], orientation: int | None) -> None:
    if write is not heic and not features.check("avif"):
        pytest.skip("this Pillow reads no AVIF")
    turns = {
        None: None,
        1: None,
        3: Image.Transpose.ROTATE_180,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        8: Image.Transpose.ROTATE_270,
    }
    turn, options = turns[orientation], {}
    stored = upright() if turn is None else upright().transpose(turn)
    if orientation is not None:
        exif = Image.Exif()
        exif[0x0112] = orientation
        options["exif"] = exif.tobytes()
    photo = write(stored, **options)
    assert is_heic(photo) == (write is heic)
    image = decode(photo, 1024)
    assert image.size == (64, 48)
    np.testing.assert_allclose(corners(image), [240, 160, 80, 0], atol=12)


def test_heic_under_another_name_is_read_as_part_of_a_data_set(tmp_path: Path) -> None:
    root = fill(tmp_path, {"a": 6, "b": 6})
    (root / "a" / "IMG_1.jpg").write_bytes(heic(upright()))
    (root / "b" / "IMG_2.HEIC").write_bytes(heic(upright().rotate(180)))
    data = open_source(Data(source=f"folder:{root}"), 1)
    assert not data.rejected and len(data.train) + len(data.validation) + len(data.test) == 14


def test_heic_without_its_library_names_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(ExampleError, match="HEIC, which needs pillow-heif: pip install pillow-heif"):
        decode(box(b"heic", b"mif1", b"heic"), 1024)


def test_when_nothing_can_be_read_the_limit_is_not_the_advice(tmp_path: Path) -> None:
    root = fill(tmp_path, {"a": 0, "b": 0})
    for i in range(4):
        (root / "ab"[i % 2] / f"{i}.jpg").write_bytes(LFS.replace(b"1234", b"123%d" % i))
    with pytest.raises(RequestError, match=r"4 of 4 examples cannot be read.*git lfs pull") as error:
        open_source(Data(source=f"folder:{root}"), 1)
    assert "raise the limit" not in str(error.value)


def test_sidecar_files_are_ignored_and_counted_and_videos_are_not(tmp_path: Path) -> None:
    root = fill(tmp_path, {"a": 6, "b": 6})
    for name in ("a/000.AAE", "a/000.MOV", "b/notes.txt", "b/.DS_Store", "b/Thumbs.db", "b/001.jpg.dvc"):
        (root / name).write_bytes(box(b"qt  "))
    data = open_source(Data(source=f"folder:{root}"), 1)
    assert not data.rejected
    assert "5 sidecar files ignored (1 .aae, 1 .db, 1 .dvc, 1 .mov, 1 .txt)" in data.notes
    (root / "a" / "clip.MOV").write_bytes(box(b"qt  "))
    data = open_source(Data(source=f"folder:{root}", max_rejected=0.1), 1)
    assert data.rejected == ("a/clip.MOV: a video (QuickTime)",)
