"""Checks and runs exported files in a separate process."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tfkd.errors import MachineError, TfkdError
from tfkd.sandbox import ResourceLimits, Sandbox
from tfkd.signature import Signature
from tfkd.verification import VerifyError
from tfkd.verification.records import InputOutput
from tfkd.verification.requirements import Requirements
from tfkd.writers import Card


@dataclass(frozen=True)
class Answered:
    """Inputs and outputs of a file, its requirements, and its predictions: float32 [n, classes] probabilities."""

    io: InputOutput
    requirements: Requirements
    probabilities: np.ndarray


class Apart(Sandbox):
    """A child process that reads, checks and runs one file after the other; a new one takes the place of one that died.

    Args:
        limits: of the child.
    """

    def __init__(self, limits: ResourceLimits | None = None) -> None:
        super().__init__(VerifyError, limits)

    def call(self, path: Path, function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        """Returns what a function returns that reads a file; every error about the file is a VerifyError."""
        try:
            return super().call(path, function, *arguments, **named)
        except (VerifyError, MachineError):
            raise
        except TfkdError as error:
            raise VerifyError(str(error)) from None

    def run(
        self,
        path: Path,
        format: str,
        card: Card,
        signature: Signature,
        batches: Iterable[Any],
        family: str | None = None,
    ) -> Answered:
        """Checks a file against a card and runs it on raw inputs.

        Args:
            path: of the file or package.
            format: a name of `tfkd.formats.FORMATS`.
            card: what the file must contain.
            signature: what it must take.
            batches: raw inputs, [b, ...], or as golden files hold them; anything that NumPy can read.
            family: a name of `tfkd.formats.families.FAMILIES` to compute as; default: the format's reference.

        Raises:
            NotVerifiedError: nothing here can run the file although it may be right.
            VerifyError: the file is not what the card says, cannot be run, crashes its runtime or takes too long.
        """
        answered: Answered = self.call(path, _checked, path, format, card, signature, family, batches=batches)
        return answered


def _checked(
    path: Path, format: str, card: Card, signature: Signature, family: str | None, batches: Iterator[np.ndarray]
) -> Answered:
    from tfkd.verification import artifacts, requirements

    io = artifacts.check(path, format, card, signature)
    needed = requirements.of(path, format)
    return Answered(io, needed, artifacts.predict(path, format, batches, family))
