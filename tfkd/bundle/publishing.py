"""Publishing a bundle and reading a published one: a reader sees the old bundle or the new one, never a mixture.

A new bundle is written beside the old one under a name of its own, checked there, and takes the final name in one step
(`files.exchanged`). The old one is retired: it keeps a hidden name beside the new one until the next publishing, and at
least for a minute, for programs that are still reading it. On a file system that cannot exchange two folders, the old
one is renamed first and the new one after it; in between, for microseconds, the final name does not exist.
"""

import contextlib
import fcntl
import glob
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tfkd import files
from tfkd.bundle.layout import CHECKSUMS, MANIFEST, MEASUREMENTS
from tfkd.errors import RequestError, TfkdError

READING = 60.0  # seconds that a program has for reading a retired bundle
WAITING = 60.0  # seconds that one publishing waits for another one to the same folder
_POLLING = 0.02


def publish(
    folder: Path,
    destination: Path,
    check: Callable[[Path], None],
    complete: Callable[[Path], None] = lambda folder: None,
) -> None:
    """Copies a finished bundle to its final name, which holds the old content or the whole new one, never a part.

    Measurements in the old bundle are kept.

    Args:
        folder: the finished bundle.
        destination: its final name; where that is a link, what it leads to is replaced.
        check: called with the copy before it takes the final name; raises where it must not be published.
        complete: called with the copy after that, when it holds the measurements of the old bundle too.

    Raises:
        RequestError: the disk is full, the destination cannot be written, or something else than a bundle is there.
    """
    destination = _named(destination)
    _require_bundle(destination)
    with files.cannot_write(destination), files.scratch(destination) as place:
        copy = place / destination.name
        shutil.copytree(folder, copy)
        check(copy)
        files.flush(copy)
        with claimed(destination):
            _keep(destination / MEASUREMENTS, copy / MEASUREMENTS)
            complete(copy)
            _replace(copy, destination)


def require_writable(destination: Path) -> None:
    """Looks whether a bundle can be published there, before hours are spent on it; nothing stays.

    Raises:
        RequestError: it cannot be written, or something else than a bundle is there.
    """
    destination = _named(destination)
    _require_bundle(destination)
    around = next(folder for folder in destination.absolute().parents if os.path.lexists(folder))
    if not around.is_dir():
        raise RequestError(f"Cannot write {destination}: {around} is no folder. Choose another one with --out.")
    try:
        files.try_writing_in(around)
    except OSError as error:
        raise RequestError(
            f"Cannot write {destination}: {around} is not writable. Choose another one with --out."
        ) from error


@contextlib.contextmanager
def claimed(destination: Path) -> Iterator[None]:
    """Holds the lock of a bundle's final name, `.NAME.lock` beside it, waiting for whoever changes the bundle.

    Raises:
        RequestError: another process held it for a minute, or the lock file cannot be written.
    """
    destination = _named(destination)
    path = _lock_of(destination)
    with files.cannot_write(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        _wait(descriptor, destination)
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def opened(folder: Path) -> Iterator[Path]:
    """Yields a path that leads to the folder as it is now, whatever takes its name while the block runs.

    The path goes through the open folder's descriptor, /proc/PID/fd/N, also for child processes. Errors of tfkd in the
    block name the folder by the name that was given. Systems without /proc get that name itself.
    """
    descriptor = _descriptor(folder)
    if descriptor is None:
        yield folder
        return
    here = Path(f"/proc/{os.getpid()}/fd/{descriptor}")
    try:
        files.share(descriptor)
        yield here if here.is_dir() else folder
    except TfkdError as error:
        error.args = (str(error).replace(str(here), str(folder)),)
        raise
    finally:
        os.close(descriptor)


def _descriptor(folder: Path) -> int | None:
    """Opens a folder; where it is missing because it is being replaced, waits for that to end."""
    with contextlib.suppress(OSError):
        return _open(folder)
    if _lock_of(_named(folder)).is_file():
        with contextlib.suppress(OSError, RequestError), claimed(folder):
            return _open(folder)
    return None


def _open(folder: Path) -> int:
    return os.open(folder, os.O_RDONLY | os.O_DIRECTORY)


def _named(folder: Path) -> Path:
    """Returns the path whose last part is the folder's own name: not that of a link, and not "." or ".."."""
    return Path(os.path.realpath(folder)) if folder.is_symlink() or folder.name in ("", "..") else folder


def _lock_of(destination: Path) -> Path:
    return destination.with_name(f".{destination.name}.lock")


def _wait(descriptor: int, destination: Path) -> None:
    end = time.monotonic() + WAITING
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > end:
                raise RequestError(
                    f"Another process has been changing {destination} for {WAITING:g} seconds; wait for it to end, or "
                    "end it, then run this again."
                ) from None
            time.sleep(_POLLING)
        except OSError:  # a file system without locks
            return


def _require_bundle(destination: Path) -> None:
    if not destination.exists() or any((destination / name).is_file() for name in (MANIFEST, CHECKSUMS)):
        return
    if not destination.is_dir() or any(destination.iterdir()):
        raise RequestError(
            f"{destination} is no bundle and would be replaced by one; move it away, or choose another folder or name."
        )


def _keep(old: Path, new: Path) -> None:
    """Takes over what was measured on devices, beside what is there already."""
    if old.is_dir():
        shutil.copytree(old, new, dirs_exist_ok=True)


def _replace(copy: Path, destination: Path) -> None:
    """Gives the new folder its final name, and retires what had it; the lock must be held."""
    for left in destination.parent.glob(f".{glob.escape(destination.name)}.retired-*"):
        if time.time() - left.stat().st_ctime > READING:
            files.remove_unheld(left)
    retired = destination.with_name(f".{destination.name}.retired-{secrets.token_hex(4)}")
    if not destination.exists():
        copy.rename(destination)
    elif files.exchanged(copy, destination):
        copy.rename(retired)
    else:
        destination.rename(retired)
        copy.rename(destination)
