"""folder:PATH, a folder or a .zip of class folders, with or without train, validation and test above them.

A zip is read where it is: nothing is unpacked, so no name in it can reach outside.
"""

import hashlib
import os
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tfkd.data.archive import Archive, open_archive
from tfkd.data.dataset import UNLABELLED, Listing, Split
from tfkd.data.decode import MAX_BYTES, PhotoError
from tfkd.errors import RequestError

_SPLITS = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "test": "test",
    "testing": "test",
}
# Files that stand beside photos and are none. Anything else that cannot be decoded is named and counted.
_BESIDE = (".txt", ".csv", ".tsv", ".json", ".xml", ".yaml", ".yml", ".md", ".html", ".ini", ".db")

_Members = dict[str, list[int]]  # numbers of the photos of each class


@dataclass(frozen=True, eq=False)
class Folder:
    """The files of a folder, by their paths relative to it.

    Attributes:
        root: the folder.
        names: of the files, with "/" between folders.
        folders: below the root.
        stamp: names the content, by the files' names, sizes and times of change, also of the files' status: a copy
            that keeps the old time of its content (`cp -p`) is noticed.
    """

    root: str
    names: list[str]
    folders: list[str]
    stamp: str

    def name(self, number: int) -> str:
        return self.names[number]

    def read(self, number: int) -> bytes:
        try:
            with Path(self.root, self.names[number]).open("rb", buffering=0) as stream:
                if os.fstat(stream.fileno()).st_size > MAX_BYTES:
                    raise PhotoError(f"larger than {MAX_BYTES >> 20} MiB")
                return stream.readall()
        except OSError as error:
            raise PhotoError(error.strerror or str(error)) from None


def listing(path: str) -> Listing:
    """Lists a folder or .zip of class folders: [TOP/][train|validation|test/]CLASS/[...]PHOTO.

    Classes are the training classes, sorted by name; a class folder without photos is a class too, for the caller to
    complain about.

    Raises:
        RequestError: there is no such folder or zip, it holds no images, some stand outside of the class folders, or
            validation or test have a class that train has not.
    """
    files = _opened(path)
    numbers = _photos(path, files)
    parts = _parts(path, files, numbers)
    if "train" not in parts:
        found = ", ".join(sorted(parts))
        raise RequestError(f"{path} has no training split (found: {found}). Add a folder named train.")
    classes = sorted(parts["train"])
    for name, members in parts.items():
        unknown = sorted(members.keys() - parts["train"].keys())
        if unknown:
            raise RequestError(
                f"{path}: {name} has class {unknown[0]!r}, which train has not. Add it there, or remove it."
            )
    return Listing(path, tuple(classes), {name: _split(files, members, classes) for name, members in parts.items()})


def unlabelled(path: str) -> Split:
    """Lists the images anywhere in a folder or .zip, without labels.

    Raises:
        RequestError: there is no such folder or zip, or it holds no images.
    """
    files = _opened(path)
    numbers = np.array(_photos(path, files), np.int64)
    return Split(files, numbers, np.full(len(numbers), UNLABELLED, np.int64))


def paired(split: Split, path: str) -> Split:
    """Finds the other picture of every photo of a split: its depth, its infrared, or another rendering.

    A partner has the photo's path below the folder that holds everything, from the split or class on; its extension may
    differ, unless two files differ by it alone. Pictures of a pair have the same shape, in their own numbers of pixels:
    crops are relative to the photo.

    Args:
        split: photos whose names are paths. Splits that are to be joined are paired first.
        path: of a folder or .zip.

    Returns:
        As many photos as the split has, in its order and with its labels.

    Raises:
        RequestError: there is no such folder or zip, it holds no images, or a photo has no partner or several.
    """
    files = _opened(path)
    numbers = _photos(path, files)
    theirs = _below_top([files.names[number] for number in numbers])
    exact = dict(zip(theirs, numbers, strict=True))
    similar: dict[str, list[int]] = defaultdict(list)
    for name, number in exact.items():
        similar[_stem(name)].append(number)
    names = _below_top([split.name(i) for i in range(len(split))])
    found = [[exact[name]] if name in exact else similar.get(_stem(name), []) for name in names]
    _require_one_each(path, files, names, found)
    return Split(files, np.array([one for (one,) in found], np.int64), split.labels, split.longest_side)


def _opened(path: str) -> Folder | Archive:
    place = Path(path).expanduser()
    if place.is_dir():
        return _open_folder(place)
    if not place.exists():
        raise RequestError(f"There is no {place}. Give the path of a folder or a .zip.")
    return open_archive(place)


def _open_folder(root: Path) -> Folder:
    names: list[str] = []
    folders: list[str] = []
    stamp = hashlib.sha256()
    try:
        for entry, name in _walk(root, "", set()):
            if entry.is_dir():
                folders.append(name)
            elif entry.is_file():
                status = entry.stat()
                names.append(name)
                state = f"{name}\0{status.st_size}\0{status.st_mtime_ns}\0{status.st_ctime_ns}\0"
                stamp.update(state.encode(errors="surrogateescape"))
    except OSError as error:
        raise RequestError(f"{error.filename} cannot be read: {error.strerror}.") from None
    return Folder(str(root), names, folders, stamp.hexdigest())


