"""Compares what phones counted of a file with what the file predicted for the test examples of its bundle."""

import datetime
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tfkd.bundle import monitoring
from tfkd.bundle.layout import MANIFEST
from tfkd.bundle.manifest import Manifest
from tfkd.bundle.monitoring import MonitorReference, ReferenceRows
from tfkd.bundle.publishing import opened
from tfkd.bundle.reading import checked_manifest
from tfkd.bundle.seal import listing
from tfkd.errors import RequestError, counted
from tfkd.monitor import effects, estimates, label_shift, looks, phones
from tfkd.monitor.label_shift import LabelShift
from tfkd.monitor.looks import Histograms
from tfkd.monitor.phones import Observed
from tfkd.monitor.records import (
    ClassChange,
    CountedDay,
    Drift,
    DriftVerdict,
    EstimatedAccuracy,
    FeatureHistogram,
    LabelShiftEntry,
    Look,
    PhoneDifferences,
    Range95,
)
from tfkd.verification import VerifyError
from tfkd.verification.counting import BINS, FEATURES
from tfkd.verification.intervals import Interval
from tfkd.verification.records import Artifact
from tfkd.version import __version__
from tfkd.writers import Card

ALARM_RATE = 0.01
FEWEST = 50  # predictions that are tested
FEWEST_OF_DAY = 30  # on a day that is tested by itself

_DRAWINGS = 1_999  # with the observed counts 2,000, so that rates such as 0.01 are whole numbers of drawings
_RESOLUTION = 20  # drawings, at least, beyond the alarm rate
_LEAST_RATE, _MOST_RATE = 1e-4, 0.5
_LEAST_DISPERSION_P = 0.01
_FEW_REFERENCE = 100


@dataclass(frozen=True)
class DriftRequest:
    """What `tfkd drift` looks at.

    Attributes:
        file: path or name of the file whose counts are wanted; None: the one that all counts are of.
        alarm_rate: probability of a false alarm over all looks together.
        since: first day; None for all.
        until: last day; None for all.
        seed: of drawings and bootstraps.
        today: by this machine's clock, in UTC.
    """

    file: str | None = None
    alarm_rate: float = ALARM_RATE
    since: datetime.date | None = None
    until: datetime.date | None = None
    seed: int = 1
    today: datetime.date | None = None

    def __post_init__(self) -> None:
        if not _LEAST_RATE <= self.alarm_rate <= _MOST_RATE:
            raise RequestError(
                f"--alarm-rate {self.alarm_rate:g} is not between {_LEAST_RATE:g} and {_MOST_RATE:g}, such as "
                f"{ALARM_RATE:g}."
            )
        if self.since and self.until and self.since > self.until:
            raise RequestError(f"--since {self.since} is after --until {self.until}. Exchange them.")

    @property
    def drawings(self) -> int:
        """How often reference and phones are drawn again."""
        return max(_DRAWINGS, math.ceil(_RESOLUTION / self.alarm_rate) - 1)


def day_of(flag: str, text: str | None) -> datetime.date | None:
    """Returns the day that a flag names; None without one.

    Raises:
        RequestError: the text is no day.
    """
    try:
        return None if text is None else datetime.date.fromisoformat(text)
    except ValueError:
        raise RequestError(f"{flag} {text!r} is no day. Write it like 2026-11-30.") from None


def drift(bundle: Path, places: Sequence[Path], request: DriftRequest | None = None) -> Drift:
    """Compares counts of phones with the reference in a bundle.

    Args:
        bundle: its folder.
        places: files of counts, or folders of them.
        request: what is looked at.

    Raises:
        RequestError: the bundle or the counts cannot be read, or the counts are of another bundle.
    """
    asked = request or DriftRequest()
    with opened(bundle) as here:
        manifest, _ = manifest_of(bundle, here)
        artifact, found = phones.read(places, manifest, str(bundle), asked.file)
        reference = reference_of(str(bundle), here, artifact)
    today = asked.today or datetime.datetime.now(datetime.UTC).date()
    created = datetime.datetime.fromisoformat(manifest.created).date()
    observed = phones.added(found, created, asked.since, asked.until, today)
    if found:
        _require_predictions(observed, asked)
    return compared(manifest, artifact, reference, observed, asked, len(found))


