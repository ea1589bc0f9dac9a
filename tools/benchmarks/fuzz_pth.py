"""Checks that the reader of PyTorch weights ends with tensors or with one line for any `.pth` file.

    python -m tools.benchmarks.fuzz_pth --count 100000 --out fuzz.json

Each round changes a small good file, of the layout with an archive or of the one before torch 1.6: bytes, cuts, slices
in other places, opcodes and numbers of its pickle, values that grow exponentially, entries of its archive. A changed
pickle is put into an archive with the right checksums, so that it is reached. The files are read in separate processes,
which the system kills when one file takes more than a few seconds of CPU time, and which have little memory.

Everything is drawn from the seed. JSON goes to stdout; the exit code is 1 if a file hung, crashed, or ended in anything
but tensors or a RequestError of one line.
"""

import collections
import io
import multiprocessing
import pickletools
import re
import resource
import signal
import struct
import tempfile
import traceback
import warnings
import zipfile
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from tfkd.errors import RequestError
from tfkd.models.torch_weights import read_state_dict
from tools.benchmarks import fuzzing

SECONDS = 5  # of CPU time per file
MEMORY = 1 << 30  # bytes that a process may use for a file, in addition to its libraries
LAYOUTS = ("archive", "stream")
TENSORS = {
    "conv.weight": np.arange(24, dtype=np.float32).reshape(2, 3, 2, 2),
    "bn.bias": np.array([1.5, -2.0], np.float32),
    "half": np.ones((3, 1), np.float16),
    "bn.num_batches_tracked": np.array(7, np.int64),
    "empty": np.zeros((0, 2), np.float32),
}
STORAGES = {np.dtype(kind): f"{name}Storage" for kind, name in (("f4", "Float"), ("f2", "Half"), ("i8", "Long"))}
NUMBERS = (0, 1, 2, 63, 64, 65, 255, 2**31 - 1, -1, -(2**31), 2**32, 2**62, 2**63 - 1, 2**63, 2**64, 2**2000)

Random = np.random.Generator
Content = tuple[bytes, dict[str, np.ndarray]]  # the pickle of the state dict, and the storages
Opcodes = list[bytes]


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value.encode())) + value.encode()


def number(value: int) -> bytes:
    if -(2**31) <= value < 2**31:
        return b"J" + struct.pack("<i", value)
    body = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(body)]) + body if len(body) < 256 else b"\x8b" + struct.pack("<i", len(body)) + body


def numbers(values: tuple[int, ...]) -> bytes:
    return b"(" + b"".join(map(number, values)) + b"t"


