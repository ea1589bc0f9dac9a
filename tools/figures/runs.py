"""What kills and damaged files do to runs: docs/evidence of kills.py and corruption.py."""

from collections.abc import Callable

from tools.figures import evidence

_OUTCOMES = ("made again", "without effect", "refused", "refused three times", "used silently", "traceback")


def kills() -> str:
    """Returns the table of commands that were killed again and again."""
    found = evidence.read("kills")["commands"]
    rows = [
        [f"`tfkd {command}`", str(each["kills"]), f"{each['bit-identical']} of {each['folders']}", "all"]
        for command, each in found.items()
    ]
    return evidence.table(["", "kills", "folders that ended bit-identical", "goal"], rows)


def corruption() -> str:
    """Returns the table of damaged files, by the run that they were of."""
    found = evidence.read("corruption")["cases"]
    rows = [
        [f"{name}: {sum(counts.values())} damages", *(str(counts.get(outcome, 0)) for outcome in _OUTCOMES)]
        for name, counts in found.items()
    ]
    return evidence.table(["run", *_OUTCOMES], rows)


def figures() -> dict[str, Callable[[], str]]:
    """Returns the figures by name."""
    return {"kills table": kills, "corruption table": corruption}
