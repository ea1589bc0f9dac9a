"""A .zip read in place, from several threads at once: by offset, with no state that they could share."""

import os
import struct
import zipfile
import zlib
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

import numpy as np

from tfkd.data.decode import MAX_BYTES, PhotoError
from tfkd.errors import RequestError
from tfkd.files import fingerprint

_LOCAL_HEADER = struct.Struct("<4s22xHH")  # APPNOTE 6.3.10, section 4.3.7: signature, ..., name and extra lengths
_ENCRYPTED = 0x1


@dataclass(frozen=True, eq=False)
class Archive:
    """The files of a .zip: offsets, sizes and names are held, the photos stay on the disk.

    Attributes:
        names: of the files as they are stored, in the archive's order.
        folders: the folders that have an entry of their own.
        stamp: names the content, by the files' names, sizes and checksums.
        entries: int64 [n, 5], offset of the local header, stored size, size, method and CRC-32 of every file.
        stream: the open .zip.
    """

    names: list[str]
    folders: list[str]
    stamp: str
    entries: np.ndarray
    stream: FileIO

    def name(self, number: int) -> str:
        return self.names[number]

    def read(self, number: int) -> bytes:
        offset, stored, size, method, crc = self.entries[number].tolist()
        if max(stored, size) > MAX_BYTES:
            raise PhotoError(f"larger than {MAX_BYTES >> 20} MiB")
        try:
            content = self._content(offset, stored, size, method)
        except (OSError, struct.error, zlib.error) as error:
            raise PhotoError(f"damaged in the zip: {error}") from None
        if len(content) != size or zlib.crc32(content) != crc:
            raise PhotoError("damaged in the zip: wrong checksum")
        return content

    def _content(self, offset: int, stored: int, size: int, method: int) -> bytes:
        descriptor = self.stream.fileno()
        _, name, extra = _LOCAL_HEADER.unpack(os.pread(descriptor, _LOCAL_HEADER.size, offset))
        content = os.pread(descriptor, stored, offset + _LOCAL_HEADER.size + name + extra)
        if method == zipfile.ZIP_STORED:
            return content
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(content, max(size, 1))  # 0 would mean without a bound


def open_archive(path: Path) -> Archive:
    """Reads the directory of a .zip.

    Raises:
        RequestError: it is no .zip, it is encrypted or compressed with something other than deflate, or a name in it
            points outside of it.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            infos = archive.infolist()
        stream = path.open("rb", buffering=0)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, struct.error) as error:
        raise RequestError(f"{path} is not a readable .zip ({error}). Pack it again, or give the folder.") from None
    for info in infos:
        _refuse_unsafe(path, info)
    files = [info for info in infos if not info.is_dir()]
    facts = [(info.header_offset, info.compress_size, info.file_size, info.compress_type, info.CRC) for info in files]
    return Archive(
        names=[_name(info) for info in files],
        folders=[_name(info).rstrip("/") for info in infos if info.is_dir()],
        stamp=fingerprint([(info.filename, info.file_size, info.CRC) for info in files]),
        entries=np.array(facts, np.int64).reshape(-1, 5),
        stream=stream,
    )


def _name(info: zipfile.ZipInfo) -> str:
    return info.filename.replace("\\", "/")  # some Windows packers write the wrong separator


def _refuse_unsafe(path: Path, info: zipfile.ZipInfo) -> None:
    name = _name(info)
    if name.startswith("/") or ".." in name.split("/"):
        raise RequestError(f"{path}: the name {info.filename!r} points outside of the zip. Do not use this file.")
    if info.flag_bits & _ENCRYPTED:
        raise RequestError(f"{path} is encrypted. Unpack it with its password, and give the folder.")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise RequestError(f"{path} is packed with method {info.compress_type}. Pack it again with deflate or none.")
