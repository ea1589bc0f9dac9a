"""shards:PATH, examples in tar files, as WebDataset writes them: many examples in a few large files.

A sample is the files of a tar whose names are equal up to the first dot of the last part: `0001.wav` with `0001.cls`,
which holds the label, or with `0001.json`, an object with a `label`, and optionally a `group`. Format of the files:
POSIX.1-2001 ustar and pax. Convention: https://github.com/webdataset/webdataset.

Memory holds a few numbers and the name of every example, nothing of the content.
"""

import functools
import os
import tarfile
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from tfkd import machine, strict_json
from tfkd.data import layout
from tfkd.data.dataset import MAX_BYTES, UNLABELLED, Listing, Split
from tfkd.errors import RequestError, cause, counted, some
from tfkd.files import fingerprint, replacing
from tfkd.inputs import kind_of
from tfkd.inputs.kind import ExampleError, Reading
from tfkd.labels import composed, meant, require_usable
from tfkd.processes import FORKSERVER

_SUFFIX = ".tar"
_LABEL, _FACTS = ".cls", ".json"
_LARGEST_LABEL = 1 << 16  # bytes of a .cls or .json file
_ADVICE = "Give a folder of .tar files, or a pattern such as shards:shoes/train-*.tar."
SPLITS = ("train", "validation", "test")
_INDEX = 1  # version of the stored index


@dataclass(frozen=True, eq=False)
class _TarIndex:
    """What one tar file holds.

    Attributes:
        places: int64 [n, 2], offset and size of every example.
        names: uint8 [bytes], their names in UTF-8, one after the other.
        ends: int64 [n], where each name ends.
        labels: int64 [n], position in `classes`; -1 without a label.
        groups: int64 [n], position in `grouped`; -1 without a group.
        classes: labels in the order of their first example.
        grouped: groups in the order of their first example.
        others: number of files that belong to no example.
    """

    places: np.ndarray
    names: np.ndarray
    ends: np.ndarray
    labels: np.ndarray
    groups: np.ndarray
    classes: np.ndarray
    grouped: np.ndarray
    others: np.ndarray


@dataclass(frozen=True, eq=False)
class Shards:
    """The examples of some tar files, by number; thread-safe.

    Attributes:
        files: the tar files, in the order of the examples.
        states: size and modification time of each, when it was read.
        places: int64 [n, 3], file, offset and size of every example.
        names: uint8 [bytes], the names of all, one after the other.
        ends: int64 [n], where each name ends.
    """

    files: tuple[Path, ...]
    states: tuple[tuple[int, int], ...]
    places: np.ndarray
    names: np.ndarray
    ends: np.ndarray

    @property
    def stamp(self) -> str:
        return fingerprint([(path.name, *state) for path, state in zip(self.files, self.states, strict=True)])

    def __len__(self) -> int:
        return len(self.places)

    def touched(self) -> bool:
        try:
            return self.states != tuple(map(_state, self.files))
        except OSError:
            return True

    def name(self, number: int) -> str:
        begin = self.ends[number - 1] if number else 0
        member = self.names[begin : self.ends[number]].tobytes().decode("utf-8", "surrogateescape")
        return f"{self.files[self.places[number, 0]].name}/{member}"

    def read(self, number: int) -> bytes:
        file, offset, size = self.places[number].tolist()
        if size > MAX_BYTES:
            raise ExampleError(f"larger than {MAX_BYTES >> 20} MiB")
        try:
            with self.files[file].open("rb", buffering=0) as stream:
                content = os.pread(stream.fileno(), size, offset)
        except OSError as error:
            raise ExampleError(f"{self.files[file].name}: {error.strerror}") from None
        if len(content) != size:
            raise ExampleError(f"{self.files[file].name} has been cut short")
        return content


