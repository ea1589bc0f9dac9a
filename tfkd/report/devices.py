"""The pages of a bundle's measurements: every device that its files were measured on, in HTML and in Markdown.

They are beside the measurements, outside of the seal; report.html and MODEL_CARD.md link to them.
"""

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from tfkd import files
from tfkd.bundle import measurements as recorded
from tfkd.bundle.layout import MEASUREMENTS
from tfkd.bundle.manifest import Manifest, read_manifest
from tfkd.bundle.measurements import Record
from tfkd.bundle.publishing import claimed, opened
from tfkd.bundle.results import BenchEntry, Condition, Device, Result, Skipped
from tfkd.report import card, html, measurements, units

HTML, MARKDOWN = "index.html", "index.md"
_IN_THE_RUN = "when the bundle was made"


@dataclass(frozen=True)
class DeviceRow:
    """A measurement of a file.

    Attributes:
        entry: what the manifest keeps of such a measurement.
        created: when it was measured, UTC.
        source: name of the file in `measurements` that holds its samples; None where the manifest alone holds it.
        dropped: samples that were impossible.
        superseded: when another file took the place of the measured one; None for a file of the bundle.
    """

    entry: BenchEntry
    created: str
    source: str | None = None
    dropped: int = 0
    superseded: str | None = None

    @property
    def device(self) -> str:
        """Target and device, with the processor where the device is called by another name."""
        entry = self.entry
        processor = f", {entry.soc}" if entry.soc and entry.soc != entry.device else ""
        return f"{entry.target}: {entry.device}{processor}"

    @property
    def key(self) -> tuple[str, str | None, int | None, str | None]:
        """What must be equal for a newer measurement on the device to take this one's place."""
        return (
            self.entry.artifact,
            self.entry.delegate,
            self.entry.threads,
            self.entry.soc if self.entry.emulated else None,
        )


@dataclass(frozen=True)
class DeviceSection:
    """What was measured on one device.

    Attributes:
        title: target and device.
        described: system, conditions and runtime of the newest measurement.
        rows: the newest of each file, delegate and number of threads.
        older: how many earlier measurements of the same are not shown.
        skipped: what the device did not run.
    """

    title: str
    described: str
    rows: list[DeviceRow]
    older: int
    skipped: list[Skipped]


@dataclass(frozen=True)
class Index:
    """What the pages show.

    Attributes:
        manifest: of the bundle.
        places: the devices, in the order of their first measurement.
        superseded: measurements of files that the bundle does not hold any more.
        records: all files of measurements.
    """

    manifest: Manifest
    places: list[DeviceSection]
    superseded: list[DeviceRow]
    records: list[Record]


def rewrite(bundle: Path) -> Path:
    """Marks what is superseded, writes the pages, and returns that in HTML.

    Raises:
        RequestError: the folder is no bundle, or cannot be written.
    """
    with claimed(bundle):
        write(bundle)
    return bundle / MEASUREMENTS / HTML


def write(bundle: Path) -> None:
    """Does the same for a bundle that no other process changes."""
    recorded.require_own(bundle)
    shown = index(read_manifest(bundle), recorded.refresh(bundle))
    files.write_text(bundle / MEASUREMENTS / MARKDOWN, card.render("measurements.md.j2", **_context(shown)))
    files.write_text(bundle / MEASUREMENTS / HTML, html.render("measurements.html.j2", **_context(shown)))


def read(bundle: Path) -> Index:
    """Returns what the pages of a bundle show.

    Raises:
        RequestError: the folder is no bundle.
    """
    with opened(bundle) as here:
        return index(read_manifest(here), recorded.read(here))


