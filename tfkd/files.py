"""Files written whole or not at all, and the hashes that name their content."""

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tfkd.errors import RequestError


def sha256(path: Path) -> str:
    """Returns the hex SHA-256 of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def fingerprint(*parts: Any) -> str:
    """Returns 16 hex digits that name JSON-like values; equal values give equal digits on every machine."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yields a path beside `path` to write a file or a folder to; it takes the final name only if the block ends well.

    Raises:
        RequestError: the disk is full or the folder cannot be written.
    """
    partial = path.with_name(f".{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove(partial)
        yield partial
        if path.is_dir() and not path.is_symlink():
            retired = path.with_name(f".{path.name}.retired")
            _remove(retired)
            path.rename(retired)
            partial.rename(path)
            _remove(retired)
        else:
            _flush(partial)
            partial.replace(path)
    except OSError as error:
        reason = error.strerror or str(error)
        raise RequestError(
            f"Cannot write {path}: {reason}. Free some space or choose another folder, then run it again."
        ) from error
    finally:
        with contextlib.suppress(OSError):
            _remove(partial)


def write_text(path: Path, text: str) -> None:
    """Writes a text file whole or not at all."""
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8")


def write_bytes(path: Path, content: bytes) -> None:
    """Writes a binary file whole or not at all."""
    with replacing(path) as partial:
        partial.write_bytes(content)


def write_json(path: Path, value: Any) -> None:
    """Writes a value as indented JSON, whole or not at all."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _flush(path: Path) -> None:
    if path.is_file():
        with path.open("rb") as stream:
            os.fsync(stream.fileno())
