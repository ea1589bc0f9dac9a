"""What a user asks of the lock file of a recipe: to write it, to keep to it, or to replace it."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, Self

from tfkd.bundle.seal import require_unsealed
from tfkd.bundle.teacher_lock import read_lock, require_replaceable
from tfkd.errors import RequestError, enumerated
from tfkd.files import resolved

LockMode = Literal["lock", "locked", "relock"]


@dataclass(frozen=True)
class LockRequest:
    """A lock file and its use.

    Attributes:
        mode: lock: write it where it is missing, else as locked; locked: refuse other teachers; relock: replace it.
        file: the lock file, which the user keeps.
    """

    mode: LockMode
    file: Path

    def require_usable(self, own: Path) -> None:
        """Refuses a lock file that is missing where it is needed, or cannot be read or written, before any work.

        Args:
            own: the lock that the run writes for itself, whatever its teachers are.

        Raises:
            RequestError: it cannot be used.
        """
        place = resolved(self.file)
        if place == resolved(own):
            raise RequestError(
                f"{self.file} is the lock that the run itself writes, also of other teachers; copy it, and name the "
                "copy with --lock-file."
            )
        if self.mode == "locked" and not self.file.exists():
            raise RequestError(f"There is no lock file {self.file}; write it with --lock, or name it with --lock-file.")
        if self.is_kept:
            read_lock(self.file)
        else:
            require_replaceable(self.file)
            require_unsealed(place)  # the target of links is written

    @property
    def is_kept(self) -> bool:
        """Whether the teachers must be those of the file."""
        return self.mode == "locked" or (self.mode == "lock" and self.file.exists())

    @property
    def kept(self) -> Self:
        """The same file, which must be kept to."""
        return replace(self, mode="locked")


def lock_request(modes: dict[LockMode, bool], file: Path | None, recipe: Path | None, name: str) -> LockRequest | None:
    """Returns what is asked of a lock file; None where nothing is.

    Args:
        modes: whether each is asked for.
        file: the lock file; default: `NAME.teacher.lock` beside the file of the recipe.
        recipe: file of the recipe; None where it has none.
        name: of the run.

    Raises:
        RequestError: several modes are asked for, or none and a file, or the file is not known.
    """
    asked = [mode for mode, is_asked in modes.items() if is_asked]
    if len(asked) > 1:
        raise RequestError(f"{enumerated([f'--{mode}' for mode in asked])} exclude each other; leave one out.")
    if not asked:
        if file is not None:
            raise RequestError(f"--lock-file {file} is read with --lock, --locked or --relock; add one of them.")
        return None
    if file is None and recipe is None:
        raise RequestError(f"--{asked[0]} needs a file: the recipe has none, so name the lock file with --lock-file.")
    return LockRequest(asked[0], file or (recipe or Path()).with_name(f"{name}.teacher.lock"))
