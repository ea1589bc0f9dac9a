"""The tables that the command line prints."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from tfkd.bundle.manifest import Manifest, StudentEntry, TeacherEntry
from tfkd.bundle.verification import Check
from tfkd.report import devices, facts, measurements, scores, units
from tfkd.report.devices import Index
from tfkd.verification.records import Diagnosis, Gate, Verdict

VERDICTS: dict[Verdict, str] = {"passed": "green", "failed": "bold red", "not judged": "yellow"}  # their colours


def comparison_table(manifest: Manifest) -> Table:
    """Returns teacher, control and student, or a model's own files, with size, latency, accuracy and drop."""
    images = manifest.data.splits["test"]
    table = Table(
        title=Text(f"{manifest.name}: {facts.headline(manifest)}"),
        caption=f"latency of one {manifest.noun}; {_accuracies(manifest)}",
    )
    table.add_column("variant", no_wrap=True)
    taught = ["as teacher", "training"] if manifest.teachers else []
    memory = ["memory"] if facts.has_memory(manifest) else []
    for name in ("size", "deflated", "1 thread", "all cores", *memory, "accuracy", "points", *taught):
        table.add_column(name, justify="right", no_wrap=True)
    if manifest.teachers and manifest.teachers[0].not_exported:
        table.add_row("teacher", *_not_exported(manifest.teachers[0].accuracy, manifest), style="dim")
    for row in manifest.comparison:
        table.add_row(
            Text(row.variant),
            units.size(row.bytes),
            units.known(row.compressed_bytes, units.size),
            units.milliseconds(row.latency_ms),
            units.known(row.latency_all_ms, units.milliseconds),
            *([units.known(row.peak_memory_mb, units.megabytes)] if memory else []),
            units.plus_minus(row.accuracy, facts.standard_error(row.accuracy, images)),
            units.known(row.drop, lambda drop: units.signed(-100 * drop)),
            *([units.known(row.agreement, units.percent), units.known(row.seconds, units.seconds)] if taught else []),
        )
        if manifest.teachers and row is manifest.comparison[0] and not facts.has_control_row(manifest):
            table.add_row("control", *_control(manifest), style="dim")
    return table


def _accuracies(manifest: Manifest) -> str:
    if manifest.folds:
        return facts.measured_on(manifest)
    return f"accuracy ± standard error on {manifest.images:,} test {manifest.noun}s"


def classes_table(manifest: Manifest) -> Table | None:
    """Returns recall and precision of the classes of the file that is meant to ship; None where they are many."""
    found = scores.score_table(manifest)
    if found is None or found.classes > scores.SHORT:
        return None
    by_thresholds = ", with thresholds" if found.with_thresholds else ""
    table = Table(title=Text(f"{found.variant}{by_thresholds}: classes"), caption="in brackets: 95 % intervals")
    table.add_column("class", overflow="fold")
    names = [f"{manifest.noun}s", "recall", "precision", "F1"] + (
        ["threshold", "recall without"] if by_thresholds else []
    )
    for name in names:
        table.add_column(name, justify="right", no_wrap=True)
    for line in found.lines:
        shipped = line.shipped
        cells = [f"{shipped.images:,}", scores.estimated(shipped.recall), scores.estimated(shipped.precision)]
        cells.append(units.known(shipped.f1, units.percent))
        if by_thresholds:
            value = line.threshold.value if line.threshold else None
            cells += [units.known(value, lambda each: f"{each:.8g}"), scores.estimated(line.plain.recall)]
        table.add_row(Text(line.name), *cells)
    return table


def missing_lines(manifest: Manifest) -> list[str]:
    """Returns a line for each file that could not be made, and one that says what can be done about them."""
    lines = [f"not made: {file.path}: {file.reason}" for file in manifest.missing]
    if lines:
        option = "--coreml and --tflite name" if not manifest.teachers else "export.coreml and export.tflite name"
        lines.append(f"{option} the files to make; export.require names those that must exist.")
    return lines


def cause_lines(causes: Iterable[Diagnosis], command: Callable[[Sequence[str]], str]) -> list[str]:
    """Returns each cause with its evidence, and a command for each remedy that is an override.

    Args:
        causes: the best supported first.
        command: returns the command of the run with further overrides.
    """
    lines = []
    for cause in causes:
        lines.append(str(cause))
        lines += [f"    {command(overrides)}" for overrides in cause.overrides]
    return lines


def _control(manifest: Manifest) -> list[str]:
    accuracy = manifest.student.control_accuracy
    return ["not run"] if accuracy is None else _not_exported(accuracy, manifest)


