"""Reads and adds up the counts of phones. Nothing in them is trusted."""

import datetime
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from tfkd import files, strict_json
from tfkd.bundle.counts import COUNTS_SCHEMA, PhoneCounts, PredictionCounts
from tfkd.bundle.manifest import Manifest
from tfkd.errors import RequestError, first_fault
from tfkd.formats import FORMATS
from tfkd.monitor.effects import total
from tfkd.monitor.looks import Histograms
from tfkd.monitor.records import LeftOut
from tfkd.verification.records import Artifact

_LARGEST = 1 << 26  # bytes: 90 days of 10,000 classes take a fifth of it
_MOST = 2**53  # predictions, which floats count exactly
_CLOCKS = datetime.timedelta(days=1)  # that those of two machines may be apart

PhoneFile = tuple[Path, PhoneCounts]


@dataclass(frozen=True, eq=False)
class Observed:
    """What phones counted of one file.

    Attributes:
        phones: histograms of each phone, over all of its days that count.
        days: histograms by day, in order; days without a prediction are left out.
        rejected: predictions that got no label.
        invalid: predictions that were no probabilities.
        left_out: days that do not count, because clocks are wrong.
    """

    phones: tuple[Histograms, ...]
    days: dict[str, Histograms]
    rejected: int
    invalid: int
    left_out: tuple[LeftOut, ...]


def read(places: Iterable[Path], manifest: Manifest, title: str, file: str | None) -> tuple[Artifact, list[PhoneFile]]:
    """Reads counts of one file of a bundle.

    Args:
        places: files of counts, or folders of them; none gives the file that apps get by default.
        manifest: of the bundle.
        title: the bundle's folder as the user wrote it.
        file: path or name of the file whose counts are wanted; default: the one that all are of.

    Returns:
        The file, and the counts of each phone with their places.

    Raises:
        RequestError: counts cannot be read, are no counts, of another bundle, of several files, or of one phone twice.
    """
    wanted = None if file is None else artifact_of(manifest, title, file)
    by_digest = {each.sha256: each for each in manifest.artifacts}
    found: list[tuple[Path, PhoneCounts, Artifact]] = []
    for path in files_in(places):
        counts = _parsed(path)
        artifact = by_digest.get(counts.sha256)
        if artifact is None or counts.classes != len(manifest.data.classes):
            raise RequestError(
                f"{path} counts {counts.file} of the bundle {counts.bundle!r} (SHA-256 {counts.sha256[:12]}…), "
                f"which is no file of {title}. Name the bundle that these phones run."
            )
        found.append((path, counts, artifact))
    kept = [each for each in found if wanted is None or each[2].sha256 == wanted.sha256]
    if not found:  # the examples that came back are looked at alone
        return wanted or _shipped(manifest), []
    if not kept:
        raise RequestError(f"None of the counts is of {file}. Leave --file out, or name other counts.")
    counted = {each[2].path for each in kept}
    if len(counted) > 1:
        raise RequestError(f"The counts are of {' and '.join(sorted(counted))}. Choose one with --file.")
    phones = [(path, counts) for path, counts, _ in kept]
    _require_different(phones)
    return kept[0][2], phones


def _shipped(manifest: Manifest) -> Artifact:
    """Returns the file that apps get by default."""
    return min(manifest.artifacts, key=lambda each: not FORMATS[each.format].precision(each.precision).shipped)


def artifact_of(manifest: Manifest, title: str, file: str) -> Artifact:
    """Returns a file of a bundle by its path or name.

    Raises:
        RequestError: the bundle has no such file.
    """
    for artifact in manifest.artifacts:
        if file in (artifact.path, artifact.path.rpartition("/")[2]):
            return artifact
    known = ", ".join(each.path for each in manifest.artifacts)
    raise RequestError(f"{title} has no file {file!r}. It has {known}.")


def files_in(places: Iterable[Path]) -> Iterator[Path]:
    """Yields files of counts: those that are named, and every .json file of folders.

    Raises:
        RequestError: a folder holds none.
    """
    for place in places:
        found = sorted(place.glob("*.json")) if place.is_dir() else [place]
        if not found:
            raise RequestError(f"{place} holds no .json file. Name files of counts, or a folder of them.")
        yield from found


