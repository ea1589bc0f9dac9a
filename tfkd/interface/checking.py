"""`tfkd.verify`: verifies a bundle from Python."""

import dataclasses
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tfkd import arguments
from tfkd.arguments import PathLike
from tfkd.bundle.loading import Bundle, load_bundle
from tfkd.bundle.verification import Check
from tfkd.bundle.verification import verify as verify_bundle
from tfkd.inputs import kind_of
from tfkd.interface.calls import folder_of, public_call, source_of
from tfkd.progress import for_caller
from tfkd.report.console import checks_table
from tfkd.report.tables import Table, Tables


@dataclasses.dataclass(frozen=True, repr=False)
class VerifyReport(Tables):
    """The checks of a bundle.

    Attributes:
        folder: folder of the bundle.
        checks: the checks, in order.
    """

    folder: Path
    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        """True if no check failed; a check that was not judged has not failed."""
        return all(check.verdict != "failed" for check in self.checks)

    def tables(self) -> Iterator[Table]:
        """Yields the checks."""
        yield Table(checks_table(str(self.folder), list(self.checks)), map(dataclasses.asdict, self.checks))


@public_call()
def verify(
    bundle: Bundle | PathLike,
    data: PathLike | tuple[Any, Any] | None = None,
    progress: bool | None = None,
    unseen: PathLike | tuple[Any, Any] | None = None,
    teacher: PathLike | None = None,
) -> VerifyReport:
    """Verifies a bundle from nothing but its folder, as `tfkd verify` does: every file is run again.

    Args:
        bundle: its folder, or a loaded bundle, whose folder is read again.
        data: the bundle's examples, to measure its accuracies on again: a source such as `folder:photos` or
            `texts:test.csv`, a folder or zip of class folders, or a pair: images uint8 [n, H, W, 3] raw RGB, or a list
            of texts, and labels int [n], numbers of the bundle's classes.
        progress: show progress; None: in notebooks and terminals only.
        unseen: labelled examples that the bundle's run has not seen, as `data`: all of them are measured, and a file
            fails that is worse on them than it was measured.
        teacher: a `teacher.lock`, or the model, the weights or the predictions of a teacher; the check `teacher` fails
            if it did not teach the bundle.

    Raises:
        RequestError: the folder is no bundle, the examples are not of the bundle's classes, or the teacher cannot be
            read.

    Example:
        >>> assert tfkd.verify("exported_models/quickstart").passed
    """
    arguments.flag("progress", progress, optional=True)
    folder = folder_of("bundle", bundle)
    taught_by = None if teacher is None else arguments.path("teacher", teacher)
    given = {"data": data, "unseen": unseen}
    with tempfile.TemporaryDirectory() as written:
        named = {name: _named(value, name, folder, Path(written)) for name, value in given.items()}
        shown = for_caller(progress)
        checks = verify_bundle(folder, named["data"], shown, unseen=named["unseen"], teacher=taught_by)
        return VerifyReport(folder, tuple(checks))


def _named(value: Any, name: str, bundle: Path, written: Path) -> str | None:
    """Returns an argument of examples as a source; a pair is written to a folder."""
    source = None if value is None else source_of(value, name)
    if not isinstance(source, tuple):
        return source
    stated = load_bundle(bundle)
    return kind_of(stated.manifest.signature.kind).write_source(*source, stated.labels, written / name)