def _not_exported(accuracy: float | None, manifest: Manifest) -> list[str]:
    difference = facts.against(accuracy, manifest.teachers[0].accuracy)
    points = units.known(difference, lambda each: units.signed(100 * each))
    empty = [""] * (3 + facts.has_memory(manifest))
    return ["not exported", *empty, _measured(accuracy, manifest.images), points]


def _measured(accuracy: float | None, images: int) -> str:
    if accuracy is None:
        return "not measured"
    return units.plus_minus(accuracy, facts.standard_error(accuracy, images))


def gates_table(manifest: Manifest) -> Table:
    """Returns every gate with its value, its limit, its verdict and the reason for it."""
    return verdicts_table(facts.verdict(manifest), manifest.gates)


def verdicts_table(title: str, gates: Iterable[Gate]) -> Table:
    """Returns gates under a title (see `gates_table`)."""
    table = Table(title=Text(title))
    table.add_column("gate", overflow="fold")
    for name in ("value", "limit"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    for gate in gates:
        described = Text(gate.name)
        if gate.reason:
            described.append(f"\n  {gate.reason}", "dim")
        table.add_row(described, facts.value(gate), facts.limit(gate), Text(gate.verdict, VERDICTS[gate.verdict]))
    return table


def devices_table(index: Index) -> Table:
    """Returns what was measured of a bundle's files, by device."""
    table = Table(title=Text(f"{index.manifest.name}: measurements"))
    for name in ("device", "file", "run by"):
        table.add_column(name, overflow="fold")
    for name in ("threads", "median", "runs"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("golden predictions", overflow="fold")
    table.add_column("measured", overflow="fold")
    for row in [row for place in index.places for row in place.rows] + index.superseded:
        table.add_row(
            Text(row.device),
            Text(row.entry.artifact),
            Text(row.entry.delegate or "–"),
            str(row.entry.threads or "–"),
            devices.median(row),
            str(row.entry.runs),
            Text(measurements.golden(row.entry)),
            Text(f"{row.created}{', superseded' if row.superseded else ''}"),
            style="dim" if row.superseded else None,
        )
    return table


def checks_table(bundle: str, checks: list[Check]) -> Table:
    """Returns what `tfkd verify` found in a bundle."""
    count = {verdict: sum(check.verdict == verdict for check in checks) for verdict in VERDICTS}
    others = [f"{count[verdict]} of {len(checks)} checks {verdict}" for verdict in VERDICTS if count[verdict]]
    found = ", ".join(others) if count["passed"] < len(checks) else f"all {len(checks)} checks passed"
    table = Table(title=Text(f"{bundle}: {found}"))
    table.add_column("check", overflow="fold")
    table.add_column("found", overflow="fold")
    table.add_column("verdict", no_wrap=True)
    for check in checks:
        table.add_row(Text(check.name), Text(check.found), Text(check.verdict, VERDICTS[check.verdict]))
    return table


def networks_table(manifest: Manifest) -> Table:
    """Returns teachers, controls and students with their accuracies, one row per training."""
    images = manifest.data.splits["test"]
    table = Table(title=Text(f"{manifest.name}: networks"), caption=facts.measured_on(manifest))
    for name in ("network", "model"):
        table.add_column(name, overflow="fold")
    for name in ("seed", "px", "accuracy"):
        table.add_column(name, justify="right", no_wrap=True)
    rows = network_rows(manifest)
    counts = [each.domain.images if each.domain else images for each in manifest.teachers]
    counts += [images] * (len(rows) - len(counts))
    for (network, model, seed, side, accuracy), count in zip((row.values() for row in rows), counts, strict=True):
        table.add_row(
            network,
            Text(model),
            "" if seed is None else str(seed),
            units.known(side, str),
            _measured(accuracy, count),
        )
    return table


def network_rows(manifest: Manifest) -> list[dict[str, Any]]:
    """Returns the rows of `networks_table`, accuracies from 0 to 1; a teacher has no seed."""

    def row(
        network: str, entry: TeacherEntry | StudentEntry, seed: int | None, accuracy: float | None
    ) -> dict[str, Any]:
        described = {"network": network, "model": entry.model, "seed": seed, "image_size": entry.image_size}
        return described | {"accuracy": accuracy}

    student = manifest.student
    rows = [
        row(f"teacher ({each.domain.pattern})" if each.domain else "teacher", each, None, each.accuracy)
        for each in manifest.teachers
    ]
    for network, accuracies in (("control", student.control_accuracies), ("student", student.accuracies)):
        rows += [row(network, student, *pair) for pair in zip(student.seeds, accuracies, strict=False)]
    return rows
