"""Which folders are splits and which are classes: [TOP/][SPLIT/[SPLIT/]]CLASS/[...]FILE."""

import os
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tfkd.errors import RequestError
from tfkd.labels import composed

Members = dict[str, list[int]]  # numbers of the files of each class
_Places = list[tuple[list[str], int | None]]  # the parts of a path below the top, and the number of its file

_SPLITS = {
    "train": "train",
    "training": "train",
    "trainval": "train",
    "trn": "train",
    "validation": "validation",
    "validate": "validation",
    "valid": "validation",
    "val": "validation",
    "dev": "validation",
    "development": "validation",
    "test": "test",
    "testing": "test",
    "tst": "test",
    "holdout": "test",
}
_PLAIN = "sets?|data|datasets?|images?|imgs?|photos?|pictures?|pics?|splits?|folders?|files?"
_WORD = re.compile(rf"({'|'.join(sorted(_SPLITS, key=len, reverse=True))})(?:{_PLAIN})?")
_FILLER = re.compile(rf"{_PLAIN}|\d+")
_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])")
_TOKEN = re.compile(r"[^\W\d_]+|\d+")
# Parts of names that suggest a split.
_SUSPECT = re.compile(
    r"train|test|(?<!in)valid|\b(?:val|eval|dev|pred)|evaluat|predict|hold.?out|unlabel", re.IGNORECASE
)


@dataclass(frozen=True)
class _Named:
    """A folder's name that names a split: seg_train is train with the rest ("seg",)."""

    split: str
    rest: tuple[str, ...]


def split_of(name: str) -> str | None:
    """Returns "train", "validation" or "test" for a name of a split (Train, valid, test_set), else None."""
    named = _named(name)
    return named.split if named and not named.rest else None


def split_in(name: str) -> str | None:
    """Returns the split that a name with further words names ("shoes-train-0001"), else None."""
    named = _named(name)
    return named.split if named else None


def parts(
    where: str, names: Mapping[int, str], empty: Iterable[str], unreadable: Mapping[int, str]
) -> dict[str, Members]:
    """Sorts files into splits and classes by the folders they are in; without folders of splits, all are "train".

    Args:
        where: name of the source in messages.
        names: the files' paths by number, in their order.
        empty: paths of folders without files, each with a final slash; they may be classes.
        unreadable: why a file cannot be read, by its number; a class may be a link to nothing.

    Returns:
        Numbers by class by split; class names in Unicode's composed form.

    Raises:
        RequestError: files are outside of the class folders, or folders look like splits but are ambiguous.
    """
    empty = list(empty)
    top = len(top_of([*names.values(), *empty]))
    places: _Places = [(name[top:].split("/"), number) for number, name in names.items()]
    places += [(folder[top:].split("/"), None) for folder in empty]
    files = _Files(where, names, unreadable)
    if _are_splits(where, places):
        return _by_split(files, places)
    _refuse_splits_below(where, places)
    return {"train": _by_class(files, places, "outside of the class folders")}


def doubts(names: Mapping[int, str], members: Members) -> Iterator[str]:
    """Yields a warning if all classes contain folders of the same names, which may be the real classes.

    Args:
        names: the files' paths by number.
        members: numbers by class.
    """
    below = [
        {folder for number in numbers for folder in _inside(composed(names[number]).split("/"), name)}
        for name, numbers in members.items()
    ]
    common = sorted(set.intersection(*below)) if len(below) > 1 else []
    if len(common) > 1:
        yield (
            f"the classes {_listed(sorted(members))} all hold folders named {_listed(common)}; if those are the "
            "classes, name the outer folders train and test, or keep one of them"
        )


def _inside(path: list[str], folder: str) -> list[str]:
    """Returns the folder directly below this one that contains the file, if any."""
    return path[path.index(folder) + 1 : -1][:1] if folder in path else []


def top_of(names: list[str]) -> str:
    """Returns the common top folder, as many archives have one, with a slash, or ""."""
    common = os.path.commonpath([name.rpartition("/")[0] for name in (min(names), max(names))])
    folders = common.split("/") if common else []
    splits = [k for k, folder in enumerate(folders) if split_of(folder)]
    top = "".join(f"{folder}/" for folder in folders[: splits[0] if splits else len(folders)])
    if any("/" in name[len(top) :] for name in names):
        return top
    return top[: top.rstrip("/").rfind("/") + 1]  # it was the only class


def _named(name: str) -> _Named | None:
    tokens = _tokens(name)
    found = {match[1]: token for token in tokens if (match := _WORD.fullmatch(token))}
    splits = {_SPLITS[word] for word in found}
    if len(splits) != 1:
        return None
    rest = [token for token in tokens if token not in found.values() and not _FILLER.fullmatch(token)]
    return _Named(splits.pop(), tuple(rest))


def _tokens(name: str) -> list[str]:
    return _TOKEN.findall(_HUMP.sub(" ", name).casefold())


