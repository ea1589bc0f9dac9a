"""The files of a bundle and its seal: what is there, and what is not as it was when SHA256SUMS was written."""

import hashlib
import re
import stat
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

from tfkd import files
from tfkd.bundle.layout import CHECKSUMS, MANIFEST, MEASUREMENTS
from tfkd.errors import RequestError
from tfkd.files import checksum_lines, checksums, is_sidecar
from tfkd.labels import composed
from tfkd.verification import VerifyError

WINDOWS_LINE_ENDS = "has Windows line ends (CR LF)"
_MOST_FILES = 10_000
_DEEPEST = 100  # folders
_LARGEST_FILE = 1 << 31  # bytes; neither TFLite nor protobuf can hold more
_LARGEST_TEXT = 1 << 26
_UNSEALED = re.compile(rf"{MEASUREMENTS}/(?:\.[^/]+\.partial/)?(?:[^/]+\.json|index\.html|index\.md)")
_LINE = re.compile(r"([0-9a-f]{64})  (.+)")


def seal(folder: Path) -> None:
    """Writes SHA256SUMS over every other file of the folder but measurements, in the form that `sha256sum -c` reads."""
    sums = [(path, digest) for path, digest in _sealed(folder) if path != CHECKSUMS]
    files.write_text(folder / CHECKSUMS, checksum_lines(sums))


def same(folder: Path, other: Path) -> bool:
    """Returns whether two folders hold the same files with the same content, measurements aside."""
    return folder.is_dir() and other.is_dir() and _sealed(folder) == _sealed(other)


def require_unsealed(path: Path | None) -> None:
    """Refuses a file that cannot be written, or that is in a sealed bundle; its measurements may be; None is no file.

    Raises:
        RequestError: the file cannot be written, or must not be.
    """
    if path is None:
        return
    place = files.resolved(path)
    for folder in place.parents:
        inside = place.relative_to(folder).as_posix()
        if (folder / MANIFEST).is_file() and (folder / CHECKSUMS).is_file() and not _UNSEALED.fullmatch(inside):
            raise RequestError(f"{path} is in {folder}, which is sealed. Name a file outside of it.")
    files.require_writable(path)


def require_outputs(*paths: Path | None, inputs: Iterable[Path] = ()) -> None:
    """Refuses files that a command must not write, before any work; None is no file.

    Args:
        paths: files to write.
        inputs: files and bundles that are read.

    Raises:
        RequestError: a file cannot be written, is in a sealed bundle, or is an input or another one to write.
    """
    files.require_different(*paths)
    read = list(inputs)
    for path in paths:
        files.require_outside(path, *read)
        require_unsealed(path)


def _sealed(folder: Path) -> list[tuple[str, str]]:
    return [(path, digest) for path, digest in checksums(folder) if not path.startswith(f"{MEASUREMENTS}/")]


def listing(folder: Path) -> tuple[dict[str, Path], str]:
    """Lists a bundle's files; links, devices and pipes do not count, and are not followed or opened.

    Returns:
        The files by their paths in the bundle, without those that operating systems leave in folders, and what was
        found.

    Raises:
        VerifyError: the folder is like no bundle's, or cannot be read.
    """
    listed: dict[str, Path] = {}
    sidecars: list[str] = []
    try:
        for path in files.walk(folder):
            kind, inside = path.lstat(), path.relative_to(folder)
            name = inside.as_posix()
            if len(inside.parts) > _DEEPEST:
                raise VerifyError(f"{'/'.join(inside.parts[:3])}/…: more than {_DEEPEST} folders deep; no bundle is.")
            if not (stat.S_ISREG(kind.st_mode) or stat.S_ISDIR(kind.st_mode)):
                raise VerifyError(f"{name}: is a link or a device; a bundle holds files and folders alone.")
            if stat.S_ISREG(kind.st_mode) and is_sidecar(name):
                sidecars.append(name)
            elif stat.S_ISREG(kind.st_mode):
                listed[name] = path
            if kind.st_size > _LARGEST_FILE or len(listed) + len(sidecars) > _MOST_FILES:
                raise VerifyError(f"{name}: is too large, or one of too many files; no bundle is like that.")
    except OSError as error:
        raise VerifyError(f"the folder cannot be read: {error.strerror}.") from None
    ignored = f"; ignored: {few(sidecars)}, which operating systems leave in folders" if sidecars else ""
    return listed, f"{len(listed)} files, no links{ignored}"


