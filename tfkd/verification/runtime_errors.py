"""Why LiteRT does not load a .tflite file, in one sentence that keeps the runtime's own cause."""

import re
from collections.abc import Callable

from tfkd.errors import cause

_FLEX = "Flex"
_CONVERT = "convert the model without SELECT_TF_OPS, from layers that LiteRT has"


def _flex(found: re.Match[str]) -> str:
    return (
        f"needs TensorFlow's operator {found[1]} ({_FLEX}), which LiteRT alone does not run; {_CONVERT}, or link "
        "TensorFlow's Flex delegate in the app"
    )


def _custom(found: re.Match[str]) -> str:
    return (
        f"needs the custom operator {found[1]}, which LiteRT does not have; convert the model without custom operators"
    )


def _version(found: re.Match[str]) -> str:
    return (
        f"needs version {found[2]} of the operator {found[1]}, which this LiteRT does not have; update LiteRT, or "
        "convert the model with an older TensorFlow"
    )


def _number(found: re.Match[str]) -> str:
    return (
        f"needs the operator of number {found[1]}, which this LiteRT does not know; update LiteRT, or convert the "
        "model with an older TensorFlow"
    )


_SAID: dict[str, Callable[[re.Match[str]], str]] = {
    r"Node number \d+ \(Flex(\w+)\) failed": _flex,
    r"unresolved custom op: (\S+?)\.(?=\s|$)": _custom,
    r"builtin opcode '(\w+)' version '(\d+)'": _version,
    r"builtin_code out of range: (\d+)": _number,
}
"""What LiteRT says (tensorflow/lite/core/subgraph.cc, op_resolver.cc), and what it means."""


def reason(error: Exception | str, oldest: str | None = None) -> str:
    """Return what is wrong with a file that LiteRT has refused, and what to do, without a full stop at the end.

    Args:
        error: of LiteRT's interpreter, or its text.
        oldest: the oldest runtime that the file states, which is named where a version is missing.
    """
    text = str(error)
    for pattern, worded in _SAID.items():
        if found := re.search(pattern, text):
            is_newer = worded in (_version, _number)
            return worded(found) + (f"; the file states {oldest} or newer" if oldest and is_newer else "")
    reason = cause(error if isinstance(error, Exception) else ValueError(error))
    return f"cannot be loaded by LiteRT: {reason.rstrip('.')}"