def _require_predictions(observed: Observed, request: DriftRequest) -> None:
    """Refuses counts without a prediction in the days that are looked at, in which no drift could be seen."""
    if observed.days and sum(phones.sizes(observed.days.values())):
        return
    flags = (("--since", request.since), ("--until", request.until))
    days = "".join(f" {flag} {day}" for flag, day in flags if day)
    left = "".join(
        f" Left out: {counted(each.predictions, 'prediction')} {each.reason}, by clocks that are wrong."
        for each in observed.left_out
    )
    raise RequestError(f"The counts hold no prediction{days}.{left} Name other counts or days.")


def manifest_of(bundle: Path, here: Path) -> tuple[Manifest, Card]:
    """Returns the manifest of a bundle, and the card that its files must hold.

    Args:
        bundle: its folder as the user wrote it.
        here: its folder, open.

    Raises:
        RequestError: it is no bundle, or a damaged one.
    """
    if not (here / MANIFEST).is_file():
        raise RequestError(f"{bundle} is no bundle: it holds no {MANIFEST}. Name a bundle's folder.")
    try:
        listed, _ = listing(here)
        found, _ = checked_manifest(here, listed)
    except VerifyError as error:
        reason = str(error).replace(f"{here}/", "")
        raise RequestError(f"{bundle}: {reason} Run tfkd verify {bundle}, or make the bundle again.") from None
    return found


def reference_of(title: str, folder: Path, artifact: Artifact) -> MonitorReference:
    """Reads what the counts of a file are compared with.

    Raises:
        RequestError: the bundle has no reference of it, or a damaged or empty one.
    """
    try:
        found = monitoring.read(folder, artifact.path)
    except RequestError as error:
        raise RequestError(f"{title}: {error}") from None
    if found.sha256 != artifact.sha256:
        raise RequestError(
            f"{title}: {monitoring.path_of(artifact.path)} is of another file than {artifact.path}. Make it again."
        )
    if not found.examples:
        raise RequestError(f"{title}: {artifact.path} predicts no probabilities for test examples. Make it again.")
    return found


def compared(
    manifest: Manifest,
    artifact: Artifact,
    reference: MonitorReference,
    observed: Observed,
    request: DriftRequest,
    files: int,
) -> Drift:
    """Compares counts with a reference.

    Args:
        manifest: of the bundle.
        artifact: the file.
        reference: its reference.
        observed: what the phones counted.
        request: what is looked at.
        files: number of files of counts.
    """
    rows, days = reference.decoded(), observed.days
    predictions = sum(phones.sizes(days.values()))
    before = looks.histograms_of(rows.student, reference.classes)
    total = effects.total(list(days.values())) if days else None
    spread = effects.between_phones([each[0] for each in observed.phones])
    enough = predictions >= FEWEST
    found = list(_looks(rows, days, request)) if enough else []
    verdict: DriftVerdict = "too few" if not enough else "alarm" if any(each.alarm for each in found) else "no alarm"
    means = reference.confidence_means
    return Drift(
        schema="tfkd-drift-1",
        tfkd_version=__version__,
        bundle=manifest.name,
        file=artifact.path,
        sha256=artifact.sha256,
        created=manifest.created,
        alarm_rate=request.alarm_rate,
        drawings=request.drawings,
        seed=request.seed,
        reference_examples=len(rows.labels),
        phones=files,
        predictions=predictions,
        rejected=observed.rejected,
        rejected_reference=_rejected(artifact),
        invalid=observed.invalid,
        left_out=list(observed.left_out),
        notes=list(_notes(reference, rows, observed, files, spread)),
        verdict=verdict,
        needed=effects.needed(len(rows.labels), BINS, request.alarm_rate / len(FEATURES)),
        mean_confidence=effects.mean_confidence(total[1], means) if total else None,
        mean_confidence_reference=effects.mean_confidence(before[1], means),
        looks=found,
        histograms={
            name: FeatureHistogram(reference=one.tolist(), observed=other.tolist())
            for name, one, other in zip(FEATURES, before, total or (), strict=total is not None)
        },
        days=_counted_days(days, means),
        **(_estimates(rows, total, before, manifest.data.classes, request.seed) if enough and total else {}),
        between_phones=PhoneDifferences(dispersion=spread.dispersion, p_value=spread.p_value) if spread else None,
    )


def _counted_days(days: dict[str, Histograms], means: list[float | None]) -> list[CountedDay]:
    return [
        CountedDay(day=day, n=n, mean_confidence=effects.mean_confidence(each[1], means), tested=n >= FEWEST_OF_DAY)
        for (day, each), n in zip(days.items(), phones.sizes(days.values()), strict=True)
    ]


