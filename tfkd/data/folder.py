"""folder:PATH, a folder or a .zip of class folders, with or without train, validation and test above them.

A zip is read without unpacking it, so that no name in it can refer to a path outside.
"""

import errno
import hashlib
import os
import stat
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tfkd.data import layout
from tfkd.data.archive import Archive, open_archive
from tfkd.data.dataset import MAX_BYTES, UNLABELLED, Listing, Split
from tfkd.errors import RequestError
from tfkd.inputs import kind_of
from tfkd.inputs.kind import ExampleError, InputKind, Reading
from tfkd.labels import composed, meant, require_usable

# Sidecar files, ignored and counted by extension. Anything else that cannot be decoded is rejected and named.
_SIDECARS = (
    *(".txt", ".csv", ".tsv", ".json", ".jsonl", ".ndjson", ".xml", ".yaml", ".yml", ".md", ".html", ".ini", ".db"),
    *(".aae", ".xmp", ".dvc", ".sha256", ".md5"),
)
_LISTS = (".csv", ".tsv", ".txt")
_ADVICE = "Give a folder or a .zip with one folder of examples for each class."


@dataclass(frozen=True, eq=False)
class Folder:
    """The files of a folder, by their paths relative to it.

    Attributes:
        root: the folder.
        names: of the files, with "/" between folders.
        folders: below the root.
        stamp: hash of the files' names, sizes, modification times and status times, so that a copy with an old
            modification time (`cp -p`) is noticed.
        unreadable: why a file cannot be read, by its number.
    """

    root: str
    names: list[str]
    folders: list[str]
    stamp: str
    unreadable: Mapping[int, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.names)

    def touched(self) -> bool:
        present = Files(Path(self.root))
        for name in self.names:
            present.add(name)
        return present.folder().stamp != self.stamp

    def name(self, number: int) -> str:
        return self.names[number]

    def read(self, number: int) -> bytes:
        if number in self.unreadable:
            raise ExampleError(self.unreadable[number])
        try:
            with Path(self.root, self.names[number]).open("rb", buffering=0) as stream:
                if os.fstat(stream.fileno()).st_size > MAX_BYTES:
                    raise ExampleError(f"larger than {MAX_BYTES >> 20} MiB")
                return stream.readall()
        except OSError as error:
            raise ExampleError(error.strerror or str(error)) from None


