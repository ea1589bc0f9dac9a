"""Messages between a sandbox and its child process, and how the child's messages are read."""

import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfkd import machine
from tfkd.errors import TfkdError

_ARRAYS = {
    ("numpy", "dtype"),
    ("numpy", "ndarray"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "scalar"),
    ("numpy._core.numeric", "_frombuffer"),
    ("pathlib", "PosixPath"),
}


@dataclass(frozen=True)
class ResourceLimits:
    """Limits of a child process.

    Attributes:
        phase_seconds: processor time of all threads per phase, such as loading a file.
        image_seconds: processor time per image of a batch.
        memory: writable memory, bytes.
        by_the_clock: ratio of wall-clock time to processor time of a phase, because a blocked read uses no processor.
    """

    phase_seconds: float = 300.0
    image_seconds: float = 10.0
    memory: int = machine.memory()
    by_the_clock: float = 10.0

    def of_phase(self, images: int) -> float:
        """Returns the processor time of a phase that predicts a number of images, seconds."""
        return self.phase_seconds + self.image_seconds * images


@dataclass(frozen=True)
class Named:
    """Named arguments that a function accepts."""

    batches: bool
    progress: bool


@dataclass(frozen=True)
class Call:
    path: Path
    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    named: Named
    folder: Path


@dataclass(frozen=True)
class Unexpected:
    """An exception that is not one of tfkd's."""

    text: str


@dataclass(frozen=True)
class Phase:
    """The child begins a phase of at most `seconds` of processor time."""

    seconds: float


@dataclass(frozen=True)
class Line:
    text: str


@dataclass(frozen=True)
class Task:
    name: str
    total: int | None
    unit: str


@dataclass(frozen=True)
class Advanced:
    units: int


@dataclass(frozen=True)
class End:
    """The task is done."""


@dataclass(frozen=True)
class ProcessorTime:
    """The child and its own children have used `seconds` of processor time so far."""

    seconds: float


class Reader(pickle.Unpickler):
    """Reads the message of a child, which a hostile file may control; never looks up the name of a function."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _ARRAYS:
            return super().find_class(module, name)
        if module.startswith("tfkd."):
            found = super().find_class(module, name)
            if isinstance(found, type) and (
                issubclass(found, TfkdError) or hasattr(found, "__dataclass_fields__") or hasattr(found, "model_fields")
            ):
                return found
        raise pickle.UnpicklingError(f"it names {module}.{name}")
