"""Photos and folders of photos for the tests, made with Pillow."""

import io
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from tfkd.inputs.image.reading import ImageReading

READING = ImageReading()


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


def fill_tinted(root: Path, counts: dict[str, int]) -> Path:
    """Writes noisy photos of up to three classes, each brighter in one channel, which a network learns quickly."""
    rng = np.random.default_rng(0)
    for label, (folder, count) in enumerate(counts.items()):
        (root / folder).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            pixels = rng.integers(0, 160, (36, 44, 3))
            pixels[..., 2 - label] += 60
            Image.fromarray(pixels.astype(np.uint8)).save(root / folder / f"{number:02d}.png")
    return root


def zipped(root: Path, path: Path, top: str = "", method: int = zipfile.ZIP_DEFLATED) -> Path:
    """Packs a folder, in the wrong order, under a top folder."""
    with zipfile.ZipFile(path, "w", method) as archive:
        for file in sorted(root.rglob("*"), reverse=True):
            archive.write(file, f"{top}{file.relative_to(root)}")
    return path


def png16(values: np.ndarray, transparent: bytes = b"") -> bytes:
    """Encodes uint16 [h, w, 1 to 4], which Pillow cannot write, as a PNG (ISO/IEC 15948).

    Args:
        values: grey, grey and opacity, colours, or colours and opacity.
        transparent: the value of transparent pixels, two bytes per channel.
    """
    height, width, channels = values.shape

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 16, {1: 0, 2: 4, 3: 2, 4: 6}[channels], 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    key = chunk(b"tRNS", transparent) if transparent else b""
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + key + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    )


def tiff(values: np.ndarray, order: str = "<", white_is_zero: bool = False, planes: int = 1) -> bytes:
    """Encodes one picture of whole or real numbers, [h, w] or [h, w, c], as an uncompressed TIFF of the same depth."""
    height, width = values.shape[:2]
    channels = 1 if values.ndim == 2 else values.shape[2]
    sample = {"u": 1, "i": 2, "f": 3}[values.dtype.kind]
    entries = [
        (256, width),
        (257, height),
        (258, 8 * values.itemsize),
        (259, 1),
        (262, 2 if channels == 3 else int(not white_is_zero)),
    ]
    entries += [(273, 0), (277, channels), (278, height), (279, values.nbytes), (284, planes), (339, sample)]
    after = 8 + 2 + 12 * len(entries) + 4
    bits = struct.pack(f"{order}{channels}H", *[8 * values.itemsize] * channels)
    samples = struct.pack(f"{order}{channels}H", *[sample] * channels)
    places = {258: after, 339: after + len(bits), 273: after + len(bits) + len(samples)}
    directory = struct.pack(f"{order}H", len(entries))
    for tag, value in entries:
        if tag in (258, 339) and channels > 2:
            directory += struct.pack(f"{order}HHII", tag, 3, channels, places[tag])
        elif tag in (258, 259, 262, 277, 284, 339):
            directory += struct.pack(f"{order}HHIHH", tag, 3, 1, value, 0)
        else:
            directory += struct.pack(f"{order}HHII", tag, 4, 1, places.get(tag, value))
    head = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HI", 42, 8)
    return head + directory + bytes(4) + bits + samples + values.astype(values.dtype.newbyteorder(order)).tobytes()
