"""What was measured of a bundle's files: a dated file per benchmark in its folder `measurements`, outside of the seal.

The files are of the schema of `tfkd.bundle.results`. Their names are unique, so that simultaneous benchmarks lose
nothing. A result describes a file by its hash; where the bundle holds another file by now, it is marked superseded.
"""

import datetime
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from tfkd.bundle import results
from tfkd.bundle.layout import MEASUREMENTS
from tfkd.bundle.manifest import Manifest, read_manifest
from tfkd.bundle.publishing import claimed
from tfkd.bundle.results import Result, Results
from tfkd.errors import RequestError


@dataclass(frozen=True)
class Record:
    """A file in `measurements`.

    Attributes:
        name: of the file.
        content: what it holds; None where it cannot be read.
        fault: why it cannot be read; empty where it can.
    """

    name: str
    content: Results | None
    fault: str = ""

    @property
    def created(self) -> str:
        """When it was measured; empty where that is not known."""
        return (self.content.created if self.content else None) or ""


def new_name(target: str) -> str:
    """Returns a name that no other benchmark gives: the time (UTC), the target's name, and 32 random bits."""
    return f"{datetime.datetime.now(datetime.UTC):%Y%m%dT%H%M%SZ}-{target}-{secrets.token_hex(4)}.json"


def require_writable(bundle: Path) -> None:
    """Raises RequestError where results could not be recorded, so that nothing is measured in vain."""
    place = bundle / MEASUREMENTS
    require_own(bundle)
    if not os.access(place if place.exists() else bundle, os.W_OK | os.X_OK) or (place.exists() and not place.is_dir()):
        raise RequestError(
            f"The results cannot be recorded in {place}: it cannot be written. Make it writable, or add --no-record."
        )


def require_own(bundle: Path) -> None:
    """Raises RequestError where a bundle's `measurements` is a link, which would lead what is written elsewhere."""
    place = bundle / MEASUREMENTS
    if place.is_symlink():
        raise RequestError(f"{place} is a link; a bundle holds files and folders alone. Remove it.")


def write(bundle: Path, name: str, content: Results) -> Path:
    """Records results in a bundle, whole or not at all; a file of this name is replaced.

    Args:
        bundle: its folder.
        name: from `new_name`.
        content: the results. One of a file that the bundle does not hold any more is marked superseded.

    Raises:
        RequestError: the folder is no bundle any more, or cannot be written.
    """
    with claimed(bundle):
        require_own(bundle)
        path = bundle / MEASUREMENTS / name
        results.write_all(path, _marked(content, read_manifest(bundle)))
        return path


def read(bundle: Path) -> list[Record]:
    """Returns the contents of a bundle's `measurements`, the oldest first; what cannot be read says why."""
    place = bundle / MEASUREMENTS
    paths = [path for path in place.glob("*.json") if path.is_file() and not path.name.startswith(".")]
    return sorted(map(_record, paths), key=lambda record: (record.created, record.name))


def refresh(bundle: Path) -> list[Record]:
    """Marks which results describe files that the bundle holds, and returns all (see `read`); `claimed` must be held.

    Raises:
        RequestError: the folder is no bundle, or cannot be written.
    """
    manifest = read_manifest(bundle)
    for record in read(bundle):
        if record.content is not None and (marked := _marked(record.content, manifest)) != record.content:
            results.write_all(bundle / MEASUREMENTS / record.name, marked)
    return read(bundle)


def _record(path: Path) -> Record:
    try:
        return Record(path.name, results.read_all(path))
    except RequestError as error:
        return Record(path.name, None, str(error))


def _marked(content: Results, manifest: Manifest) -> Results:
    """Marks results of other files than the manifest's, and takes the mark from those that describe its files."""
    held = {artifact.path: artifact.sha256 for artifact in manifest.artifacts}
    now = results.now([]).created

    def marked(result: Result) -> Result:
        current = held.get(result.artifact.path) == result.artifact.sha256
        return result.model_copy(update={"superseded": None if current else result.superseded or now})

    return content.model_copy(update={"results": [marked(each) for each in content.results]})
