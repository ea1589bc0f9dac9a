"""The tables and the page of `tfkd drift`: what phones count against what the student did on test examples."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from markupsafe import Markup
from rich.table import Table
from rich.text import Text

from tfkd import files
from tfkd.errors import enumerated, some
from tfkd.monitor.records import ClassChange, Drift, Look, Range95
from tfkd.report import html, plots, units
from tfkd.report.console import VERDICTS

SHOWN_CLASSES = 12  # of the tables, those that changed the most
_SHOWN_LOOKS = 12
_COLOURS = {"alarm": VERDICTS["failed"], "no alarm": VERDICTS["passed"], "too few": VERDICTS["not judged"]}
_FEATURES = {"top1": "top-1 class", "confidence": "confidence", "entropy": "entropy", "margin": "margin"}


def tables(drift: Drift) -> list[Table]:
    """Returns the looks, the classes, and the estimates; only a line where too few predictions were counted."""
    found = [looks_table(drift)]
    if drift.classes:
        found += [classes_table(drift), estimates_table(drift)]
    if drift.samples:
        found.append(samples_table(drift))
    return found


def headline(drift: Drift) -> str:
    """'alarm: top-1 class, confidence differ over all days' and the like."""
    if drift.verdict == "too few":
        return f"too few predictions to test: {drift.predictions:,}; at least 50 are needed, {needed(drift)}"
    if not drift.alarm:
        return f"no alarm in {units.counted(len(drift.looks), 'look')} at {drift.predictions:,} predictions"
    alarms = [look for look in drift.looks if look.alarm]
    over_all = [_FEATURES[look.feature] for look in alarms if look.period == "all"]
    days = sorted({look.period for look in alarms} - {"all"})
    parts = [f"{enumerated(over_all)} differ{_s(over_all)} from the test examples"] if over_all else []
    parts += [f"{some(days)} differ{_s(days)}"] if days else []
    parts += ["the examples that came back differ"] if drift.samples and drift.samples.alarm else []
    return f"alarm: {'; '.join(parts)}"


def _s(names: Sequence[str]) -> str:
    """Returns the ending of a verb."""
    return "s" if len(names) == 1 else ""


def needed(drift: Drift) -> str:
    """Returns how many predictions find a medium change, in words."""
    if drift.needed is None:
        return "and the reference is too small to find a medium change with any number"
    return f"and about {drift.needed:,} find a medium change (Cohen's w 0.3) with 80 %"


def caption(drift: Drift) -> str:
    """Returns what was compared and what the numbers mean, with all notes."""
    parts = [
        f"{drift.predictions:,} predictions of {units.counted(drift.phones, 'phone file')} against "
        f"{drift.reference_examples:,} test examples",
        f"a false alarm in {100 * drift.alarm_rate:g} % of such calls, by p-values corrected for all looks",
        needed(drift),
        *_withheld(drift),
        *_hidden(drift),
        *drift.notes,
    ]
    return "; ".join(parts)


def _withheld(drift: Drift) -> Iterator[str]:
    """Yields how many predictions got no label, if the file has a threshold or phones counted some."""
    if drift.predictions and (drift.rejected or drift.rejected_reference is not None):
        known = drift.rejected_reference
        before = "" if known is None else f", as {units.percent(known)} of the test examples do"
        now = units.percent(drift.rejected / drift.predictions)
        yield f"{drift.rejected:,} predictions ({now}) got no label{before}"


def _hidden(drift: Drift) -> Iterator[str]:
    """Yields how many looks the table leaves out."""
    if folded := len(drift.looks) - len(shown_looks(drift)):
        yield f"{units.counted(folded, 'look')} at single days with larger p-values are in the JSON alone"


def looks_table(drift: Drift) -> Table:
    """Returns the looks over all days, then those at single days with the smallest p-values."""
    title = Text(f"{drift.bundle}, {drift.file}: ").append(headline(drift), _COLOURS[drift.verdict])
    table = Table(title=title, caption=Text(caption(drift)), show_header=bool(drift.looks))
    table.add_column("period", no_wrap=True)
    table.add_column("feature", no_wrap=True)
    for name in ("predictions", "G", "p alone", "p corrected", "Cramér's V"):
        table.add_column(name, justify="right", no_wrap=True)
    for look in shown_looks(drift):
        style = VERDICTS["failed"] if look.alarm else ""
        table.add_row(*(Text(cell, style) for cell in look_cells(look)))
    return table


def shown_looks(drift: Drift) -> list[Look]:
    """Returns the looks over all days, and the most extreme ones at single days in the order of the days."""
    single = [look for look in drift.looks if look.period != "all"]
    extreme = sorted(single, key=lambda look: (look.corrected, look.p_value))[:_SHOWN_LOOKS]
    return [look for look in drift.looks if look.period == "all" or look in extreme]


def look_cells(look: Look) -> tuple[str, ...]:
    """Returns period, feature, predictions, G, both p-values and the effect size, as the tables show them."""
    numbers = f"{look.n:,}", f"{look.statistic:.1f}", f"{look.p_value:.2g}", f"{look.corrected:.2g}"
    return (look.period, _FEATURES[look.feature], *numbers, f"{look.cramers_v:.2f}")


def classes_table(drift: Drift) -> Table:
    """Returns the classes whose fraction of the predictions changed the most."""
    folded = len(drift.classes) - SHOWN_CLASSES
    caption = "fractions of the predictions; the intervals of all classes hold together with 95 %"
    more = f"; {units.counted(folded, 'more class', 'es')} changed less" if folded > 0 else ""
    table = Table(title="Change per class", caption=caption + more)
    table.add_column("class", overflow="fold")
    for name in ("test", "phones", "change", "interval", "estimated truth"):
        table.add_column(name, justify="right", no_wrap=True)
    for each in changed_classes(drift)[:SHOWN_CLASSES]:
        table.add_row(Text(each.label), *class_cells(each))
    return table


def changed_classes(drift: Drift) -> list[ClassChange]:
    """Returns the classes, those that changed the most first."""
    return sorted(drift.classes, key=lambda each: -abs(each.change.value))


def class_cells(each: ClassChange) -> tuple[str, ...]:
    """Returns both fractions, the change, its interval and the estimated frequency, as the tables show them."""
    ends = f"{units.signed(100 * each.change.low)} to {units.points(each.change.high)}"
    known = spread(each.estimated) if each.estimated else "–"
    return units.percent(each.reference), units.percent(each.observed), units.points(each.change.value), ends, known


def spread(estimate: Range95) -> str:
    """'12.0 % (10.1 to 14.2)'."""
    return f"{units.percent(estimate.value)} ({100 * estimate.low:.1f} to {100 * estimate.high:.1f})"


def estimates(drift: Drift) -> list[tuple[str, str, str]]:
    """Returns the name, value and assumption of each estimate; in place of a value why there is none."""
    rows = [_confidences(drift)]
    if drift.accuracy:
        before = units.known(drift.accuracy.reference, units.percent)
        estimate, reason = drift.accuracy.estimate, drift.accuracy.reason
        found = spread(estimate) if estimate else f"not estimated: {reason}"
        assumed = "an example of a given confidence is as often right as before; no class is new"
        rows.append(("accuracy by confidence", f"{found}; {before} on the test examples", assumed))
    if (shift := drift.label_shift) is not None:
        if shift.accuracy is None:
            found = f"not estimated: {shift.reason}"
        elif not shift.explains:
            found = f"assumption rejected (p = {shift.p_value:.2g})"
        else:
            found = f"{spread(shift.accuracy)} (p = {shift.p_value:.2g})"
        assumed = "only the frequencies of the classes changed, examples of each class look as before; no class is new"
        rows.append(("accuracy by class frequencies", found, assumed))
    if drift.between_phones:
        found = f"dispersion {drift.between_phones.dispersion:.2f} (p = {drift.between_phones.p_value:.2g})"
        rows.append(("differences between phones", found, "1 where phones differ by chance alone"))
    return rows


def _confidences(drift: Drift) -> tuple[str, str, str]:
    now, before = drift.mean_confidence or 0.0, drift.mean_confidence_reference
    value = f"{units.percent(now)}, {units.points(now - before)} from the test examples"
    return "mean confidence", value, "each bin counts as the mean of the test examples in it"


def estimates_table(drift: Drift) -> Table:
    """Returns what confidences and frequencies say of the accuracy, with the assumptions."""
    table = Table(title="Estimates")
    table.add_column("what", no_wrap=True)
    table.add_column("estimate", overflow="fold")
    table.add_column("assumption", overflow="fold")
    for row in estimates(drift):
        table.add_row(*map(Text, row))
    return table


def samples_table(drift: Drift) -> Table:
    """Returns what file and teacher predict for the examples that came back."""
    assert drift.samples is not None
    examples = units.counted(drift.samples.examples, "example")
    title = f"{examples} that came back: {drift.samples.finding or 'no teacher'}"
    table = Table(title=Text(title))
    table.add_column("what", no_wrap=True)
    table.add_column("came back", justify="right")
    table.add_column("test", justify="right")
    table.add_column("p", justify="right")
    for row in sample_rows(drift):
        table.add_row(*map(Text, row))
    return table


def sample_rows(drift: Drift) -> list[tuple[str, str, str, str]]:
    """Returns disagreement, confidences and accuracies of the examples that came back and of the test examples."""
    found = drift.samples
    assert found is not None
    rows = []
    if found.disagreement:
        before = units.known(found.disagreement_reference, units.percent)
        rows.append(("student ≠ teacher", spread(found.disagreement), before, _p(found.disagreement_p_value)))
    for name, network in (("student", found.student), ("teacher", found.teacher)):
        if network is not None:
            now, before = units.percent(network.mean_confidence), units.percent(network.mean_confidence_reference)
            rows.append((f"mean confidence of the {name}", now, before, _p(network.p_value)))
    for name, accuracy in (("student", found.accuracy), ("teacher", found.teacher_accuracy)):
        if accuracy is not None:
            rows.append((f"accuracy of the {name}", spread(accuracy), "", ""))
    return rows


def _p(value: float | None) -> str:
    return units.known(value, lambda known: f"{known:.2g}")


def write_page(drift: Drift, path: Path) -> None:
    """Writes the page; it loads nothing from anywhere.

    Raises:
        RequestError: the page cannot be written.
    """
    page = html.render(
        "drift.html.j2",
        drift=drift,
        headline=headline(drift),
        caption=caption(drift),
        looks=[(look.alarm, look_cells(look)) for look in shown_looks(drift)],
        classes=[(each.label, class_cells(each)) for each in changed_classes(drift)],
        estimates=estimates(drift) if drift.classes else [],
        samples=sample_rows(drift) if drift.samples else [],
        figures=_figures(drift),
        open_classes=2 * SHOWN_CLASSES,
    )
    files.write_text(path, page)


def _figures(drift: Drift) -> list[tuple[str, Markup]]:
    found: list[tuple[str, str]] = []
    for feature, pair in drift.histograms.items():
        if feature != "top1":
            found.append((_FEATURES[feature].capitalize(), plots.histograms(pair.reference, pair.observed, feature)))
    if len(drift.days) > 1:
        alarms = {look.period for look in drift.looks if look.alarm}
        days = [each.day for each in drift.days]
        found.append(("Mean confidence by day", _by_day(drift, days, [day in alarms for day in days])))
    return [(title, Markup(svg)) for title, svg in found]


def _by_day(drift: Drift, days: Sequence[str], alarms: Sequence[bool]) -> str:
    values, level = [each.mean_confidence for each in drift.days], drift.mean_confidence_reference
    return plots.by_day(days, values, alarms, level, "mean confidence")
