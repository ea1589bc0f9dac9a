"""Writes files atomically, and computes hashes of their content."""

import contextlib
import ctypes
import errno
import fcntl
import functools
import glob
import hashlib
import json
import os
import re
import secrets
import shutil
import stat
import tempfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tfkd.errors import RequestError


def sha256(path: Path) -> str:
    """Returns the hex SHA-256 of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def walk(folder: Path) -> Iterator[Path]:
    """Yields everything in a folder at any depth; does not follow links to folders.

    Raises:
        OSError: a folder cannot be read, or its path is longer than the system allows.
    """
    pending = [folder]
    while pending:
        with os.scandir(pending.pop()) as entries:
            for entry in entries:
                yield Path(entry.path)
                if entry.is_dir(follow_symlinks=False):
                    pending.append(Path(entry.path))


def is_sidecar(path: str) -> bool:
    """Returns whether a file is one that macOS or Windows adds to a folder.

    Args:
        path: path in the folder, with forward slashes.
    """
    parts = path.split("/")
    return parts[-1].lower() in _SIDECARS or parts[-1].startswith(_APPLE_DOUBLE) or _OF_ARCHIVES in parts


_SIDECARS = {".ds_store", "thumbs.db", "ehthumbs.db", "desktop.ini"}  # of macOS and Windows, in lower case
_APPLE_DOUBLE, _OF_ARCHIVES = "._", "__MACOSX"  # begins a file's name; a folder


def content_size(path: Path) -> int:
    """Returns the size in bytes of a file, or of all files in a folder such as an .mlpackage."""
    return sum(file.stat().st_size for file in _contents(path)) if path.is_dir() else path.stat().st_size


def compressed_size(path: Path) -> int:
    """Returns the size in bytes of a file deflated (RFC 1951) at the highest level, as in an app's package."""
    deflate = zlib.compressobj(zlib.Z_BEST_COMPRESSION, wbits=-zlib.MAX_WBITS)
    return len(deflate.compress(path.read_bytes())) + len(deflate.flush())


def content_digest(path: Path) -> str:
    """Returns the hex SHA-256 of a file; of a folder: of its sorted `sha256  path` lines."""
    return hashlib.sha256(checksum_lines(checksums(path)).encode()).hexdigest() if path.is_dir() else sha256(path)


def checksums(folder: Path) -> list[tuple[str, str]]:
    """Returns the relative paths of a folder's files, with forward slashes and sorted, each with its hex SHA-256."""
    return sorted((file.relative_to(folder).as_posix(), sha256(file)) for file in _contents(folder))


def checksum_lines(sums: list[tuple[str, str]]) -> str:
    """Returns checksums in the format of `sha256sum -c`."""
    return "".join(f"{digest}  {path}\n" for path, digest in sums)


def _contents(folder: Path) -> Iterator[Path]:
    return (path for path in walk(folder) if path.is_file() and not is_sidecar(path.relative_to(folder).as_posix()))


def described(path: Path) -> dict[str, Any]:
    """Returns a file's size and SHA-256, for `is_as_described`."""
    return {"bytes": path.stat().st_size, "sha256": sha256(path)}


def is_as_described(path: Path, description: Any) -> bool:
    """Returns whether a file has the described size and SHA-256; False if either is missing or damaged."""
    try:
        return path.stat().st_size == description["bytes"] and sha256(path) == description["sha256"]
    except (OSError, KeyError, TypeError):
        return False


def fingerprint(*parts: Any) -> str:
    """Returns a fingerprint of JSON-like values, 16 hex digits, which is the same on every machine."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yields a temporary path beside `path`, which is renamed to `path` if the with-block succeeds.

    A folder replaces another one in one step if the system supports it (`exchanged`).

    Raises:
        RequestError: the disk is full or the folder cannot be written.
    """
    with cannot_write(path), scratch(path) as place:
        partial = place / path.name
        yield partial
        if not (path.is_dir() and not path.is_symlink()):
            _flush(partial)
            partial.replace(path)
        elif not exchanged(partial, path):
            path.rename(place / "retired")
            partial.rename(path)


@contextlib.contextmanager
def cannot_write(path: Path) -> Iterator[None]:
    """Turns system errors in a with-block into errors of one line.

    Raises:
        RequestError: the disk is full or the folder cannot be written.
    """
    try:
        yield
    except OSError as error:
        reason = _reason(error)
        is_full = any(os.strerror(number) in reason for number in (errno.ENOSPC, errno.EDQUOT))
        advice = "Free some space or choose" if is_full else "Choose"
        raise RequestError(f"Cannot write {path}: {reason}. {advice} another folder, then run it again.") from error


