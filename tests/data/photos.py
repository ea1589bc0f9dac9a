"""Photos and folders of photos for the tests, made with Pillow."""

import io
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image


def picture(seed: int = 0, width: int = 24, height: int = 16) -> Image.Image:
    """A smooth colour picture, so that JPEG keeps it."""
    small = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), np.uint8)
    return Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def fill(root: Path, counts: dict[str, int], start: int = 0) -> Path:
    """Writes `counts[folder]` different JPEGs into each folder below root."""
    for folder, count in counts.items():
        (root / folder).mkdir(parents=True, exist_ok=True)
        for i in range(count):
            start += 1
            (root / folder / f"{i:03}.jpg").write_bytes(encoded(picture(start), "JPEG"))
    return root


def zipped(root: Path, path: Path, top: str = "", method: int = zipfile.ZIP_DEFLATED) -> Path:
    """Packs a folder, in the wrong order, under a top folder."""
    with zipfile.ZipFile(path, "w", method) as archive:
        for file in sorted(root.rglob("*"), reverse=True):
            archive.write(file, f"{top}{file.relative_to(root)}")
    return path
