"""Suspected wrong labels in words: for the report, and in one line for the command line."""

from pathlib import Path

from tfkd.bundle.manifest import SuspectedLabels
from tfkd.errors import counted, enumerated


def says(entry: SuspectedLabels | None) -> str:
    """Returns how many labels are suspected and what that means, in sentences; "" where nothing was judged."""
    if entry is None:
        return ""
    if entry.reason:
        return f"No label could be judged: {entry.reason}."
    judged = f"{_number(entry)} by confident learning on the predictions of {_judges(entry)}"
    if not entry.suspects:
        return f"{judged}."
    return (
        f"{judged}: there, another class is more probable than it usually is for its own examples. These are suspects: "
        "how many of them are wrong depends on how good the predictions are. Nothing was changed or left out."
    )


def line(entry: SuspectedLabels | None, path: Path) -> str:
    """Returns how many labels are suspected, and where they are listed; "" where nothing was judged.

    Args:
        entry: what the manifest says of them.
        path: the list.
    """
    if entry is None or entry.reason:
        return says(entry)
    listed = f"; {path} lists them, the most probable first: look at each before you correct it"
    return f"{_number(entry)}{listed if entry.suspects else ''}"


def _number(entry: SuspectedLabels) -> str:
    found = counted(entry.suspects, "suspected wrong label") if entry.suspects else "No suspected wrong labels"
    return f"{found} among {counted(entry.examples, 'example')} ({_parts(entry)})"


def _parts(entry: SuspectedLabels) -> str:
    return "each without its fold" if "folds" in entry.parts else enumerated(entry.parts)


def _judges(entry: SuspectedLabels) -> str:
    return enumerated([f"the {name}" for name in entry.judges])
