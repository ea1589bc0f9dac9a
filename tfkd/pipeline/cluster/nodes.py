"""The nodes of a cluster: the software that all must have in common, and the folders that all must see."""

import contextlib
import fcntl
import functools
import hashlib
import os
import platform
import socket
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import tfkd
from tfkd import files, import_path, machine
from tfkd.errors import RequestError

TOKEN = ".cluster"  # in the folder of a run
WORKING = ".working"  # lock file of work, in its folder
_WAIT = 180.0  # seconds for the end of lost work in the same folder
_BETWEEN = 0.5


@dataclass(frozen=True)
class Node:
    """A node of a cluster.

    Attributes:
        name: its host name.
        software: versions of Python and of the libraries that results depend on, and a hash of tfkd's code.
        processor: name and ISA extensions; another one can change the last digits of results.
        clock: its time, seconds since 1970.
    """

    name: str
    software: Mapping[str, str]
    processor: str
    clock: float

    def difference(self, other: "Node") -> str:
        """Returns in which software another node differs from this one, in words; "" if in nothing."""
        found = [
            f"{name} {other.software.get(name, 'none')} instead of {version}"
            for name, version in self.software.items()
            if other.software.get(name) != version
        ]
        return f"{other.name} has {', '.join(found)}" if found else ""

    def require_equal(self, other: "Node") -> None:
        """Refuses another node with other software.

        Raises:
            RequestError: with the list of the differences.
        """
        if found := self.difference(other):
            raise RequestError(
                f"Node {found}. Install the same there as on {self.name}, from the same checkout and constraints."
            )


def this_node() -> Node:
    """Returns the node that this process runs on."""
    software = {"Python": platform.python_version(), **machine.libraries(), "tfkd's code": code_digest()}
    return Node(socket.gethostname(), software, machine.processor(), time.time())


@functools.cache
def code_digest() -> str:
    """Returns a hash of tfkd's own code and templates, 16 hex digits."""
    package = Path(tfkd.__file__).parent
    hashed = hashlib.sha256()
    for path in sorted(path for path in package.rglob("*") if path.is_file() and "__pycache__" not in path.parts):
        hashed.update(f"{path.relative_to(package).as_posix()}\0{files.sha256(path)}\n".encode())
    return hashed.hexdigest()[:16]


@dataclass(frozen=True)
class Home:
    """What every node must see of the machine that gives out the work.

    Attributes:
        folder: the current folder, which relative paths of a recipe begin at.
        token: a file in the folder of the run.
        content: its content, drawn for this call, by which a node recognizes the same folder.
        imports: the import path of this machine's child processes.
    """

    folder: Path
    token: Path
    content: str
    imports: tuple[str, ...]

    def enter(self, node: str) -> None:
        """Makes this process resolve relative paths and imports as the machine that gives out the work does.

        Args:
            node: name of this node in messages.

        Raises:
            RequestError: this node does not see the folder of the run, or the current folder.
        """
        try:
            os.chdir(self.folder)
            seen = files.read_regular(self.token, len(self.content)).decode("ascii", "replace")
        except (OSError, RequestError):
            seen = ""
        if seen != self.content:
            raise RequestError(
                f"Node {node} does not see {self.token.parent}. Start in a folder that all nodes share under the same "
                "path, with --runs on it too."
            )
        for folder in self.imports:
            import_path.append(folder)


def home_of(folder: Path) -> Home:
    """Returns the home of a run, whose folder gets a token.

    Args:
        folder: folder of the run.
    """
    token, content = folder.absolute() / TOKEN, os.urandom(16).hex()
    files.write_text(token, content)
    return Home(Path.cwd(), token, content, tuple(import_path.of_children()))


@contextlib.contextmanager
def alone_with(lock: Path) -> Iterator[None]:
    """Keeps other processes from the same work for the duration of a with-block.

    A node that was thought to be lost may still do it for a while, until it notices.

    Args:
        lock: a file, which is there while the work lasts.

    Raises:
        RequestError: another process still does it after three minutes.
    """
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as stream:
        end = time.monotonic() + _WAIT
        while not _is_locked(stream.fileno()):
            if time.monotonic() > end:
                raise RequestError(
                    f"Another process holds {lock} and does this work. End it, and run the command again."
                )
            time.sleep(_BETWEEN)
        yield
        lock.unlink(missing_ok=True)


def _is_locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