def colliding_names(listed: Iterable[str]) -> list[str]:
    """Returns paths of which macOS and Windows keep only one, which distinguish neither capitals nor Unicode forms."""
    alike: dict[str, list[str]] = defaultdict(list)
    for name in listed:
        alike[composed(name).casefold()].append(name)
    return sorted(name for names in alike.values() if len(names) > 1 for name in names)


def checked(folder: Path, listed: dict[str, Path]) -> tuple[int, str]:
    """Compares the files with SHA256SUMS.

    Returns:
        How many are sealed, and what was found.

    Raises:
        VerifyError: names all that is changed, missing or not listed.
    """
    content = text(folder / CHECKSUMS)
    sums = _sums(content.replace("\r\n", "\n"))
    wrong = [*_line_ends({CHECKSUMS} if "\r\n" in content else set()), *_differences(sums, listed)]
    if wrong:
        raise VerifyError(" ".join(wrong))
    measurements = f"; {MEASUREMENTS}/ is outside of the seal" if any(map(_UNSEALED.fullmatch, listed)) else ""
    others = f"and no others are there{measurements}"
    return len(sums), f"{len(sums)} files are as they were when the bundle was sealed, {others}"


def _sums(content: str) -> dict[str, str]:
    sums: dict[str, str] = {}
    for number, line in enumerate(content.removesuffix("\n").split("\n"), 1):
        fields = _LINE.fullmatch(line)
        if fields is None or fields[2] in sums:
            raise VerifyError(f"{CHECKSUMS}, line {number}: is no checksum of one more file.")
        sums[fields[2]] = fields[1]
    return {name: digest for name, digest in sums.items() if not is_sidecar(name)}


def _differences(sums: dict[str, str], listed: dict[str, Path]) -> Iterator[str]:
    """Yields a sentence for each kind of difference."""
    sealed = {name for name in listed if not _UNSEALED.fullmatch(name)} - {CHECKSUMS}
    if lost := set(sums) - sealed:
        yield f"{few(lost)}: is missing."
    if added := sealed - set(sums):
        yield f"{few(added)}: is not in {CHECKSUMS}."
    changed = {name for name in sealed & set(sums) if files.sha256(listed[name]) != sums[name]}
    rewritten = {name for name in changed if _is_rewritten(listed[name], sums[name])}
    yield from _line_ends(rewritten)
    if spoilt := changed - rewritten:
        yield f"{few(spoilt)}: not as it was when the bundle was sealed (its SHA-256 differs)."


def _line_ends(names: set[str]) -> Iterator[str]:
    if names:
        yield (
            f"{few(names)}: {WINDOWS_LINE_ENDS} and is otherwise as it was; copy the bundle as binary files, in git "
            "with the line `* -text` in .gitattributes."
        )


def _is_rewritten(path: Path, digest: str) -> bool:
    """Returns whether a file was sealed with other line ends."""
    if path.stat().st_size > _LARGEST_TEXT:
        return False
    return hashlib.sha256(path.read_bytes().replace(b"\r\n", b"\n")).hexdigest() == digest


def text(path: Path) -> str:
    """Returns the content of a text file as it is.

    Raises:
        VerifyError: it cannot be read, is too large, or is no UTF-8.
    """
    try:
        if path.stat().st_size > _LARGEST_TEXT:
            raise VerifyError(f"{path.name}: is larger than {_LARGEST_TEXT:,} bytes, which none is.")
        return path.read_bytes().decode()
    except OSError as error:
        raise VerifyError(f"{path.name}: cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise VerifyError(f"{path.name}: is no text in UTF-8.") from None


def few(names: Iterable[str]) -> str:
    """Returns the first of some names, and how many more there are."""
    first, *others = sorted(names)
    return f"{first} and {len(others)} more" if others else first
