"""The files of a stage: which of them other stages read, and whether they are unchanged."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tfkd.files import described, has_own_hash, is_as_described

DONE = "stage.json"
BEGUN = "begun.json"
SPENT = "spent.json"
CHECKPOINTS = ("checkpoint.npz", "head.npz")  # not needed by a finished stage; each contains its own hash

Described = dict[str, dict[str, Any]]


def listed(folder: Path) -> Described:
    """Returns size, hash and modification time of every file that others read, by its path in the folder."""
    paths = sorted(_kept_files(folder), key=lambda path: path.relative_to(folder).as_posix())
    return {path.relative_to(folder).as_posix(): _described(path) for path in paths}


def damaged(folder: Path, files: Mapping[str, Mapping[str, Any]], thorough: bool = False) -> list[str]:
    """Returns the files of a finished stage that are missing or have changed.

    Unless `thorough`, a file with the same size and modification time is assumed to be unchanged.
    """
    return [name for name, record in files.items() if not _is_same(folder / name, record, thorough)]


def is_begun(folder: Path) -> bool:
    """Returns whether a folder contains anything that is not hidden, beside its account."""
    return folder.is_dir() and any(not path.name.startswith(".") and path.name != SPENT for path in folder.iterdir())


def note_times(folder: Path, files: Described) -> bool:
    """Updates the times of unchanged files, as in a copied folder; returns whether any time differed."""
    changed = False
    for name, record in files.items():
        now = (folder / name).stat().st_mtime_ns
        changed |= now != record["mtime_ns"]
        record["mtime_ns"] = now
    return changed


def remove_damaged_checkpoints(folder: Path, say: Callable[[str], None]) -> None:
    """Removes checkpoints that do not match the hash they contain, and calls `say` with the path of each."""
    for checkpoint in CHECKPOINTS:
        for path in folder.rglob(checkpoint):
            if not has_own_hash(path):
                say(path.relative_to(folder).as_posix())
                path.unlink()


def _is_same(path: Path, record: Mapping[str, Any], thorough: bool) -> bool:
    return (not thorough and _has_time(path, record)) or is_as_described(path, record)


def _has_time(path: Path, record: Mapping[str, Any]) -> bool:
    try:
        status = path.stat()
    except OSError:
        return False
    return (status.st_size, status.st_mtime_ns) == (record["bytes"], record["mtime_ns"])


def _described(path: Path) -> dict[str, Any]:
    return {"mtime_ns": path.stat().st_mtime_ns, **described(path)}


def _kept_files(folder: Path) -> Iterator[Path]:
    """Yields the files of a stage that others read."""
    for path in folder.rglob("*"):
        inside = path.relative_to(folder).as_posix()
        unlisted = inside in (DONE, BEGUN, SPENT) or path.name in CHECKPOINTS or ".partial/" in inside
        if path.is_file() and not unlisted:
            yield path
