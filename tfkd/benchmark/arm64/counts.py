"""Instruction counts: what the plugin wrote to QEMU's log, sorted into classes of the A64 instruction set.

The encodings are those of the Arm Architecture Reference Manual for A-profile (ARM DDI 0487), chapter C4.
"""

import re
from collections import Counter
from collections.abc import Iterable

from tfkd.errors import TfkdError

CLASSES = {
    "int": "integer and logic",
    "branch": "branches and calls",
    "system": "system calls, barriers, system registers",
    "load": "loads to general registers, prefetches, atomic operations",
    "store": "stores of general registers",
    "simd_load": "loads to vector registers",
    "simd_store": "stores of vector registers",
    "float_mac": "floating-point multiply-adds, vector and scalar",
    "int_mac": "integer vector multiply-adds and long multiplications",
    "dot": "integer dot products and matrix multiplications",
    "simd": "every other vector and scalar floating-point instruction",
    "other": "what a Cortex-A76 does not have, such as SVE",
}
"""Class to what it holds; an instruction is in one class only."""

_MEMORY = (
    # mask, value, whether it loads: True, False, or the bit that says so
    (0x3B000000, 0x18000000, True),  # literal
    (0x3B200C00, 0x38200000, True),  # atomic operations
    (0x3FA00000, 0x08A00000, True),  # compare and swap
    (0x3F000000, 0x08000000, 22),  # exclusive, ordered
    (0x3A000000, 0x28000000, 22),  # pairs
    (0xBE000000, 0x0C000000, 22),  # vector structures
    (0x3F000000, 0x3C000000, 22),  # one vector register; bit 23 marks the 128-bit ones
    (0x3F000000, 0x3D000000, 22),
    (0xFF200400, 0xF8200400, True),  # with pointer authentication
    (0x3FC00000, 0x38000000, False),  # one general register; both sizes of the load's extension load
    (0x3FC00000, 0x39000000, False),
    (0x3E000000, 0x38000000, True),
    (0x3FE00C00, 0x19000000, False),  # ordered with offset
    (0x3F200C00, 0x19000000, True),
)

_MULTIPLICATIONS = (
    # mask, value, class
    (0x9FE0FC00, 0x0E809400, "dot"),  # SDOT, UDOT
    (0x9FC0F400, 0x0F80E000, "dot"),  # by element
    (0xBFE0FC00, 0x0E809C00, "dot"),  # USDOT
    (0xBF40F400, 0x0F00F000, "dot"),  # USDOT, SUDOT by element
    (0xDFE0F400, 0x4E80A400, "dot"),  # SMMLA, UMMLA, USMMLA
    (0xBF20FC00, 0x0E20CC00, "float_mac"),  # FMLA, FMLS
    (0xBF60FC00, 0x0E400C00, "float_mac"),  # of half precision
    (0xBF80B400, 0x0F801000, "float_mac"),  # by element
    (0xBFC0B400, 0x0F001000, "float_mac"),  # of half precision by element
    (0xDF80B400, 0x5F801000, "float_mac"),  # scalar by element
    (0xDFC0B400, 0x5F001000, "float_mac"),
    (0xFF000000, 0x1F000000, "float_mac"),  # FMADD, FMSUB, FNMADD, FNMSUB
    (0x9F20FC00, 0x0E209400, "int_mac"),  # MLA, MLS
    (0x9F20DC00, 0x0E208000, "int_mac"),  # SMLAL, SMLSL, UMLAL, UMLSL
    (0x9F20FC00, 0x0E20C000, "int_mac"),  # SMULL, UMULL
    (0xBF00B400, 0x2F000000, "int_mac"),  # MLA, MLS by element
    (0x9F00B400, 0x0F002000, "int_mac"),  # SMLAL, SMLSL, UMLAL, UMLSL by element
    (0x9F00F400, 0x0F00A000, "int_mac"),  # SMULL, UMULL by element
)

_LINE = re.compile("[0-9a-f]{8} [0-9]+")


def kind(word: int) -> str:
    """Returns the class of one A64 instruction word, a key of `CLASSES`."""
    match word >> 25 & 15:
        case 8 | 9 | 5 | 13:
            return "int"
        case 10 | 11:
            return "system" if word >> 24 in (0xD4, 0xD5) else "branch"
        case 4 | 6 | 12 | 14:
            return _memory(word)
        case 7 | 15:
            return next((name for mask, value, name in _MULTIPLICATIONS if word & mask == value), "simd")
        case _:
            return "other"


def inference(log: Iterable[str]) -> dict[str, int]:
    """Returns the instructions of one inference by class, with their `total`.

    Args:
        log: the plugin's lines, as tools/arm64/count.c describes them. The inference is between the last two marks;
            between the two marks before it nothing was done, so that theirs are the instructions of marking.

    Raises:
        TfkdError: the log is not the plugin's, or its table of instruction words was full.
    """
    counts: list[Counter[str]] = []
    for line in log:
        match line.split():
            case ["mark"]:
                counts.append(Counter())
            case [word, times] if len(counts) > 1 and _LINE.fullmatch(line.strip()):
                counts[-1][kind(int(word, 16))] += int(times)
            case _:
                raise TfkdError(f"QEMU's log says {line.strip()[:100]!r}, which is no line of a count.")
    if len(counts) < 3:
        raise TfkdError("QEMU's log ends before the inference was counted.")
    found = {name: counts[-1][name] - counts[-2][name] for name in CLASSES}
    return {"total": sum(found.values()), **found}


def _memory(word: int) -> str:
    prefix = "simd_" if word >> 26 & 1 else ""
    for mask, value, load in _MEMORY:
        if word & mask == value:
            loads = load if isinstance(load, bool) else word >> load & 1
            return prefix + ("load" if loads else "store")
    return "other"
