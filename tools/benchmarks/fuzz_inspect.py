"""Checks that `tfkd inspect` does not crash on damaged .tflite files.

    python -m tools.benchmarks.fuzz_inspect exported_models/quickstart/android --count 2000 --out fuzz_inspect.json

Each round changes a copy of a good file: bits and bytes anywhere or in the tables at its start, numbers of four bytes,
blocks that are removed, zeroed, moved or taken from another file, cuts and additions. Then `tfkd inspect` is called as
the command line calls it, in one process, with one child, which is replaced when a file crashes it. Every round must
end with exit code 0 or with one line and exit code 2. Everything is drawn from the seed. JSON goes to stdout; the exit
code is 1 if the command itself crashed or had another exit code.
"""

import collections
import struct
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tools.benchmarks import fuzzing
from tools.benchmarks.fuzz_verdicts import called, drawn, one_child

ALLOWED = (0, 2)
START = 4096  # bytes at the start, which hold tables and offsets
NUMBERS = (0, 1, -1, 2**31 - 1, -(2**31), 2**16, 255, 4, -4)

Mutation = Callable[[bytearray, bytes, np.random.Generator], None]  # changes a file; gets another one too


def bits(content: bytearray, other: bytes, random: np.random.Generator) -> None:
    for place in random.integers(len(content), size=random.integers(1, 9)):
        content[place] ^= 1 << int(random.integers(8))


def bytes_at_the_start(content: bytearray, other: bytes, random: np.random.Generator) -> None:
    for place in random.integers(min(START, len(content)), size=random.integers(1, 5)):
        content[place] = int(random.integers(256))


def numbers(content: bytearray, other: bytes, random: np.random.Generator) -> None:
    for place in random.integers((len(content) - 4) // 4, size=random.integers(1, 4)):
        struct.pack_into("<i", content, 4 * place, drawn(random, NUMBERS))


def numbers_at_the_start(content: bytearray, other: bytes, random: np.random.Generator) -> None:
    place = 4 * int(random.integers(min(START, len(content) - 4) // 4))
    struct.pack_into("<i", content, place, drawn(random, NUMBERS))


def cut(content: bytearray, other: bytes, random: np.random.Generator) -> None:
    del content[random.integers(len(content)) :]


def added(content: bytearray, other: bytes, random: np.random.Generator) -> None:
    content += random.bytes(int(random.integers(1, 5000)))


def block(content: bytearray, random: np.random.Generator) -> slice:
    first = int(random.integers(len(content)))
    return slice(first, first + int(random.integers(1, 400)))


def lost(content: bytearray, other: bytes, random: np.random.Generator) -> None:
    del content[block(content, random)]


def zeroed(content: bytearray, other: bytes, random: np.random.Generator) -> None:
    place = block(content, random)
    content[place] = bytes(len(content[place]))


def moved(content: bytearray, other: bytes, random: np.random.Generator) -> None:
    content[block(content, random)] = content[block(content, random)]


def of_another_file(content: bytearray, other: bytes, random: np.random.Generator) -> None:
    place = block(content, random)
    content[place] = other[place]


MUTATIONS: tuple[Mutation, ...] = (
    bits,
    bytes_at_the_start,
    numbers,
    numbers_at_the_start,
    cut,
    added,
    lost,
    zeroed,
    moved,
    of_another_file,
)


def attempt(files: list[bytes], path: Path, random: np.random.Generator) -> dict[str, Any]:
    """Inspects a changed file; returns the change and the outcome."""
    one, other = random.integers(len(files), size=2)
    content, mutate = bytearray(files[one]), drawn(random, MUTATIONS)
    mutate(content, files[other], random)
    path.write_bytes(content)
    code, printed = called(["inspect", str(path)])
    lines = printed.strip().splitlines()
    return {
        "mutation": mutate.__name__,
        "exit_code": code,
        "one_line": code != 2 or len(lines) == 1,
        "crashed": "Traceback" in printed,
        "crashed_apart": code == 2 and "crashes" in printed,
        "said": printed if code not in ALLOWED or len(lines) != 1 else "",
    }


def main(arguments: list[str] | None = None) -> None:
    parser = fuzzing.parser(__doc__, 2000, "copies")
    parser.add_argument("folder", type=Path, help="folder of good .tflite files")
    options = parser.parse_args(arguments)
    files = [path.read_bytes() for path in sorted(options.folder.glob("*.tflite"))]
    if not files:
        parser.error(f"{options.folder} holds no .tflite files")
    session = fuzzing.Session("fuzz_inspect", options)
    found = []
    with one_child("tfkd.verification.inspect"), tempfile.TemporaryDirectory() as scratch:
        for number in range(options.count):
            random = np.random.default_rng([options.seed, number])
            found.append(attempt(files, Path(scratch) / "changed.tflite", random) | {"number": number})
            session.done(number)
    wrong = [each for each in found if each["exit_code"] not in ALLOWED or each["crashed"] or not each["one_line"]]
    facts = {
        "exit_codes": collections.Counter(str(each["exit_code"]) for each in found),
        "wrong": wrong,
        "runtimes_that_crashed_apart": sum(each["crashed_apart"] for each in found),
        "mutations": collections.Counter(each["mutation"] for each in found),
    }
    session.end(facts, bool(wrong))


if __name__ == "__main__":
    main()