def _are_splits(where: str, places: _Places) -> bool:
    """Distinguishes folders of splits from classes with such names, like a train among vehicles.

    Raises:
        RequestError: the folders look like splits but are ambiguous.
    """
    folders = sorted({place[0] for place, _ in places if len(place) > 1})
    named = {folder: found for folder in folders if (found := _named(folder))}
    rests = {found.rest for found in named.values()}
    splits = {found.split for found in named.values()}
    if len(named) == len(folders) and (rests == {()} or (len(rests) == 1 and len(splits) > 1)):
        return True
    if _train_holds_classes(places, named):
        return True
    all_named = bool(folders) and len(named) == len(folders) and len(splits) > 1
    suspect = len(folders) > 1 and all(_SUSPECT.search(folder) for folder in folders)
    if all_named or (suspect and () in rests) or ((suspect or () in rests) and _hold_the_same(places)):
        raise RequestError(
            f"{where}: the folders {_listed(folders)} look like splits; name them train and test (and validation)."
        )
    return False


def _hold_the_same(places: _Places) -> bool:
    """Returns whether all folders contain several folders of the same names, as splits contain classes."""
    below: dict[str, set[str]] = defaultdict(set)
    for place, _ in places:
        below[place[0]].update(place[1:-1][:1])
    return len(below) > 1 and len(set.intersection(*below.values())) > 1


def _train_holds_classes(places: _Places, named: dict[str, _Named]) -> bool:
    """Returns whether one of the folders is a training split: it contains only folders of files."""
    pairs = {(found.split, found.rest) for found in named.values()}
    for folder, found in named.items():
        partners = {split for split, rest in pairs if rest == found.rest} - {"train"}
        depths = [len(place) for place, _ in places if place[0] == folder]
        if found.split == "train" and (not found.rest or partners) and min(depths) > 2:
            return True
    return False


@dataclass(frozen=True)
class _Files:
    where: str
    names: Mapping[int, str]
    unreadable: Mapping[int, str]

    def misplaced(self, number: int, place: str) -> RequestError:
        name = self.names[number]
        if number in self.unreadable and not Path(name).suffix:
            return RequestError(f"{self.where}: {name} is {self.unreadable[number]}; fetch or remove it.")
        return RequestError(f"{self.where}: {name} is {place}. Move it into one, or remove it.")


def _by_split(files: _Files, places: _Places) -> dict[str, Members]:
    folders: dict[str, _Places] = defaultdict(list)
    for place, number in places:
        if len(place) < 2 and number is not None:
            raise files.misplaced(number, "outside of the class folders")
        folders[place[0]].append((place[1:], number))
    spellings: dict[str, str] = {}
    found: dict[str, Members] = {}
    for folder, inner in folders.items():
        split = _split_name(files.where, folder, spellings)
        found[split] = _by_class(files, _unwrapped(folder, inner), f"in {folder} without a class folder")
    return found


def _unwrapped(folder: str, places: _Places) -> _Places:
    """Returns the places below a split's folder, or below its only subfolder with a generic name such as images."""
    inner = {place[0] for place, _ in places}
    if len(inner) > 1 or min(len(place) for place, _ in places) < 3:
        return places
    (name,) = inner
    if _named(name) == _named(folder) or all(map(_FILLER.fullmatch, _tokens(name))):
        return [(place[1:], number) for place, number in places]
    return places


def _split_name(where: str, folder: str, spellings: dict[str, str]) -> str:
    named = _named(folder)
    if named is None:
        raise RequestError(
            f"{where}: {folder!r} is beside train and is not a split. Name it validation or test, or move it."
        )
    if spellings.setdefault(named.split, folder) != folder:
        raise RequestError(
            f"{where} has two folders for {named.split}: {spellings[named.split]} and {folder}. Keep one of them."
        )
    return named.split


def _by_class(files: _Files, places: _Places, misplaced: str) -> Members:
    members: Members = defaultdict(list)
    for place, number in places:
        if len(place) > 1:
            members[composed(place[0])].extend([] if number is None else [number])
        elif number is not None:
            raise files.misplaced(number, misplaced)
    return members


def _refuse_splits_below(where: str, places: _Places) -> None:
    """Refuses CLASS/SPLIT/FILE, which would mix training and test examples."""
    below: dict[str, set[str]] = defaultdict(set)
    for place, _ in places:
        if len(place) > 2:
            below[place[0]].add(place[1])
    for folder, inner in below.items():
        if len({split_of(name) for name in inner} - {None}) > 1:
            raise RequestError(
                f"{where}: the class {folder!r} holds folders that look like splits ({_listed(sorted(inner))}); put "
                "the classes into folders named train and test."
            )


def _listed(folders: list[str]) -> str:
    shown = [repr(folder) for folder in folders[:4]] + (["…"] if len(folders) > 4 else [])
    return ", ".join(shown)


def empty_folders(folders: Iterable[str], names: Iterable[str]) -> Iterator[str]:
    """Yields the folders, each with a final slash, that contain no file at any depth."""
    filled: set[str] = set()
    for name in names:
        folder = name.rpartition("/")[0]
        while folder and folder not in filled:
            filled.add(folder)
            folder = folder.rpartition("/")[0]
    yield from (f"{folder}/" for folder in folders if folder not in filled)