def listing(path: str, reading: Reading) -> Listing:
    """Lists the labelled examples of tar files.

    A file or folder named train, val or test, also as the first word (`train-0001.tar`), is that split; without such
    names, all are training examples, which tfkd divides. Classes are the labels of the training examples, sorted, by
    number where all are numbers.

    Raises:
        RequestError: there are no tar files, one cannot be read, an example has no label or several, a class cannot be
            a label, or validation or test have a class that train lacks.
    """
    files = _files(path)
    indexes = _indexes(files, reading)
    _require_labels(files, indexes)
    shards = _joined(files, indexes)
    splits = _splits(path, files)
    classes = _classes(path, splits, indexes)
    labels = _numbered(indexes, lambda index: index.labels, lambda index: index.classes, classes)
    groups = _groups(indexes)
    split_of_example = np.repeat([SPLITS.index(split) for split in splits], [len(each.ends) for each in indexes])
    found = {}
    for number, name in enumerate(SPLITS):
        if len(members := np.flatnonzero(split_of_example == number)):
            own = None if groups is None else groups[members]
            found[name] = Split(shards, members, labels[members], reading, groups=own)
    others = sum(int(index.others) for index in indexes)
    notes = (f"{others:,} files in the tars belong to no example",) if others else ()
    return Listing(path, tuple(classes), found, notes=notes)


def unlabelled(path: str, reading: Reading) -> Split:
    """Lists the examples of tar files, without labels.

    Raises:
        RequestError: there are no tar files, or one cannot be read.
    """
    files = _files(path)
    shards = _joined(files, _indexes(files, reading))
    return Split(shards, np.arange(len(shards)), np.full(len(shards), UNLABELLED, np.int64), reading)


def _files(path: str) -> list[Path]:
    """Returns the tar files of a folder, at any depth, or of a pattern, sorted."""
    place = Path(path).expanduser()
    if place.is_dir():
        found = [each for each in place.rglob("*") if each.suffix.lower() == _SUFFIX and not each.name.startswith(".")]
    else:
        found = [place] if place.is_file() else _matching(place)
    files = sorted(each for each in found if each.is_file())
    if not files:
        raise RequestError(f"shards:{path} names no tar files. {_ADVICE}")
    if wrong := [each.name for each in files if each.suffix.lower() != _SUFFIX]:
        raise RequestError(f"shards:{path} names {some(wrong, ', ')}, which is no .tar. {_ADVICE}")
    return files


def _matching(pattern: Path) -> list[Path]:
    try:
        return list(Path(pattern.anchor or os.curdir).glob(str(pattern.relative_to(pattern.anchor))))
    except ValueError:  # no pattern, such as one that is empty
        return []


def _splits(path: str, files: Sequence[Path]) -> list[str]:
    """Returns the split of each file: from its name, or from a folder below that of all."""
    place = Path(path).expanduser()
    top = place if place.is_dir() else Path(os.path.commonpath([each.parent for each in files]))
    named = [each.relative_to(top).with_suffix("").parts[-2:] for each in files]
    found = [layout.split_in(names[-1]) or layout.split_in(names[0]) for names in named]
    if not any(found):
        return ["train"] * len(files)
    if unnamed := [each.name for each, split in zip(files, found, strict=True) if split is None]:
        raise RequestError(
            f"shards:{path}: of {some(unnamed, ', ')} the name says no split, of others it does. Begin every name with "
            "train, val or test, or none."
        )
    return [split for split in found if split]


def _state(file: Path) -> tuple[int, int]:
    status = file.stat()
    return status.st_size, status.st_mtime_ns


def _indexes(files: Sequence[Path], reading: Reading) -> list[_TarIndex]:
    """Returns what the files hold; those that were not read before are read by all cores."""
    suffixes = kind_of(reading.kind_name).suffixes
    indexes = {file: _stored(file, suffixes) for file in files}
    due = [file for file, index in indexes.items() if index is None]
    if len(due) > 1:
        with ProcessPoolExecutor(machine.cores(), mp_context=FORKSERVER) as pool:
            indexes |= zip(due, pool.map(functools.partial(_read, suffixes=suffixes), due), strict=True)
    elif due:
        indexes[due[0]] = _read(due[0], suffixes)
    return [index for index in indexes.values() if index is not None]


def _place(file: Path, suffixes: tuple[str, ...]) -> Path:
    """Returns the file that keeps what a tar file in its present state holds."""
    key = fingerprint(_INDEX, str(file.resolve()), _state(file), suffixes)
    return machine.cache_folder() / "shards" / f"{key}.npz"


def _stored(file: Path, suffixes: tuple[str, ...]) -> _TarIndex | None:
    try:
        with np.load(_place(file, suffixes), allow_pickle=False) as stored:
            return _TarIndex(**{name: stored[name] for name in _TarIndex.__dataclass_fields__})
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None