def _rejected(artifact: Artifact) -> float | None:
    """Returns the fraction of the test examples that get no label; None where the file has no threshold."""
    found = artifact.rejection.test if artifact.rejection and artifact.least_probability is not None else None
    return None if found is None else 1 - found.accepted / found.examples


def _looks(rows: ReferenceRows, days: dict[str, Histograms], request: DriftRequest) -> Iterator[Look]:
    """Yields the tests of all days together, then of each day with enough predictions."""
    names, sizes = list(days), phones.sizes(days.values())
    several = len(names) > 1
    separate = [position for position, n in enumerate(sizes) if several and n >= FEWEST_OF_DAY]
    found = looks.tested(rows.student, list(days.values()), separate, request.drawings, request.seed)
    classes = len(next(iter(days.values()))[0])
    before, total = looks.histograms_of(rows.student, classes), effects.total(list(days.values()))
    periods = [("all", total), *((names[position], days[names[position]]) for position in separate)]
    for period, (name, histograms) in enumerate(periods):
        for feature, title in enumerate(FEATURES):
            corrected = float(found.corrected[period, feature])
            yield Look(
                period=name,
                feature=title,
                n=int(histograms[0].sum()),
                statistic=float(found.statistics[period, feature]),
                p_value=float(found.p_values[period, feature]),
                corrected=corrected,
                cramers_v=effects.association(before[feature], histograms[feature]),
                alarm=corrected <= request.alarm_rate,
            )


def _estimates(
    rows: ReferenceRows, total: Histograms, before: Histograms, classes: list[str], seed: int
) -> dict[str, object]:
    """Returns the changes of the classes, and what they and the confidences say of true classes and accuracy."""
    shift = label_shift.estimated(rows, total, classes, seed)
    accuracy = estimates.by_confidence(rows, total[1], seed)
    known = (rows.labels >= 0).all()
    return {
        "classes": list(_classes(total, before, classes, shift)),
        "label_shift": LabelShiftEntry(
            singular_value=shift.singular_value,
            p_value=shift.p_value,
            explains=shift.explains,
            accuracy=_range(shift.accuracy, shift.accuracy_interval),
            reason=shift.reason,
        ),
        "accuracy": EstimatedAccuracy(
            reference=float(rows.right.mean()) if known else None,
            estimate=_range(accuracy.value, accuracy.interval),
            reason=accuracy.reason,
        ),
    }


def _classes(total: Histograms, before: Histograms, classes: list[str], shift: LabelShift) -> Iterator[ClassChange]:
    now, then = total[0] / total[0].sum(), before[0] / before[0].sum()
    for number, (change, interval) in enumerate(effects.class_changes(before[0], total[0])):
        yield ClassChange(
            label=classes[number],
            reference=float(then[number]),
            observed=float(now[number]),
            change=Range95(value=change, low=interval[0], high=interval[1]),
            estimated=_range(shift.frequencies[number], shift.intervals[number]) if shift.frequencies else None,
        )


def _range(value: float | None, interval: Interval | None) -> Range95 | None:
    return None if value is None or interval is None else Range95(value=value, low=interval[0], high=interval[1])


def _notes(
    reference: MonitorReference,
    rows: ReferenceRows,
    observed: Observed,
    files: int,
    spread: effects.PhoneSpread | None,
) -> Iterator[str]:
    if reference.learnt:
        yield (
            "the student was trained on the reference examples (folds), on which it is more confident than on others: "
            "alarms on confidence, entropy and margin may be false"
        )
    if len(rows.labels) < _FEW_REFERENCE:
        yield f"the reference is {counted(len(rows.labels), 'test example')} only, so that small changes stay unnoticed"
    if files == 1:
        yield "the counts are one phone's, so that how far phones differ from each other is not known"
    elif spread is not None and spread.p_value < _LEAST_DISPERSION_P:
        yield (
            f"the phones differ from each other more than by chance (dispersion {spread.dispersion:.1f}), so that the "
            "alarm rate does not hold; compare more phones"
        )
    if observed.invalid:
        total = sum(phones.sizes(observed.days.values())) + observed.invalid
        yield f"{observed.invalid:,} of {total:,} predictions were no probabilities; look for the fault in the app"
    for each in observed.left_out:
        found = f"{counted(each.predictions, 'prediction')} of {counted(each.days, 'day')} {each.reason}"
        yield f"left out: {found}, by clocks that are wrong"