def _reason(error: OSError) -> str:
    """Returns the system's error text; for a partly copied folder that of its first file."""
    if isinstance(error, shutil.Error) and isinstance(error.args[0], list):
        _, _, text = error.args[0][0]
        return _SYSTEM.sub(r"\1", text)
    return error.strerror or str(error)


_SYSTEM = re.compile(r"\[Errno \d+\] ([^:]*).*", re.DOTALL)  # as str(OSError) has it, with the names of the files


@contextlib.contextmanager
def scratch(path: Path) -> Iterator[Path]:
    """Yields a new, empty folder beside `path` for a with-block, and removes it afterwards.

    Removes leftovers of killed processes too, which no longer hold their lock.

    Raises:
        OSError: the folder around `path` cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    place, descriptor = own_folder(path.parent, f".{path.name}.", ".partial")
    try:
        yield place
    finally:
        os.close(descriptor)
        shutil.rmtree(place, ignore_errors=True)


def own_folder(parent: Path, prefix: str, suffix: str = "") -> tuple[Path, int]:
    """Creates a folder with a new name and removes leftovers of killed processes.

    Args:
        parent: folder to create it in.
        prefix: prefix of its name and of leftovers.
        suffix: suffix of its name and of leftovers.

    Returns:
        Its path, and a descriptor that holds its lock until it is closed.

    Raises:
        OSError: `parent` cannot be written.
    """
    for left in parent.glob(f"{glob.escape(prefix)}*{glob.escape(suffix)}"):
        remove_unheld(left)
    while True:
        place = parent / f"{prefix}{secrets.token_hex(4)}{suffix}"
        place.mkdir()
        with contextlib.suppress(FileNotFoundError):  # another process removed it as a leftover before it was locked
            descriptor = os.open(place, os.O_RDONLY | os.O_DIRECTORY)
            _locked(descriptor, fcntl.LOCK_EX)
            if place.exists():
                return place, descriptor
            os.close(descriptor)


def remove_partial(folder: Path) -> None:
    """Removes partly written files of killed processes from a folder."""
    for left in folder.glob(".*.partial"):
        remove_unheld(left)


def remove_unheld(folder: Path) -> None:
    """Removes a folder if it is not locked and can be removed."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder)
        finally:
            os.close(descriptor)


def share(descriptor: int) -> None:
    """Protects an open folder from `remove_unheld` until its descriptor is closed."""
    _locked(descriptor, fcntl.LOCK_SH)


def _locked(descriptor: int, how: int) -> None:
    with contextlib.suppress(OSError):  # a file system without locks
        fcntl.flock(descriptor, how)


def exchanged(one: Path, other: Path) -> bool:
    """Exchanges two paths in one step, so that both names exist at every moment.

    This is Linux's `renameat2` with RENAME_EXCHANGE (renameat2(2), Linux 3.15).

    Returns:
        False if the system or the file system does not support this; nothing is changed then.

    Raises:
        OSError: a path is missing, or the folder around it cannot be written.
    """
    rename = _renameat2()
    if rename is None:
        return False
    if rename(_CURRENT_FOLDER, os.fsencode(one), _CURRENT_FOLDER, os.fsencode(other), _RENAME_EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP):
        return False
    raise OSError(number, os.strerror(number), str(other))


_CURRENT_FOLDER, _RENAME_EXCHANGE = -100, 2


@functools.cache
def _renameat2() -> Callable[..., int] | None:
    """Returns the C library's function, or None."""
    function = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if function is not None:
        function.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint]
    return function


def read_regular(path: Path, largest: int) -> bytes:
    """Returns the first `largest` + 1 bytes of a file; opens neither pipes nor devices, which may block or never end.

    Raises:
        RequestError: it is no regular file, or cannot be read.
    """
    try:
        _require_regular(path, path.stat().st_mode)
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as stream:
            _require_regular(path, os.fstat(stream.fileno()).st_mode)
            return stream.read(largest + 1)
    except OSError as error:
        raise RequestError(f"{path} cannot be read: {error.strerror}.") from None


def _require_regular(path: Path, mode: int) -> None:
    if not stat.S_ISREG(mode):
        kind = "folder" if stat.S_ISDIR(mode) else "pipe or device"
        raise RequestError(f"{path} is a {kind}; name a regular file.")


