"""The manifest's bench entries, in the groups in which the page shows them: latencies by device, and counts apart."""

from dataclasses import dataclass

from tfkd.bundle.results import BenchEntry, Latency
from tfkd.formats.families import FAMILIES
from tfkd.report import units

_LARGEST = 3  # classes of instructions that are named


@dataclass(frozen=True)
class DeviceGroup:
    """What was timed on one device with one runtime.

    Attributes:
        title: target, device and runtime.
        rung: of the verification ladder, and whether the device is an emulator.
        entries: by number of threads.
    """

    title: str
    rung: str
    entries: list[BenchEntry]


def timed(entries: list[BenchEntry]) -> list[DeviceGroup]:
    """Returns the entries with a latency by device, in the order in which the devices came."""
    groups: dict[tuple[str, str], list[BenchEntry]] = {}
    for entry in entries:
        if entry.latency_ms is not None:
            groups.setdefault((_title(entry), _rung(entry)), []).append(entry)
    return [
        DeviceGroup(title, rung, sorted(group, key=lambda entry: entry.threads or 0))
        for (title, rung), group in groups.items()
    ]


def counted(entries: list[BenchEntry]) -> list[BenchEntry]:
    """Returns the entries of which the instructions are known, and no time."""
    return [entry for entry in entries if entry.latency_ms is None and entry.instructions is not None]


def quantile(latency: Latency) -> str:
    """'1.52 ms', of nine inferences in ten; if the tool reports only the 95th percentile, '1.6 ms (95th)'."""
    if latency.p90 is None and latency.p95 is not None:
        return f"{units.milliseconds(latency.p95)} (95th)"
    return units.known(latency.p90, units.milliseconds)


def interval(latency: Latency) -> str | None:
    """'1.38 – 1.42', the median's 95 % confidence interval."""
    return None if latency.interval is None else " – ".join(units.significant(end) for end in latency.interval)


def golden(entry: BenchEntry) -> str:
    """Describes how far the device's predictions for the golden images are from the bundle's."""
    if entry.golden_passed is None or entry.golden_error is None:
        return "not checked"
    family = FAMILIES.get(entry.golden_family or "")
    named = f" ({family.title})" if family else ""
    return f"{'equal' if entry.golden_passed else 'differ'}, by {entry.golden_error:.1g} at most{named}"


def largest(instructions: dict[str, int]) -> str:
    """'simd 40.1 %, load 22.0 %, dot 12.3 %': the largest classes of the instructions of an inference."""
    classes = sorted(((count, name) for name, count in instructions.items() if name != "total"), reverse=True)
    total = max(1, instructions["total"])
    return ", ".join(f"{name} {units.percent(count / total)}" for count, name in classes[:_LARGEST] if count)


def _title(entry: BenchEntry) -> str:
    processor = [entry.soc] if entry.soc and entry.soc != entry.device else []
    return f"{entry.target}: {', '.join([entry.device, *processor, entry.runtime])}"


def _rung(entry: BenchEntry) -> str:
    return ", ".join(filter(None, [entry.rung, "emulated" if entry.emulated else None]))