class Files:
    """Collects the files of a `Folder`, with the reasons why files cannot be read.

    Args:
        root: the folder that their names are relative to.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.names: list[str] = []
        self.folders: list[str] = []
        self.unreadable: dict[int, str] = {}
        self._stamp = hashlib.sha256()

    def add(self, name: str) -> None:
        """Adds a file, which need not exist."""
        path = self.root / name
        try:
            status = path.stat()
        except OSError as error:
            self.unreadable[len(self.names)] = _missing(self.root, name, error) or error.strerror or str(error)
            facts = "missing"
        else:
            facts = f"{status.st_size}\0{status.st_mtime_ns}\0{status.st_ctime_ns}"
            if not stat.S_ISREG(status.st_mode):
                self.unreadable[len(self.names)] = _kind(status.st_mode)
        self.names.append(name)
        self._stamp.update(f"{name}\0{facts}\0".encode(errors="surrogateescape"))

    def folder(self) -> Folder:
        """Returns the folder of all added files."""
        return Folder(str(self.root), self.names, self.folders, self._stamp.hexdigest(), self.unreadable)


def _missing(root: Path, name: str, error: OSError) -> str:
    """Returns why a listed file does not exist, or an empty text."""
    path = root / name
    if error.errno == errno.ELOOP:
        return "a link that leads to itself"
    if not path.is_symlink():
        if error.errno not in (errno.ENOENT, errno.ENOTDIR):
            return ""
        return "there is no such file" if Path(name).is_absolute() else "there is no such file in the list's folder"
    target = str(path.readlink())
    if "annex/objects" in target:
        return "a link to nothing (fetch it: git annex get)"
    return "a link to nothing (fetch it: dvc pull)" if ".dvc" in target else "a link to nothing (fetch it)"


def _kind(mode: int) -> str:
    if stat.S_ISDIR(mode):
        return "a folder, not a file"
    return "a pipe, not a file" if stat.S_ISFIFO(mode) else "a device or socket, not a file"


def listing(path: str, reading: Reading) -> Listing:
    """Lists a folder or .zip of class folders: [TOP/][SPLIT/]CLASS/[...]FILE (see tfkd.data.layout).

    Classes are the training classes, sorted by name, or those of all splits if there is no training split. A class
    folder without examples is a class too; the caller reports it.

    Raises:
        RequestError: there is no such folder or zip, it holds no examples, its folders are not classes or splits of
            classes, a class name cannot be a label, or validation or test have a class that train lacks.
    """
    kind = kind_of(reading.kind_name)
    files = _opened(path, kind)
    numbers = _examples(path, files, kind)
    names = {number: files.names[number] for number in numbers}
    empty = [folder for folder in layout.empty_folders(files.folders, names.values()) if not _is_hidden(folder)]
    parts = layout.parts(path, names, empty, files.unreadable)
    classes = sorted(parts["train"] if "train" in parts else set().union(*parts.values()))
    require_usable(path, classes)
    for name, members in parts.items():
        for unknown in sorted(members.keys() - set(classes)):
            raise RequestError(
                f"{path}: {name} has class {unknown!r}, which train has not.{meant(unknown, classes)} "
                "Add it there, rename it, or remove it."
            )
    splits = {name: _split(files, members, classes, reading) for name, members in parts.items()}
    doubts = tuple(layout.doubts(names, next(iter(parts.values()))))
    return Listing(path, tuple(classes), splits, _ignored(files, numbers), _notes(files), doubts)


def _notes(files: Folder | Archive) -> tuple[str, ...]:
    return files.notes if isinstance(files, Archive) else ()


def unlabelled(path: str, reading: Reading) -> Split:
    """Lists the examples anywhere in a folder or .zip, without labels.

    Raises:
        RequestError: there is no such folder or zip, or it holds no examples.
    """
    kind = kind_of(reading.kind_name)
    files = _opened(path, kind)
    numbers = np.array(_examples(path, files, kind, "Give a folder or a .zip of examples."), np.int64)
    return Split(files, numbers, np.full(len(numbers), UNLABELLED, np.int64), reading)


def paired(split: Split, path: str) -> Split:
    """Finds the partner of every example of a split, such as the depth or infrared image of a photo.

    A partner has the same path as the example, relative to the common top folder; its extension may differ unless two
    files differ only by extension. Views are relative to the image size, so the resolutions of a pair may differ.

    Args:
        split: examples whose names are paths. Splits that are to be joined are paired first.
        path: path of a folder or .zip.

    Returns:
        As many examples as the split has, in its order and with its labels and reading.

    Raises:
        RequestError: there is no such folder or zip, it holds no examples, or one has no partner or several.
    """
    kind = kind_of(split.reading.kind_name)
    files = _opened(path, kind)
    numbers = _examples(path, files, kind)
    partners = _below_top([files.names[number] for number in numbers])
    exact = dict(zip(partners, numbers, strict=True))
    similar: dict[str, list[int]] = defaultdict(list)
    for name, number in exact.items():
        similar[_stem(name)].append(number)
    names = _below_top([split.name(i) for i in range(len(split))])
    found = [[exact[name]] if name in exact else similar.get(_stem(name), []) for name in names]
    _require_one_each(path, files, names, found)
    return Split(files, np.array([one for (one,) in found], np.int64), split.labels, split.reading)


def _opened(path: str, kind: InputKind) -> Folder | Archive:
    place = Path(path).expanduser()
    if place.is_dir():
        return _open_folder(place, kind)
    if not place.exists():
        raise RequestError(f"There is no {place}. Give the path of a folder or a .zip.")
    if place.suffix.lower() in (*_LISTS, *kind.suffixes):
        raise RequestError(
            f"{place} is a single file. Give a folder or a .zip of class folders, or a list of examples as files:PATH."
        )
    return open_archive(place)


def _open_folder(root: Path, kind: InputKind) -> Folder:
    files = Files(root)
    try:
        for entry, name in _walk(root, "", set()):
            if not _is_folder(entry) or _is_named_as_example(entry, name, kind):
                files.add(name)
            else:
                files.folders.append(name)
    except OSError as error:
        raise RequestError(f"{error.filename} cannot be read: {error.strerror}.") from None
    return files.folder()


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _is_named_as_example(entry: os.DirEntry[str], name: str, kind: InputKind) -> bool:
    """Returns whether an entry is an empty folder inside a class with the name of an example."""
    return "/" in name and name.lower().endswith(kind.suffixes) and not any(Path(entry.path).iterdir())


def _walk(root: Path, below: str, above: set[tuple[int, int]]) -> Iterator[tuple[os.DirEntry[str], str]]:
    """Yields everything below a folder in a fixed order, except for links to a parent folder."""
    above = above | {_identity((root / below).stat())}
    with os.scandir(root / below) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            name = f"{below}{entry.name}"
            if _hidden(entry.name):
                continue
            if not _is_folder(entry):
                yield entry, name
            elif _identity(entry.stat()) not in above:
                yield entry, name
                yield from _walk(root, f"{name}/", above)


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _hidden(part: str) -> bool:
    return part.startswith(".") or part == "__MACOSX"


def _is_hidden(name: str) -> bool:
    return any(map(_hidden, name.split("/")))


def _examples(path: str, files: Folder | Archive, kind: InputKind, advice: str = _ADVICE) -> list[int]:
    """Returns the numbers of the examples in the order of their names."""
    names = [(number, name) for number, name in enumerate(files.names) if not _is_hidden(name)]
    stems = {_stem(name).casefold() for _, name in names if name.lower().endswith(kind.suffixes)}
    numbers = [number for number, name in names if not _is_sidecar(name, stems, kind)]
    if not numbers:
        raise RequestError(f"{path} holds no examples. {advice}")
    return sorted(numbers, key=files.names.__getitem__)


def _is_sidecar(name: str, stems: set[str], kind: InputKind) -> bool:
    """Returns whether a file is a sidecar file; `stems` are the examples' paths without extension, casefolded."""
    lower = name.lower()
    if lower.endswith(kind.suffixes):
        return False
    return lower.endswith(_SIDECARS) or (lower.endswith(kind.companions) and _stem(name).casefold() in stems)