def index(manifest: Manifest, records: list[Record]) -> Index:
    """Sorts measurements by device.

    Args:
        manifest: of the bundle, with the latencies measured when it was written.
        records: what was measured later, the oldest first.
    """
    held = {artifact.path for artifact in manifest.artifacts}
    groups: dict[tuple[str, str, str | None], list[tuple[DeviceRow, Device | None]]] = defaultdict(list)
    skipped: dict[tuple[str, str, str | None], list[Skipped]] = defaultdict(list)
    superseded = []
    for entry in manifest.bench:
        if entry.artifact in held:
            groups[_device_key(entry)].append((DeviceRow(entry, manifest.created), None))
    for record in records:
        for result in record.content.results if record.content else []:
            row = _row(record, result)
            if row.superseded:
                superseded.append(row)
                continue
            groups[_device_key(row.entry)].append((row, result.device))
            assert record.content is not None
            skipped[_device_key(row.entry)] = record.content.skipped
    places = [_place(found, skipped[key]) for key, found in groups.items()]
    return Index(manifest, places, superseded, records)


def _row(record: Record, result: Result) -> DeviceRow:
    return DeviceRow(BenchEntry.of(result), record.created, record.name, result.dropped, result.superseded)


def _device_key(entry: BenchEntry) -> tuple[str, str, str | None]:
    # An emulator plays one processor after the other: these are rows of one table.
    return entry.target, entry.device, None if entry.emulated else entry.soc


def _place(found: list[tuple[DeviceRow, Device | None]], skipped: list[Skipped]) -> DeviceSection:
    newest = {row.key: row for row, _ in found}
    row, device = found[-1]
    processor = (
        f", {row.entry.soc}" if row.entry.soc and not row.entry.emulated and row.entry.soc != row.entry.device else ""
    )
    return DeviceSection(
        title=f"{row.entry.target}: {row.entry.device}{processor}",
        described=_described(row, device),
        rows=sorted(
            newest.values(), key=lambda each: (each.entry.artifact, each.entry.delegate or "", each.entry.threads or 0)
        ),
        older=len(found) - len(newest),
        skipped=skipped,
    )


def _order(row: DeviceRow) -> tuple[str, str, int]:
    return row.entry.artifact, row.entry.delegate or "", row.entry.threads or 0


def _described(row: DeviceRow, device: Device | None) -> str:
    entry = row.entry
    details = [
        f"evidence level {entry.rung}" if entry.rung else "",
        "emulated" if entry.emulated else "",
        entry.runtime,
    ]
    if device is None:
        return "; ".join(filter(None, [*details, f"measured {_IN_THE_RUN}, {row.created}"]))
    details += [device.os, f"build {device.build}" if device.build else ""]
    details += [f"governor {device.governor}" if device.governor else "", condition(device.before, device.after)]
    return "; ".join(filter(None, [*details, f"last measured {row.created or 'at an unknown time'}"]))


def condition(before: Condition, after: Condition) -> str:
    """'31 °C before, 35 °C after; battery 87 %, charging; load 0.4 per core': what is known of it."""
    degrees = [
        f"{each.celsius:g} °C {when}"
        for each, when in ((before, "before"), (after, "after"))
        if each.celsius is not None
    ]
    battery = "" if before.battery is None else f"battery {units.percent(before.battery, 0)}"
    charging = "" if before.charging is None else "charging" if before.charging else "not charging"
    status = "" if before.thermal_status is None else f"thermal status {before.thermal_status}"
    load = "" if before.load is None else f"load {before.load:.2g} per core"
    parts = [", ".join(degrees), ", ".join(filter(None, [battery, charging])), status, load]
    return "; ".join(filter(None, parts))


def median(row: DeviceRow) -> str:
    """'1.41 ms', or '2,541,122 instructions': what was measured."""
    latency, instructions = row.entry.latency_ms, row.entry.instructions
    if latency is None:
        return f"{instructions['total']:,} instructions" if instructions else "–"
    return units.milliseconds(latency.median)


def _context(shown: Index) -> dict[str, object]:
    return {
        "index": shown,
        "median": median,
        "interval": lambda entry: (measurements.interval(entry.latency_ms) or "") if entry.latency_ms else "",
        "quantile": lambda entry: measurements.quantile(entry.latency_ms) if entry.latency_ms else "–",
        "golden": measurements.golden,
        "known": units.known,
        "ms": units.milliseconds,
        "megabytes": units.megabytes,
    }