def _read(file: Path, suffixes: tuple[str, ...]) -> _TarIndex:
    """Reads the names, places and labels in a tar file, and keeps them in the user's cache."""
    index = _index(file, suffixes)
    place = _place(file, suffixes)
    place.parent.mkdir(parents=True, exist_ok=True)
    with replacing(place) as partial, partial.open("wb") as stream:
        np.savez(stream, **vars(index))
    return index


@dataclass
class _Sample:
    """The files of one sample: the example, and what says something about it."""

    name: str = ""
    place: tuple[int, int] = (0, 0)
    label: str | None = None
    group: str | None = None


def _index(file: Path, suffixes: tuple[str, ...]) -> _TarIndex:
    samples: dict[str, _Sample] = {}
    others = 0
    for member, content in _members(file):
        stem, suffix = _divided(member.name)
        if suffix in suffixes:
            sample = samples.setdefault(stem, _Sample())
            if sample.name:
                raise RequestError(
                    f"{file}: {sample.name} and {member.name} are one sample. Give each a name of its own."
                )
            sample.name, sample.place = member.name, (member.offset_data, member.size)
        elif suffix in (_LABEL, _FACTS):
            _describe(samples.setdefault(stem, _Sample()), f"{file}: {member.name}", suffix, content())
        else:
            others += 1
    complete = [sample for sample in samples.values() if sample.name]
    names = [sample.name.encode("utf-8", "surrogateescape") for sample in complete]
    labels, classes = _coded([sample.label for sample in complete])
    groups, grouped = _coded([sample.group for sample in complete])
    return _TarIndex(
        places=np.array([sample.place for sample in complete], np.int64).reshape(-1, 2),
        names=np.frombuffer(b"".join(names), np.uint8),
        ends=np.cumsum([len(name) for name in names], dtype=np.int64),
        labels=labels,
        groups=groups,
        classes=classes,
        grouped=grouped,
        others=np.array(others + len(samples) - len(complete), np.int64),
    )


def _members(file: Path) -> Iterator[tuple[tarfile.TarInfo, Callable[[], bytes]]]:
    """Yields the regular files of a tar file, each with a function that reads it.

    tarfile takes a file that is cut at a header for a whole one.

    Raises:
        RequestError: it is no tar file, or has been cut short.
    """
    try:
        with tarfile.open(file, "r:") as archive, file.open("rb", buffering=0) as stream:
            size = _state(file)[0]
            if size % tarfile.BLOCKSIZE or any(os.pread(stream.fileno(), tarfile.BLOCKSIZE, size - tarfile.BLOCKSIZE)):
                raise RequestError(f"{file} has been cut short: a tar file ends with zeros. Copy it again.")
            for member in archive:
                archive.members = []  # type: ignore[attr-defined]  # which would hold all of them
                if member.offset_data + member.size > size:
                    raise RequestError(f"{file} has been cut short at {member.name}. Copy it again.")
                if member.isreg() and not any(part.startswith(".") for part in PurePosixPath(member.name).parts):
                    yield member, functools.partial(_content, file, member, stream.fileno())
    except (tarfile.TarError, OSError, EOFError, UnicodeError) as error:
        raise RequestError(f"{file} is no readable tar file ({cause(error)}). Write it again, uncompressed.") from None


def _content(file: Path, member: tarfile.TarInfo, descriptor: int) -> bytes:
    if member.size > _LARGEST_LABEL:
        raise RequestError(f"{file}: {member.name} holds {member.size:,} bytes, too many for a label. Remove it.")
    return os.pread(descriptor, member.size, member.offset_data)


def _divided(name: str) -> tuple[str, str]:
    """("a/b.c.WAV") -> ("a/b", ".wav"): the name of the sample and the suffix of the file."""
    folder, slash, last = name.rpartition("/")
    return f"{folder}{slash}{last.partition('.')[0]}", PurePosixPath(last).suffix.lower()