def resolved(path: Path) -> Path:
    """Returns the absolute path of a file behind all links; the file may be missing.

    Raises:
        RequestError: links lead round in a circle.
    """
    try:
        path.stat()
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise RequestError(f"{path} leads to itself by symbolic links. Name a file.") from None
    return Path(os.path.realpath(path))


def require_different(*paths: Path | None) -> None:
    """Refuses two files to write that are the same one, also by links; None is no file.

    Raises:
        RequestError: a later one would replace an earlier one.
    """
    places: dict[Path, Path] = {}
    for path in filter(None, paths):
        if other := places.get(resolved(path)):
            raise RequestError(f"{path} would replace {other}, which is the same file. Name another file for one.")
        places[resolved(path)] = path


def require_outside(path: Path | None, *inputs: Path) -> None:
    """Refuses a file to write that is an input, or that is in a folder of them, which is sealed; None is no file.

    Raises:
        RequestError: the file is one of the inputs, or in one of them.
    """
    for each in inputs if path else ():
        if path and resolved(path) == resolved(each):
            raise RequestError(f"{path} is one of the inputs, which would be replaced. Name another file.")
        if path and resolved(path).is_relative_to(resolved(each)):
            raise RequestError(f"{path} is in {each}, which is sealed. Name a file outside of it.")


def require_writable(path: Path | None) -> None:
    """Refuses a file that cannot be written, before the work for its content begins; None is no file.

    Tries it beside the file; nothing stays.

    Raises:
        RequestError: there is something else than a file, or its folder is none or cannot be written.
    """
    if path is None:
        return
    resolved(path)
    folder = next(each for each in path.absolute().parents if each.exists())
    if path.exists() and not path.is_file():
        raise RequestError(f"{path} cannot be written: it is no regular file. Name another file.")
    try:
        try_writing_in(folder)
    except OSError as error:
        raise RequestError(
            f"{path} cannot be written: {folder}: {error.strerror}. Name a file in a folder that can."
        ) from None


def try_writing_in(folder: Path) -> None:
    """Makes a folder in another one and removes it, as root may do less than permissions say; raises an OSError."""
    Path(tempfile.mkdtemp(prefix=".tfkd-", dir=folder)).rmdir()


def write_text(path: Path, text: str) -> None:
    """Writes a text file atomically."""
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8")


def write_bytes(path: Path, content: bytes) -> None:
    """Writes a binary file atomically."""
    with replacing(path) as partial:
        partial.write_bytes(content)


def write_json(path: Path, value: Any) -> None:
    """Writes a value as indented JSON, atomically."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def append_hash(path: Path) -> None:
    """Appends a file's SHA-256, 32 bytes, to it; readers of archives ignore them."""
    digest = bytes.fromhex(sha256(path))
    with path.open("ab") as stream:
        stream.write(digest)


def has_own_hash(path: Path) -> bool:
    """Returns whether a file ends with the SHA-256 of its preceding bytes, from `append_hash`."""
    whole = hashlib.sha256()
    left = path.stat().st_size - whole.digest_size
    with path.open("rb") as stream:
        while left > 0 and (chunk := stream.read(min(left, 1 << 20))):
            whole.update(chunk)
            left -= len(chunk)
        return left == 0 and stream.read() == whole.digest()


def write_sealed(path: Path, value: Any) -> None:
    """Writes a JSON-like value with its own hash, atomically."""
    plain = json.loads(json.dumps(value))
    write_json(path, {"sha256": _seal(plain), "value": plain})


def agreed(path: Path, value: Any) -> Any:
    """Writes a value as `write_sealed` does unless another process was first, and returns the value of the first.

    Any number of processes, also on other machines that share the folder, get the same value.
    """
    with cannot_write(path), scratch(path) as place:
        write_sealed(place / path.name, value)
        while (found := read_sealed(path)) is None:
            try:
                os.link(place / path.name, path)  # in one step, and only where there is no file
            except FileExistsError:
                if read_sealed(path) is None:  # damaged
                    path.unlink(missing_ok=True)
    return found


def read_sealed(path: Path) -> Any:
    """Returns the value of `write_sealed`, or None if the file is missing, damaged or of another kind."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return found["value"] if found["sha256"] == _seal(found["value"]) else None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def _seal(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def flush(folder: Path) -> None:
    """Flushes every file of a folder to the disk, so that a power failure loses no published file."""
    for path in folder.rglob("*"):
        _flush(path)


def _flush(path: Path) -> None:
    if path.is_file():
        with path.open("rb") as stream:
            os.fsync(stream.fileno())
