"""Differences between runtimes: docs/evidence/runtime_families.json."""

from collections.abc import Callable, Iterable
from typing import Any

from tfkd.formats.families import COREML_FP16, FAMILIES, LITERT_KERNELS, XNNPACK
from tools.figures import evidence

_PRECISIONS = (("fp32", "fp16"), ("dynamic",), ("int8",), ("16x8",))


def _found() -> dict[str, Any]:
    found: dict[str, Any] = evidence.read("runtime_families")
    return found


def families() -> str:
    """Returns the table of the largest differences of a probability."""
    rows = [
        [FAMILIES[family].title, *_cells(each for each in _found()["within_families"] if each["family"] == family)]
        for family in (XNNPACK, LITERT_KERNELS)
    ]
    rows.append(["between the two families", *_cells(_found()["between_families"])])
    return evidence.table(["family", *(", ".join(names) for names in _PRECISIONS)], rows)


def _cells(entries: Iterable[dict[str, Any]]) -> list[str]:
    entries = [each for each in entries if each["format"] == "tflite"]
    return [_largest(each for each in entries if each["precision"] in names) for names in _PRECISIONS]


def _largest(entries: Iterable[dict[str, Any]]) -> str:
    largest = max((each["probability"]["max"] for each in entries), default=None)
    if largest is None:
        return "–"
    return "0" if largest == 0 else f"{largest:.2g}" if largest >= 1e-4 else f"{largest:.6f}"


def _half() -> str:
    entries = [each for each in _found()["within_families"] if each["family"] == COREML_FP16]
    return _largest(entries)


def figures() -> dict[str, Callable[[], str]]:
    """Returns the figures by name."""
    return {"runtimes table": families, "coreml fp16 difference": _half}
