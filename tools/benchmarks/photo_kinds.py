"""Photos of two kinds from photos of one, for the claim about a teacher per domain.

In every folder, of each split and class, every second photo becomes a grey negative, as an X-ray photo is. Splits and
classes stay as they are, so that photos of one group stay in one split.
"""

import io
import zipfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from PIL import Image, ImageOps

from tfkd.errors import RequestError
from tfkd.files import replacing

KINDS = PHOTO, NEGATIVE = "photo", "negative"  # beginnings of the names of files
_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
_QUALITY = 95  # of the JPEG of a negative


def pattern(kind: str) -> str:
    """Returns the pattern of the paths of a kind."""
    return f"{kind}-*"


def write_two_kinds(source: Path, path: Path) -> None:
    """Writes a zip of both kinds, unless it is there; the same photos give the same zip.

    Args:
        source: a zip or folder of class folders, with or without folders of splits.
        path: of the zip, in a folder that may be missing.

    Raises:
        RequestError: the source holds no photos.
    """
    if path.is_file():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as partial, zipfile.ZipFile(partial, "w") as archive:
        for name, content in _two_kinds(source):
            archive.writestr(zipfile.ZipInfo(name), content)


def negative(photo: bytes) -> bytes:
    """Returns the grey negative of an encoded photo, as a JPEG."""
    stream = io.BytesIO()
    with Image.open(io.BytesIO(photo)) as opened:
        grey = ImageOps.exif_transpose(opened).convert("L")
    ImageOps.invert(grey).save(stream, "JPEG", quality=_QUALITY)
    return stream.getvalue()


def _two_kinds(source: Path) -> Iterator[tuple[str, bytes]]:
    """Yields the path and the content of each photo."""
    places: dict[PurePosixPath, int] = defaultdict(int)
    for path, content in _photos(source):
        is_photo = places[path.parent] % 2 == 0
        places[path.parent] += 1
        name = f"{PHOTO}-{path.name}" if is_photo else f"{NEGATIVE}-{path.stem}.jpg"
        yield str(path.parent / name), content if is_photo else negative(content)
    if not places:
        raise RequestError(f"{source} holds no photos; give a zip or a folder of class folders.")


def _photos(source: Path) -> Iterator[tuple[PurePosixPath, bytes]]:
    if source.is_dir():
        files = sorted(path for path in source.rglob("*") if path.suffix.lower() in _SUFFIXES)
        yield from ((PurePosixPath(path.relative_to(source).as_posix()), path.read_bytes()) for path in files)
        return
    try:
        with zipfile.ZipFile(source) as archive:
            for name in sorted(archive.namelist()):
                if name.lower().endswith(_SUFFIXES):
                    yield PurePosixPath(name), archive.read(name)
    except (OSError, zipfile.BadZipFile) as error:
        raise RequestError(f"{source} is no zip and no folder of photos: {error}.") from None
