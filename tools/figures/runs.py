"""Effects of kills and damaged files on runs: docs/evidence of kills.py and corruption.py."""

from collections.abc import Callable

from tools.figures import evidence

_OUTCOMES = ("made again", "without effect", "refused", "refused three times", "used silently", "traceback")


def kills() -> str:
    """Returns the table of repeatedly killed commands."""
    found = evidence.read("kills")["commands"]
    rows = [
        [f"`tfkd {command}`", str(each["kills"]), f"{each['bit-identical']} of {each['folders']}", "all"]
        for command, each in found.items()
    ]
    return evidence.table(["", "kills", "folders that ended bit-identical", "goal"], rows)


def corruption() -> str:
    """Returns the table of damaged files, by run."""
    found = evidence.read("corruption")["cases"]
    rows = [
        [f"{name}: {sum(counts.values())} damages", *(str(counts.get(outcome, 0)) for outcome in _OUTCOMES)]
        for name, counts in found.items()
    ]
    return evidence.table(["run", *_OUTCOMES], rows)


def kill_count() -> str:
    """Returns how many kills there were; all folders must have ended bit-identical."""
    found = evidence.read("kills")["commands"].values()
    assert all(each["bit-identical"] == each["folders"] for each in found)
    return str(sum(each["kills"] for each in found))


def damage_count() -> str:
    """Returns how many times a file was damaged; none may have been used silently or ended in a traceback."""
    found = evidence.read("corruption")["cases"].values()
    assert not any(each.get(outcome) for each in found for outcome in ("used silently", "traceback"))
    return str(sum(sum(each.values()) for each in found))


def figures() -> dict[str, Callable[[], str]]:
    """Returns the figures by name."""
    return {
        "kills table": kills,
        "corruption table": corruption,
        "number of kills": kill_count,
        "number of damages": damage_count,
    }
