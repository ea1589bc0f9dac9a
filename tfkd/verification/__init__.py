"""Loads every exported file with something that is not its converter and compares it with the Keras student."""

from pathlib import Path

from tfkd.errors import TfkdError


class VerifyError(TfkdError):
    """An exported file is not what it must be: says which file, and what is wrong in it."""

    exit_code = 1


class NotVerifiedError(VerifyError):
    """A file cannot be run here although it may be right.

    Attributes:
        reason: what is missing here, such as "operator 'lstm'".
    """

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path}: not verified here: {reason}.")
        self.path = path
        self.reason = reason

    def __reduce__(self) -> tuple[type["NotVerifiedError"], tuple[Path, str]]:
        return NotVerifiedError, (self.path, self.reason)


class GateError(TfkdError):
    """A network fails a gate against the truth before the run has a bundle: says which network, and by how much."""

    exit_code = 1