def _parsed(path: Path) -> PhoneCounts:
    content = files.read_regular(path, _LARGEST)
    if len(content) > _LARGEST:
        raise RequestError(f"{path} is larger than {_LARGEST:,} bytes, which no counts are. Name a file of counts.")
    try:
        value = strict_json.parsed(content)
        if not isinstance(value, dict) or "schema" not in value:
            raise RequestError(f"{path} is no file of counts: it has no schema. See `tfkd schema counts`.")
        if value["schema"] != COUNTS_SCHEMA:
            raise RequestError(
                f"{path} has the schema {strict_json.quoted(value['schema'])}, this version reads {COUNTS_SCHEMA!r}. "
                "Use the tfkd that made the bundle."
            )
        return PhoneCounts.model_validate(value, strict=True)
    except strict_json.JsonError as error:
        raise RequestError(f"{path} {error}. Name a file of counts.") from None
    except ValidationError as error:
        raise RequestError(f"{path}: {first_fault(error)}. The counts are damaged; leave the file out.") from None


def _require_different(phones: Sequence[PhoneFile]) -> None:
    """Refuses counts that would be added twice."""
    seen: dict[tuple[str, str], Path] = {}
    nameless: dict[str, Path] = {}
    for path, counts in phones:
        if not counts.device:
            content = counts.model_dump_json(include={"days"})
            if counts.days and content in nameless:
                raise RequestError(f"{nameless[content]} and {path} hold the same counts. Leave one out.")
            nameless[content] = path
        for day in counts.days if counts.device else ():
            if (counts.device, day) in seen:
                raise RequestError(
                    f"{seen[counts.device, day]} and {path} both hold {day} of the phone {counts.device!r}. "
                    "Leave the older one out."
                )
            seen[counts.device, day] = path


def added(
    phones: Sequence[PhoneFile],
    created: datetime.date,
    since: datetime.date | None,
    until: datetime.date | None,
    today: datetime.date,
) -> Observed:
    """Adds up the counts of phones.

    Args:
        phones: their counts.
        created: day of the bundle's creation; nothing was counted before.
        since: first day that is looked at; None for all.
        until: last day that is looked at; None for all.
        today: by this machine's clock.

    Raises:
        RequestError: there are more predictions than can be counted exactly.
    """
    by_day: dict[str, list[Histograms]] = {}
    by_phone: list[Histograms] = []
    wrong: dict[str, list[PredictionCounts]] = {"before the bundle was created": [], "in the future": []}
    rejected = invalid = 0
    for path, counts in phones:
        own = []
        for name, found in sorted(counts.days.items()):
            day = datetime.date.fromisoformat(name)
            if day < created - _CLOCKS:
                wrong["before the bundle was created"].append(found)
            elif day > today + _CLOCKS:
                wrong["in the future"].append(found)
            elif (since is None or day >= since) and (until is None or day <= until):
                rejected, invalid = rejected + found.rejected, invalid + found.invalid
                if found.n:
                    own.append(found.histograms())
                    by_day.setdefault(name, []).append(own[-1])
            if found.n > _MOST:
                raise RequestError(
                    f"{path}: {name} counts {found.n:,} predictions, which no phone makes. Leave it out."
                )
        by_phone += [total(own)] if own else []
    if sum(float(each[0].sum()) for each in by_phone) > _MOST:
        raise RequestError(f"The phones count more than {_MOST:,} predictions together. Leave some out.")
    left_out = [
        LeftOut(reason=reason, days=len(days), predictions=sum(each.n for each in days))
        for reason, days in wrong.items()
        if days
    ]
    days: dict[str, Histograms] = {name: total(by_day[name]) for name in sorted(by_day)}
    return Observed(tuple(by_phone), days, rejected, invalid, tuple(left_out))


def sizes(days: Iterable[Histograms]) -> list[int]:
    """Returns the number of predictions of each day."""
    return [int(np.sum(each[0])) for each in days]