def _describe(sample: _Sample, where: str, suffix: str, content: bytes) -> None:
    """Adds what a .cls or .json file says of a sample."""
    try:
        facts = strict_json.parsed(content) if suffix == _FACTS else {"label": content.decode("utf-8-sig").strip()}
    except (UnicodeDecodeError, strict_json.JsonError) as error:
        raise RequestError(f"{where} cannot be read ({cause(error)}). Write it again.") from None
    if not isinstance(facts, dict):
        raise RequestError(f'{where} holds no object. Write {{"label": …}}.')
    for field in ("label", "group"):
        value = facts.get(field)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, str | int) or not str(value).strip():
            raise RequestError(f"{where}: {field} is {value!r}. Write a name or a number.")
        if getattr(sample, field) not in (None, composed(str(value))):
            raise RequestError(
                f"{where}: {field} is {value!r}, elsewhere {getattr(sample, field)!r}. Remove one of them."
            )
        setattr(sample, field, composed(str(value)))


def _coded(values: Sequence[str | None]) -> tuple[np.ndarray, np.ndarray]:
    """Returns the position of each value among the different ones, -1 for None, and the different ones."""
    codes: dict[str, int] = {}
    positions = [-1 if value is None else codes.setdefault(value, len(codes)) for value in values]
    return np.array(positions, np.int64), np.array(list(codes), np.str_)


def _joined(files: Sequence[Path], indexes: Sequence[_TarIndex]) -> Shards:
    counts = [len(index.ends) for index in indexes]
    if not sum(counts):
        raise RequestError(f"{counted(len(files), 'tar file')}, such as {files[0]}, without an example. {_ADVICE}")
    before = np.cumsum([0, *(len(index.names) for index in indexes)])
    places = np.empty((sum(counts), 3), np.int64)
    places[:, 0] = np.repeat(np.arange(len(files)), counts)
    places[:, 1:] = np.concatenate([index.places for index in indexes])
    return Shards(
        tuple(files),
        tuple(map(_state, files)),
        places,
        np.concatenate([index.names for index in indexes]),
        np.concatenate([index.ends + begin for index, begin in zip(indexes, before, strict=False)]),
    )


def _require_labels(files: Sequence[Path], indexes: Sequence[_TarIndex]) -> None:
    for file, index in zip(files, indexes, strict=True):
        if len(missing := np.flatnonzero(index.labels < 0)):
            first = _joined([file], [index]).name(int(missing[0]))
            raise RequestError(
                f"{len(missing):,} of {len(index.labels):,} examples in {file} have no label, such as {first}. Write a "
                ".cls file beside each, or give them as data.unlabelled."
            )


def _classes(path: str, splits: Sequence[str], indexes: Sequence[_TarIndex]) -> list[str]:
    """Returns the classes of the training examples, or of all without any, sorted."""
    found = {
        name: {
            str(each) for index, split in zip(indexes, splits, strict=True) if split == name for each in index.classes
        }
        for name in SPLITS
    }
    named = found["train"] or set().union(*found.values())
    classes = sorted(named, key=(lambda name: (int(name), name)) if all(map(_is_number, named)) else str)
    require_usable(path, classes)
    for name, labels in found.items():
        for unknown in sorted(labels - named):
            raise RequestError(
                f"{path}: {name} has class {unknown!r}, which train has not.{meant(unknown, classes)} Add it there, "
                "rename it, or remove it."
            )
    return classes


def _is_number(name: str) -> bool:
    return name.isascii() and name.isdecimal()


def _numbered(
    indexes: Sequence[_TarIndex],
    codes: Callable[[_TarIndex], np.ndarray],
    names: Callable[[_TarIndex], np.ndarray],
    known: Iterable[str],
) -> np.ndarray:
    """Returns the position of each example's value among all known ones; -1 without a value."""
    positions = {name: number for number, name in enumerate(known)}
    found = []
    for index in indexes:
        own = np.array([*(positions[str(name)] for name in names(index)), -1], np.int64)
        found.append(own[codes(index)])
    return np.concatenate(found)


def _groups(indexes: Sequence[_TarIndex]) -> np.ndarray | None:
    """Returns the number of each example's group; one without a group is on its own. None where none has a group."""
    known = dict.fromkeys(str(name) for index in indexes for name in index.grouped)
    if not known:
        return None
    groups = _numbered(indexes, lambda index: index.groups, lambda index: index.grouped, known)
    alone = groups < 0
    groups[alone] = len(known) + np.arange(alone.sum())
    return groups
