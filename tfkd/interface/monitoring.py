"""`tfkd.drift`: compares what phones count with a bundle's test examples from Python."""

import dataclasses
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from tfkd import arguments
from tfkd.arguments import PathLike
from tfkd.bundle.loading import Bundle
from tfkd.bundle.seal import require_unsealed
from tfkd.files import resolved
from tfkd.interface.calls import folder_of, public_call
from tfkd.monitor.drifting import ALARM_RATE, DriftRequest, day_of
from tfkd.monitor.records import Drift, Look
from tfkd.progress import for_caller
from tfkd.report import drifts
from tfkd.report.tables import Table, Tables

_SOURCE = "a folder or zip of examples, or a source such as 'folder:PATH'"
_ESTIMATE = ("what", "estimate", "assumption")
_COUNTS = "the path of a file or folder of counts, or a list of them"


@dataclasses.dataclass(frozen=True, repr=False)
class DriftReport(Tables):
    """What phones predict against what the student did on test examples.

    Attributes:
        drift: everything, as `tfkd drift --out` writes it.
    """

    drift: Drift

    @property
    def alarm(self) -> bool:
        """True where a difference is larger than chance makes, at the alarm rate."""
        return self.drift.alarm

    @property
    def looks(self) -> list[Look]:
        """The tests: each feature over all days, then on single days."""
        return self.drift.looks

    def write_page(self, path: PathLike) -> None:
        """Writes a page with plots.

        Raises:
            RequestError: the file cannot be written.
        """
        page = arguments.path("path", path)
        require_unsealed(page)
        drifts.write_page(self.drift, resolved(page))

    def tables(self) -> Iterator[Table]:
        """Yields the looks, the changes per class, the estimates, and the examples that came back."""
        drift = self.drift
        values: list[list[dict[str, Any]]] = [[each.model_dump() for each in drifts.shown_looks(drift)]]
        if drift.classes:
            changed = drifts.changed_classes(drift)[: drifts.SHOWN_CLASSES]
            values.append([each.model_dump() for each in changed])
            values.append([dict(zip(_ESTIMATE, row, strict=True)) for row in drifts.estimates(drift)])
        if drift.samples:
            values.append([drift.samples.model_dump()])
        for shown, rows in zip(drifts.tables(drift), values, strict=True):
            yield Table(shown, rows)


@public_call()
def drift(
    bundle: Bundle | PathLike,
    counts: PathLike | Iterable[PathLike] = (),
    *,
    file: str | None = None,
    alarm_rate: float = ALARM_RATE,
    since: str | None = None,
    until: str | None = None,
    samples: PathLike | None = None,
    teacher: PathLike | None = None,
    runs: PathLike = "runs",
    seed: int = 1,
    progress: bool | None = None,
) -> DriftReport:
    """Compares what phones count of a bundle's predictions with its test examples, as `tfkd drift` does.

    Args:
        bundle: the bundle that the phones run, or its folder, which is read.
        counts: files of counts, as the counters in the bundle write them, or folders of such files.
        file: path or name of the file whose counts are compared, where there are counts of several.
        alarm_rate: probability of a false alarm over all looks of this call, 0.0001 to 0.5.
        since: first day that counts, such as "2026-11-30", in UTC.
        until: last day that counts.
        samples: examples that came back: a folder or zip, whose folders may be named after classes, or a source.
        teacher: the teacher's model file, which predicts the samples too; default: that of the run, if it is there.
        runs: folder of the runs, where the teacher is.
        seed: of the drawings; the same seed gives the same result.
        progress: show progress; None: in notebooks and terminals only.

    Raises:
        RequestError: the folder is no bundle with references, the counts are damaged or of another bundle, or the
            request is wrong.

    Example:
        >>> assert not tfkd.drift("exported_models/pets", "counts").alarm
    """
    from tfkd.pipeline import returned

    arguments.flag("progress", progress, optional=True)
    for name, value in {"file": file, "since": since, "until": until}.items():
        arguments.text(name, value, optional=True)
    asked = DriftRequest(
        file,
        arguments.number("alarm_rate", alarm_rate, 1e-4, 0.5),
        day_of("--since", since),
        day_of("--until", until),
        arguments.whole("seed", seed),
    )
    source = None if samples is None else str(arguments.path("samples", samples, _SOURCE))
    taught = None if teacher is None else arguments.path("teacher", teacher)
    place, shown = arguments.path("runs", runs), for_caller(progress)
    return DriftReport(returned.drift(folder_of("bundle", bundle), _paths(counts), asked, source, taught, place, shown))


def _paths(counts: Any) -> list[Path]:
    if isinstance(counts, list | tuple):
        return [arguments.path("counts", each, _COUNTS) for each in counts]
    return [arguments.path("counts", counts, _COUNTS)]