def _ignored(files: Folder | Archive, numbers: list[int]) -> dict[str, int]:
    """Returns the number of visible files that are not examples, by extension."""
    examples = set(numbers)
    others = (name for number, name in enumerate(files.names) if number not in examples and not _is_hidden(name))
    return dict(sorted(Counter(Path(name).suffix.lower() for name in others).items()))


def _split(files: Folder | Archive, members: layout.Members, classes: list[str], reading: Reading) -> Split:
    numbers = [np.array(members.get(name, []), np.int64) for name in classes]
    labels = np.repeat(np.arange(len(classes)), [len(each) for each in numbers])
    return Split(files, np.concatenate(numbers), labels, reading)


def _below_top(names: list[str]) -> list[str]:
    """Returns the names relative to the common top folder, in Unicode's composed form."""
    top = len(layout.top_of(names)) if names else 0
    return [composed(name[top:]) for name in names]


def _stem(name: str) -> str:
    """Returns a path without its extension."""
    folder, slash, file = name.rpartition("/")
    return folder + slash + (file.rpartition(".")[0] or file)


def _require_one_each(path: str, files: Folder | Archive, names: list[str], found: list[list[int]]) -> None:
    missing = [name for name, numbers in zip(names, found, strict=True) if not numbers]
    if missing:
        raise RequestError(
            f"{path} has no partner for {len(missing)} of {len(names)} examples; the first one is {missing[0]!r}. "
            "Add a file of that name, with any extension, in the same folders for each."
        )
    for name, numbers in zip(names, found, strict=True):
        if len(numbers) > 1:
            first, second = (files.names[number] for number in numbers[:2])
            raise RequestError(f"{path}: {first} and {second} could both belong to {name}. Keep one of them.")
