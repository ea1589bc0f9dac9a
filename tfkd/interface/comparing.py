"""`tfkd.diff`: compares two bundles from Python."""

import dataclasses
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from tfkd import arguments
from tfkd.arguments import PathLike
from tfkd.bundle.loading import Bundle, load_bundle
from tfkd.bundle.seal import require_unsealed
from tfkd.files import resolved
from tfkd.inputs import kind_of
from tfkd.interface.calls import folder_of, public_call, source_of
from tfkd.progress import for_caller
from tfkd.releases.comparing import DiffOutcome, compare
from tfkd.releases.limits import limits_of
from tfkd.releases.records import ContractChange, Diff, FileChange
from tfkd.report import diffs
from tfkd.report.tables import Table, Tables
from tfkd.verification.records import Gate


@dataclasses.dataclass(frozen=True, repr=False)
class DiffReport(Tables):
    """The change from one bundle to the next.

    Attributes:
        outcome: numbers and images.
    """

    outcome: DiffOutcome

    @property
    def diff(self) -> Diff:
        """Everything, as `tfkd diff --json` writes it."""
        return self.outcome.diff

    @property
    def passed(self) -> bool:
        """True if the contract holds and no limit was exceeded; a gate that was not judged has not failed."""
        return self.diff.passed

    @property
    def changes(self) -> list[ContractChange]:
        """The changes of what an app relies on."""
        return self.diff.changes

    @property
    def files(self) -> list[FileChange]:
        """The change of every file that both bundles have."""
        return self.diff.files

    @property
    def gates(self) -> list[Gate]:
        """The verdicts on the contract and on the limits."""
        return self.diff.gates

    def write_page(self, path: PathLike) -> None:
        """Writes a page with the images of flipped images.

        Raises:
            RequestError: the file cannot be written.
        """
        page = arguments.path("path", path)
        require_unsealed(page)
        diffs.write_page(self.outcome, resolved(page))

    def tables(self) -> Iterator[Table]:
        """Yields the files, the changes and the verdicts."""
        found = [list(map(_row, each)) for each in (self.files, self.changes, self.gates)]
        for shown, rows in zip(diffs.tables(self.diff), [each for each in found if each], strict=True):
            yield Table(shown, rows)


def _row(entry: BaseModel) -> dict[str, Any]:
    return entry.model_dump(mode="json")


@public_call()
def diff(
    old: Bundle | PathLike,
    new: Bundle | PathLike,
    data: PathLike | tuple[Any, Any] | None = None,
    *,
    max_negative_flips: float | str | None = None,
    max_accuracy_drop: float | str | None = None,
    max_size_increase: float | str | None = None,
    max_latency_increase: float | str | None = None,
    progress: bool | None = None,
) -> DiffReport:
    """Compares two bundles, as `tfkd diff` does: what an app that uses the old one notices of the new one.

    Without images, it compares what the bundles hold, and runs nothing.

    Args:
        old: the bundle that an app uses, or its folder, which is read.
        new: the bundle that is to replace it, or its folder.
        data: examples that both predict: a source such as `folder:images` or `texts:test.csv`, a folder or zip of class
            folders, or a pair: images uint8 [n, H, W, 3] raw RGB, or a list of texts, and labels int [n], numbers of
            the old bundle's classes.
        max_negative_flips: limit of the images that only the old file predicts rightly, as a fraction of those that it
            does; 0.01 or "1%".
        max_accuracy_drop: limit of the accuracy of the old file minus that of the new one.
        max_size_increase: limit of the growth of a file, as a fraction.
        max_latency_increase: the same of latencies and instructions on the same device.
        progress: show progress; None: in notebooks and terminals only.

    Raises:
        RequestError: a folder is no bundle, the bundles have no class or no file in common, or the request is wrong.

    Example:
        >>> assert tfkd.diff("released/pets", "exported_models/pets", "folder:images", max_negative_flips=0.01).passed
    """
    arguments.flag("progress", progress, optional=True)
    folders = folder_of("old", old), folder_of("new", new)
    limits = limits_of(
        {
            "max_negative_flips": max_negative_flips,
            "max_accuracy_drop": max_accuracy_drop,
            "max_size_increase": max_size_increase,
            "max_latency_increase": max_latency_increase,
        }
    )
    source = None if data is None else source_of(data)
    with tempfile.TemporaryDirectory() as written:
        if isinstance(source, tuple):
            stated = load_bundle(folders[0])
            kind = kind_of(stated.manifest.signature.kind)
            source = kind.write_source(*source, stated.labels, Path(written))
        return DiffReport(compare(*folders, source, limits, for_caller(progress)))