def tensor(array: np.ndarray, key: str, layout: str) -> bytes:
    """Returns the opcodes that torch writes for a tensor."""
    kind = f"ctorch\n{STORAGES[array.dtype]}\n".encode()
    tail = b"N" if layout == "stream" else b""
    storage = b"(" + text("storage") + kind + text(key) + text("cpu") + number(array.size) + tail + b"tQ"
    strides = tuple(stride // array.itemsize for stride in array.strides)
    view = storage + number(0) + numbers(array.shape) + numbers(strides) + b"\x89" + b"h\x00)R"
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + view + b"tR"


def good(layout: str) -> Content:
    """Returns a state dict as torch writes it."""
    entries = [text(name) + tensor(array, str(key), layout) for key, (name, array) in enumerate(TENSORS.items())]
    program = b"\x80\x02ccollections\nOrderedDict\nq\x00)Rq\x01(" + b"".join(entries) + b"u}" + text("_metadata")
    program += b"h\x00)Rsb."
    return program, {str(key): array for key, array in enumerate(TENSORS.values())}


def archive(content: Content, extra: dict[str, bytes] | None = None, compression: int = zipfile.ZIP_STORED) -> bytes:
    program, storages = content
    stream = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(stream, "w", compression) as file:
        warnings.simplefilter("ignore")  # two entries of one name
        file.writestr("model/data.pkl", program)
        for key, array in storages.items():
            file.writestr(f"model/data/{key}", array.tobytes())
        for name, body in (extra or {}).items():
            file.writestr(name, body)
    return stream.getvalue()


def stream(content: Content) -> bytes:
    program, storages = content
    system = b"\x80\x02}" + text("little_endian") + b"\x88s."
    keys = b"\x80\x02](" + b"".join(map(text, storages)) + b"e."
    header = b"\x80\x02" + number(0x1950A86A20F9469CFC6C) + b".\x80\x02" + number(1001) + b"." + system
    bodies = (struct.pack("<q", array.size) + array.tobytes() for array in storages.values())
    return header + program + keys + b"".join(bodies)


def written(content: Content, layout: str) -> bytes:
    return archive(content) if layout == "archive" else stream(content)


def opcodes(program: bytes) -> Opcodes:
    places = [place or 0 for _, _, place in pickletools.genops(program)]
    return [program[start:end] for start, end in zip(places, [*places[1:], len(program)], strict=True)]


def spoilt(content: bytes, random: Random) -> bytes:
    changed = bytearray(content)
    for place in random.integers(len(content), size=random.integers(1, 9)):
        changed[place] = random.integers(256)
    return bytes(changed)


def bytes_of_the_file(layout: str, random: Random) -> bytes:
    return spoilt(written(good(layout), layout), random)


def bytes_of_the_pickle(layout: str, random: Random) -> bytes:
    program, storages = good(layout)
    return written((spoilt(program, random), storages), layout)


def cut(layout: str, random: Random) -> bytes:
    content = written(good(layout), layout)
    return content[: random.integers(len(content))]


def slice_elsewhere(layout: str, random: Random) -> bytes:
    program, storages = good(layout)
    start, end, place = (int(each) for each in random.integers(len(program), size=3))
    return written((program[:place] + program[start : start + end % 64] + program[place:], storages), layout)


def other_opcodes(layout: str, random: Random) -> bytes:
    """Removes, doubles and moves opcodes, and inserts others."""
    program, storages = good(layout)
    steps = opcodes(program)
    for _ in range(random.integers(1, 6)):
        place, other = (int(each) for each in random.integers(len(steps), size=2))
        match random.integers(5):
            case 0:
                del steps[place]
            case 1:
                steps.insert(place, steps[other])
            case 2:
                steps[place], steps[other] = steps[other], steps[place]
            case _:
                steps[place : place + int(random.integers(2))] = [any_opcode(random)]
    return written((b"".join(steps), storages), layout)


def any_opcode(random: Random) -> bytes:
    """Returns an opcode of any kind with an argument that it may have."""
    opcode = pickletools.opcodes[random.integers(len(pickletools.opcodes))]
    return opcode.code.encode("latin-1") + _argument(opcode.arg, random)


def _argument(kind: Any, random: Random) -> bytes:
    if kind is None:
        return b""
    if kind.n >= 0:
        return bytes(random.choice((0, 1, 2, 5, 127, 255), size=kind.n).astype(np.uint8))
    if kind.n == pickletools.UP_TO_NEWLINE:
        lines = (b"1", b"-1", b"9" * 5000, b"1e999", b"nan", b"'a'", b"'\\xff'", b"\xff", b"", b"posix\nsystem")
        return lines[random.integers(len(lines))] + b"\n"
    body = bytes(random.integers(256, size=random.choice((0, 1, 8, 200))).astype(np.uint8))
    widths = {pickletools.TAKEN_FROM_ARGUMENT1: "<B", pickletools.TAKEN_FROM_ARGUMENT8U: "<Q"}
    return struct.pack(widths.get(kind.n, "<I"), len(body)) + body


def other_numbers(layout: str, random: Random) -> bytes:
    """Changes sizes, offsets, shapes and strides."""
    program, storages = good(layout)
    steps = opcodes(program)
    places = [place for place, step in enumerate(steps) if step[:1] == b"J"]
    for place in random.choice(places, size=random.integers(1, 4)):
        steps[place] = number(NUMBERS[random.integers(len(NUMBERS))])
    return written((b"".join(steps), storages), layout)


def other_dimensions(layout: str, random: Random) -> bytes:
    """Gives a tensor any number of dimensions."""
    count = int(random.choice((0, 1, 5, 64, 65, 1000)))
    sides = tuple(NUMBERS[each] for each in random.integers(len(NUMBERS), size=2)) + (1,) * count
    program, storages = good(layout)
    shape, strides = (numbers(sides[:count]) if random.random() < 0.9 else b"\x89" for _ in range(2))
    first = TENSORS["conv.weight"]
    program = program.replace(numbers(first.shape), shape, 1)
    return written((program.replace(numbers((12, 4, 2, 1)), strides, 1), storages), layout)


def growing_value(layout: str, random: Random) -> bytes:
    """Builds a value that holds itself, or twice what the step before it built, and puts it anywhere."""
    depth = int(random.choice((3, 30, 300)))
    seeds = (b")q\x02", b"]q\x02", b"}q\x02", number(1) + b"q\x02", text("x") + b"q\x02")
    doublings = (b"h\x02h\x02\x86q\x02", b"](h\x02h\x02eq\x02", b"h\x02h\x02h\x02\x87q\x02", b"h\x02(h\x02h\x02ea")
    value = seeds[random.integers(len(seeds))] + depth * (doublings[random.integers(len(doublings))] + b"0")
    itself = (b"]q\x02h\x02a", b"}q\x02" + text("x") + b"h\x02s", b"]q\x02(h\x02h\x02h\x02e")
    built = itself[random.integers(len(itself))] if random.random() < 0.3 else value.replace(b"0", b"") + b"h\x02"
    program, storages = good(layout)
    steps = opcodes(program)
    place = int(random.integers(1, len(steps)))
    steps[place : place + int(random.integers(2))] = [built]
    return written((b"".join(steps), storages), layout)


def many_tensors_of_one_storage(layout: str, random: Random) -> bytes:
    program, storages = good(layout)
    count, whole = int(random.choice((2, 10, 200))), np.zeros(5000, np.float32)
    entries = b"".join(text(f"t{each}") + tensor(whole, "whole", layout) for each in range(count))
    return written((program.replace(b"q\x01(", b"q\x01(" + entries, 1), {**storages, "whole": whole}), layout)


def other_values(layout: str, random: Random) -> bytes:
    """Changes bytes of the tensors."""
    program, storages = good(layout)
    key = str(random.integers(4))
    changed = np.frombuffer(spoilt(storages[key].tobytes(), random), storages[key].dtype)
    return written((program, {**storages, key: changed}), layout)


def odd_archive(_layout: str, random: Random) -> bytes:
    """Gives an archive other entries, another compression, or damage in its directory."""
    program, storages = good("archive")
    name = ("model/data.pkl", "other/data.pkl", "model/data/0", "model/byteorder", "../x", "\N{DOG FACE}", "a/")
    extra = {name[random.integers(len(name))]: b"big" * int(random.choice((0, 1, 30_000)))}
    compression = zipfile.ZIP_DEFLATED if random.random() < 0.2 else zipfile.ZIP_STORED
    content = archive((program, storages), extra if random.random() < 0.7 else None, compression)
    if random.random() < 0.5:
        directory = content.index(b"PK\x01\x02")
        content = content[:directory] + spoilt(content[directory:], random)
    return content


MUTATIONS: tuple[Callable[[str, Random], bytes], ...] = (
    bytes_of_the_file,
    bytes_of_the_pickle,
    cut,
    slice_elsewhere,
    other_opcodes,
    other_opcodes,
    other_opcodes,
    other_numbers,
    other_dimensions,
    growing_value,
    many_tensors_of_one_storage,
    other_values,
    odd_archive,
)


def drawn(seed: int, number: int) -> tuple[str, str, bytes]:
    """Returns the mutation of a round, the layout, and the content of the file."""
    random = np.random.default_rng([seed, number])
    mutate, layout = MUTATIONS[random.integers(len(MUTATIONS))], LAYOUTS[random.integers(len(LAYOUTS))]
    return mutate.__name__, layout, mutate(layout, random)


def attempt(path: Path) -> tuple[str, str]:
    """Reads a file; returns the outcome and the message."""
    try:
        for value in read_state_dict(path).values():
            np.array(value)
    except RequestError as error:
        message = str(error)
        return ("refused" if "\n" not in message and len(message) < 1000 else "not one line"), message
    except BaseException:
        return "crashed", traceback.format_exc()
    return "tensors", ""


def work(seed: int, numbers: range, folder: str, messages: Connection) -> None:
    """Reads the files of some rounds; the system kills the process when one of them takes too long."""
    signal.signal(signal.SIGVTALRM, signal.SIG_DFL)
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    resource.setrlimit(resource.RLIMIT_DATA, (used + MEMORY, used + MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    path = Path(folder, f"{numbers.start}.pth")
    for number in numbers:
        mutation, layout, content = drawn(seed, number)
        path.write_bytes(content)
        signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)
        outcome, message = attempt(path)
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        messages.send({**described(number, mutation, layout), "outcome": outcome, "said": message})


def described(number: int, mutation: str, layout: str) -> dict[str, Any]:
    return {"number": number, "mutation": mutation, "layout": layout}


def rounds(seed: int, numbers: range, folder: str) -> Iterator[dict[str, Any]]:
    """Yields the outcome of each round; a new process continues after one was killed."""
    context = multiprocessing.get_context("fork")
    while numbers:
        messages, theirs = context.Pipe(duplex=False)
        process = context.Process(target=work, args=(seed, numbers, folder, theirs))
        process.start()
        theirs.close()
        for number in numbers:
            try:
                yield messages.recv()
            except EOFError:
                process.join()
                outcome = "hung" if process.exitcode == -signal.SIGVTALRM else "crashed"
                message = f"exit code {process.exitcode}"
                yield {**described(number, *drawn(seed, number)[:2]), "outcome": outcome, "said": message}
                numbers = range(number + 1, numbers.stop)
                break
        else:
            numbers = range(0)
        process.join()


def reason(message: str) -> str:
    """Returns why a file was refused, without details that differ from file to file."""
    why = message.partition("state dict: ")[2].partition(". Download it again")[0]
    return re.sub(r"'.*'|\".*\"", "…", why) or message


def main(arguments: list[str] | None = None) -> None:
    parser = fuzzing.parser(__doc__, 100_000, "files")
    options = parser.parse_args(arguments)
    session = fuzzing.Session("fuzz_pth", options, every=10_000)
    outcomes: collections.Counter[str] = collections.Counter()
    reasons: collections.Counter[str] = collections.Counter()
    by_mutation: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    wrong = []
    with tempfile.TemporaryDirectory() as folder:
        for layout in LAYOUTS:
            path = Path(folder, "good.pth")
            path.write_bytes(written(good(layout), layout))
            if attempt(path) != ("tensors", ""):
                parser.error(f"The file of the layout {layout} is not good itself: {attempt(path)[1]}")
        for done in rounds(options.seed, range(options.count), folder):
            number, outcome = done["number"], done["outcome"]
            outcomes[outcome] += 1
            by_mutation[f"{done['mutation']}, {done['layout']}"][outcome] += 1
            if outcome == "refused":
                reasons[reason(done["said"])] += 1
            elif outcome != "tensors":
                wrong.append(done)
            session.done(number)
    facts = {
        "cpu_seconds_per_file": SECONDS,
        "wrong": wrong,
        "outcomes": outcomes,
        "refused_because": dict(reasons.most_common()),
        "outcomes_of": dict(sorted(by_mutation.items())),
    }
    session.end(facts, bool(wrong))


if __name__ == "__main__":
    main()
