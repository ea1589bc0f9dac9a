"""Reads a .zip in place from several threads at once, by offset and without shared state."""

import contextlib
import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Any

import numpy as np

from tfkd.data.dataset import MAX_BYTES
from tfkd.errors import RequestError
from tfkd.files import fingerprint
from tfkd.inputs.kind import ExampleError

_LOCAL_HEADER = struct.Struct("<4s22xHH")  # APPNOTE 6.3.10, section 4.3.7: signature, ..., name and extra lengths
_ENCRYPTED, _UTF_8 = 0x1, 0x800
_UNIX = 3
_UNICODE_PATH = 0x7075
_LINK = "a link stored in the zip (pack the file that it leads to)"


@dataclass(frozen=True, eq=False)
class Archive:
    """The files of a .zip: offsets, sizes and names in memory, examples on the disk.

    Attributes:
        names: names of the files as stored, in the archive's order.
        folders: the folders with an entry of their own.
        stamp: hash of the files' names, sizes and checksums.
        entries: int64 [n, 5], offset of the local header, stored size, size, method and CRC-32 of every file.
        stream: the open .zip.
        unreadable: why a file cannot be read, by its number.
        notes: notes about the names, one sentence each.
    """

    names: list[str]
    folders: list[str]
    stamp: str
    entries: np.ndarray
    stream: FileIO
    unreadable: Mapping[int, str]
    notes: tuple[str, ...] = ()

    def __reduce__(self) -> tuple[Any, ...]:
        return open_archive, (Path(self.stream.name),)

    def __len__(self) -> int:
        return len(self.names)

    def touched(self) -> bool:
        return False  # the open file stays as it is when another takes its name; a checksum guards each file

    def name(self, number: int) -> str:
        return self.names[number]

    def read(self, number: int) -> bytes:
        if number in self.unreadable:
            raise ExampleError(self.unreadable[number])
        offset, stored, size, method, crc = self.entries[number].tolist()
        if max(stored, size) > MAX_BYTES:
            raise ExampleError(f"larger than {MAX_BYTES >> 20} MiB")
        try:
            content = self._content(offset, stored, size, method)
        except (OSError, struct.error, zlib.error) as error:
            raise ExampleError(f"damaged in the zip: {error}") from None
        if len(content) != size or zlib.crc32(content) != crc:
            raise ExampleError("damaged in the zip: wrong checksum")
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
    files = [info for info in infos if not _is_folder(info)]
    facts = [(info.header_offset, info.compress_size, info.file_size, info.compress_type, info.CRC) for info in files]
    return Archive(
        names=[_name(info) for info in files],
        folders=[_name(info) for info in infos if _is_folder(info)],
        stamp=fingerprint([(info.filename, info.file_size, info.CRC) for info in files]),
        entries=np.array(facts, np.int64).reshape(-1, 5),
        stream=stream,
        unreadable={number: _LINK for number, info in enumerate(files) if _is_link(info)},
        notes=tuple(_code_page(path, files)),
    )


def _name(info: zipfile.ZipInfo) -> str:
    """Returns the path of a file or folder, without the "./" and "//" that some packers write."""
    return "/".join(part for part in _slashed(info).split("/") if part not in ("", "."))


def _slashed(info: zipfile.ZipInfo) -> str:
    return _decoded(info).replace("\\", "/")  # some Windows packers write the wrong separator


def _is_folder(info: zipfile.ZipInfo) -> bool:
    return _slashed(info).endswith("/")


def _code_page(path: Path, infos: list[zipfile.ZipInfo]) -> Iterator[str]:
    """Yields a note if names are not UTF-8, because their code page is unknown."""
    unsure = [info for info in infos if not info.flag_bits & _UTF_8 and _decoded(info) == info.orig_filename]
    names = [_name(info) for info in unsure if not info.orig_filename.isascii()]
    if names:
        yield (
            f"{path}: names are not in UTF-8 and were read in code page 437, for example {names[0]!r}; if that is "
            "wrong, pack the files again with names in UTF-8, or give the folder"
        )


def _decoded(info: zipfile.ZipInfo) -> str:
    """Returns a file's name; many packers write UTF-8 without setting its flag.

    The Unicode path of Info-ZIP (APPNOTE 6.3.10, section 4.6.9) comes first. Bytes that are no UTF-8 stay in the code
    page 437, which APPNOTE names (appendix D).
    """
    if info.flag_bits & _UTF_8:
        return info.filename
    raw = info.orig_filename.encode("cp437")
    unicode_path = _unicode_path(info.extra, zlib.crc32(raw))
    for name in (unicode_path, raw):
        with contextlib.suppress(UnicodeDecodeError):
            if name:
                return name.decode()
    return info.filename


def _unicode_path(extra: bytes, crc: int) -> bytes:
    """Returns the name in a file's extra field 0x7075 if it belongs to the name with this CRC-32, or nothing."""
    start = 0
    while start + 4 <= len(extra):
        kind, size = struct.unpack_from("<HH", extra, start)
        field = extra[start + 4 : start + 4 + size]
        if kind == _UNICODE_PATH and len(field) > 5 and struct.unpack_from("<BL", field) == (1, crc):
            return field[5:]
        start += 4 + size
    return b""


def _is_link(info: zipfile.ZipInfo) -> bool:
    return info.create_system == _UNIX and stat.S_ISLNK(info.external_attr >> 16)


def _refuse_unsafe(path: Path, info: zipfile.ZipInfo) -> None:
    name = _slashed(info)
    if name.startswith("/") or ".." in name.split("/"):
        raise RequestError(f"{path}: the name {info.filename!r} points outside of the zip. Do not use this file.")
    if info.flag_bits & _ENCRYPTED:
        raise RequestError(f"{path} is encrypted. Unpack it with its password, and give the folder.")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise RequestError(f"{path} is packed with method {info.compress_type}. Pack it again with deflate or none.")