def _walk(root: Path, below: str, above: set[tuple[int, int]]) -> Iterator[tuple[os.DirEntry[str], str]]:
    """Yields everything below a folder in one fixed order; a link back to a folder above is not followed."""
    status = (root / below).stat()
    here = (status.st_dev, status.st_ino)
    if here in above:
        return
    with os.scandir(root / below) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            name = f"{below}{entry.name}"
            if not _hidden(entry.name):
                yield entry, name
                if entry.is_dir():
                    yield from _walk(root, f"{name}/", above | {here})


def _hidden(part: str) -> bool:
    return part.startswith(".") or part == "__MACOSX"


def _photos(path: str, files: Folder | Archive) -> list[int]:
    """Returns the numbers of the photos in the order of their names."""
    numbers = [number for number, name in enumerate(files.names) if _is_photo(name)]
    if not numbers:
        raise RequestError(f"{path} holds no images. Give a folder or a .zip with one folder of images for each class.")
    return sorted(numbers, key=files.names.__getitem__)


def _is_photo(name: str) -> bool:
    return not name.lower().endswith(_BESIDE) and not any(map(_hidden, name.split("/")))


def _parts(path: str, files: Folder | Archive, numbers: list[int]) -> dict[str, _Members]:
    """Returns the members of every class of every split; without folders of splits, all is train."""
    empty = _empty_folders(files, numbers)
    top = len(_top([files.names[number] for number in numbers] + empty))

    def places() -> Iterator[tuple[list[str], int | None]]:
        for number in numbers:
            yield files.names[number][top:].split("/", 2), number
        for folder in empty:
            yield folder[top:].split("/", 2), None

    has_splits = _has_splits([place for place, _ in places()])
    depth = 3 if has_splits else 2
    parts: dict[str, _Members] = defaultdict(lambda: defaultdict(list))
    spellings: dict[str, str] = {}
    for place, number in places():
        if len(place) < depth and number is not None:
            raise RequestError(f"{path}: {files.names[number]} stands outside of the class folders. Move or remove it.")
        split = _split_name(path, place[0], spellings) if has_splits else "train"
        members = parts[split]
        if len(place) >= depth:
            members[place[depth - 2]].extend([] if number is None else [number])
    return parts


def _empty_folders(files: Folder | Archive, numbers: list[int]) -> list[str]:
    """Returns the folders, each with a slash at its end, that have no photo in them or below."""
    filled: set[str] = set()
    for number in numbers:
        folder = files.names[number].rpartition("/")[0]
        while folder and folder not in filled:
            filled.add(folder)
            folder = folder.rpartition("/")[0]
    return [f"{name}/" for name in files.folders if name not in filled and not any(map(_hidden, name.split("/")))]


def _top(names: list[str]) -> str:
    """Returns the folder that all else stands in, with its slash, or "": an archive often wraps its content so."""
    common = os.path.commonpath([name.rpartition("/")[0] for name in (min(names), max(names))])
    parts = common.split("/") if common else []
    splits = [k for k, part in enumerate(parts) if part.casefold() in _SPLITS]
    top = "".join(f"{part}/" for part in parts[: splits[0] if splits else len(parts)])
    if any("/" in name[len(top) :] for name in names):
        return top
    return top[: top.rstrip("/").rfind("/") + 1]  # it was the only class


def _has_splits(places: list[list[str]]) -> bool:
    """Tells folders of splits from classes that happen to be called so, like a train among vehicles."""
    if {place[0].casefold() for place in places} <= _SPLITS.keys():
        return True
    depths = [len(place) for place in places if _SPLITS.get(place[0].casefold()) == "train"]
    return bool(depths) and min(depths) == 3


def _split_name(path: str, folder: str, spellings: dict[str, str]) -> str:
    split = _SPLITS.get(folder.casefold())
    if split is None:
        raise RequestError(
            f"{path}: {folder!r} stands beside train and is no split. Name it validation or test, or move it."
        )
    if spellings.setdefault(split, folder) != folder:
        raise RequestError(f"{path} has two folders for {split}: {spellings[split]} and {folder}. Keep one of them.")
    return split


def _split(files: Folder | Archive, members: _Members, classes: list[str]) -> Split:
    numbers = [np.array(members.get(name, []), np.int64) for name in classes]
    labels = np.repeat(np.arange(len(classes)), [len(each) for each in numbers])
    return Split(files, np.concatenate(numbers), labels)


def _below_top(names: list[str]) -> list[str]:
    """Returns the names as they are below the folder that all else stands in."""
    top = len(_top(names)) if names else 0
    return [name[top:] for name in names]


def _stem(name: str) -> str:
    """Returns a path without its extension."""
    folder, slash, file = name.rpartition("/")
    return folder + slash + (file.rpartition(".")[0] or file)


def _require_one_each(path: str, files: Folder | Archive, names: list[str], found: list[list[int]]) -> None:
    missing = [name for name, numbers in zip(names, found, strict=True) if not numbers]
    if missing:
        raise RequestError(
            f"{path} has no picture for {len(missing)} of {len(names)} photos; the first one is {missing[0]!r}. "
            "Add a file of that name, with any extension, in the same folders for each."
        )
    for name, numbers in zip(names, found, strict=True):
        if len(numbers) > 1:
            first, second = (files.names[number] for number in numbers[:2])
            raise RequestError(f"{path}: {first} and {second} could both belong to {name}. Keep one of them.")
