"""The counters in Kotlin and Swift, compiled and compared with the one in Python on 10,000 predictions."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.bundle.manifests import tiny_manifest
from tests.tools import compilers
from tests.verification.predictions import CASES, CLASSES, generated
from tfkd.bundle import snippets
from tfkd.bundle.counts import PhoneCounts, counted
from tfkd.verification.counting import LARGEST_COUNT, MOST_DAYS, features, rejected
from tfkd.verification.records import AcceptedExamples, Artifact, InputOutput, Rejection, Tensor

LIMIT = float(np.float32(0.6))  # probability below which a prediction is rejected
GIVEN = 2  # classes of the counter to which the app gives the limit; the other counters know that of their file
DAY = "2026-11-30"
NAMES = {classes: f"Of{classes}Counter" for classes in CLASSES}

# Lines of a file: the number of classes, then eight hexadecimal digits of each float32. A counter per line, and one for
# all lines, each line at the next day, whose counts are stored and restored on the way.
KOTLIN = (
    """
interface Counter {
    fun add(probabilities: FloatArray, day: String)
    fun json(): String
    fun restore(json: String): Boolean
}

fun make(classes: Int): Counter = when (classes) {
"""
    + "".join(
        f"""
    {classes} -> object : Counter {{
        private val counter = {name}(device = "a-1"{", rejectBelow = 0.6f" if classes == GIVEN else ""})
        override fun add(probabilities: FloatArray, day: String) = counter.add(probabilities, day)
        override fun json() = counter.toJson()
        override fun restore(json: String) = counter.restore(json)
    }}"""
        for classes, name in NAMES.items()
    )
    + """
    else -> error("no such counter")
}

fun main(arguments: Array<String>) {
    val together = mutableMapOf<Int, Counter>()
    val numbers = mutableMapOf<Int, Int>()
    for (line in java.io.File(arguments[0]).readLines()) {
        val (classes, digits) = line.split(' ')
        val values = FloatArray(digits.length / 8) {
            java.lang.Float.intBitsToFloat(digits.substring(8 * it, 8 * it + 8).toLong(16).toInt())
        }
        val alone = make(classes.toInt())
        alone.add(values, "2026-11-30")
        println(alone.json())
        val number = numbers.merge(classes.toInt(), 1, Int::plus)!! - 1
        val shared = together.getOrPut(classes.toInt()) { make(classes.toInt()) }
        shared.add(values, java.time.LocalDate.parse("2026-11-30").plusDays((number % 100).toLong()).toString())
        if (number == 150) together[classes.toInt()] = make(classes.toInt()).also { check(it.restore(shared.json())) }
    }
    for (shared in together.values) println(shared.json())
    for (text in java.io.File(arguments[1]).readLines()) {
        val counter = make(2)
        print(counter.restore(text))
        counter.add(floatArrayOf(0.25f, 0.75f), "2026-11-30")
        println(" " + counter.json())
    }
}
"""
)
SWIFT = (
    """
import Foundation

protocol Counter {
    func add(_ probabilities: [Double], day: String)
    func toJson() throws -> Data
    func restore(_ json: Data) -> Bool
}
"""
    + "".join(f"extension {name}: Counter {{}}\n" for name in NAMES.values())
    + """
func make(_ classes: String) -> Counter {
    switch classes {
"""
    + "".join(
        f'    case "{classes}": return {name}(device: "a-1"{", rejectBelow: 0.6" if classes == GIVEN else ""})\n'
        for classes, name in NAMES.items()
    )
    + """
    default: fatalError("no such counter")
    }
}

func text(_ counter: Counter) throws -> String { String(decoding: try counter.toJson(), as: UTF8.self) }
func lines(_ argument: Int) throws -> [Substring] {
    let file = URL(fileURLWithPath: CommandLine.arguments[argument])
    return try String(contentsOf: file, encoding: .utf8).split(separator: "\\n")
}

let format = ISO8601DateFormatter()
format.formatOptions = [.withFullDate]
let first = format.date(from: "2026-11-30")!
var order: [String] = []
var together: [String: Counter] = [:]
var numbers: [String: Int] = [:]
for line in try lines(1) {
    let parts = line.split(separator: " ")
    let (classes, digits) = (String(parts[0]), Array(parts[1].utf8))
    let values = stride(from: 0, to: digits.count, by: 8).map { start in
        Double(Float(bitPattern: UInt32(String(decoding: digits[start..<start + 8], as: UTF8.self), radix: 16)!))
    }
    let alone = make(classes)
    alone.add(values, day: "2026-11-30")
    print(try text(alone))
    let number = numbers[classes, default: 0]
    numbers[classes] = number + 1
    if together[classes] == nil { order.append(classes) }
    let shared = together[classes] ?? make(classes)
    shared.add(values, day: format.string(from: first.addingTimeInterval(Double(number % 100) * 86_400)))
    together[classes] = shared
    if number == 150 {
        let (restored, stored) = (make(classes), try shared.toJson())
        precondition(restored.restore(stored))
        together[classes] = restored
    }
}
for classes in order { print(try text(together[classes]!)) }
for line in try lines(2) {
    let counter = make("2")
    let restored = counter.restore(Data(line.utf8))
    counter.add([0.25, 0.75], day: "2026-11-30")
    let written = try text(counter)
    print("\\(restored) \\(written)")
}
"""
)


KNOWN = Rejection(
    promise="coverage", limit=0.9, threshold=LIMIT, validation=AcceptedExamples(examples=1, accepted=1, wrong=0)
)


def source(template: str, classes: int) -> str:
    """Returns the counter of a bundle with two files, which are named after the number of classes."""
    ends = InputOutput(
        input=Tensor(name="image", shape=[1, 8, 8, 3], dtype="float32"),
        output=Tensor(name="probabilities", shape=[1, classes], dtype="float32"),
    )
    files = [
        Artifact(
            path=f"android/of-{classes}_{kind}.tflite",
            format="tflite",
            precision=kind,
            bytes=1,
            sha256=digit * 64,
            io=ends,
            rejection=None if classes == GIVEN or kind == "fp32" else KNOWN,
        )
        for kind, digit in (("fp32", "a"), ("int8", "b"))
    ]
    manifest = tiny_manifest(["a", "b"], files)
    manifest.data.classes = [f"class {number}" for number in range(classes)]  # also one alone, which no data set has
    return snippets.counter(template, manifest.model_copy(update={"name": f"of-{classes}"}), files[1])


def stored(**changes: Any) -> str:
    """Returns counts of two classes as a phone stores them, with some fields of their only day changed."""
    day = {"n": 1, "rejected": 0, "invalid": 0, "top1": [0, 1]}
    day |= {name: [0] * 9 + [1] for name in ("confidence", "entropy", "margin")}
    counts: dict[str, Any] = {
        "schema": "tfkd-counts-1",
        "bundle": "of-2",
        "file": "android/of-2_int8.tflite",
        "sha256": "b" * 64,
    }
    counts |= {"tfkd_version": "0", "device": "a-1", "classes": 2}
    return json.dumps(
        counts | {name: changes.pop(name) for name in [*changes] if name in counts} | {"days": {DAY: day | changes}}
    )


RESTORED = {
    "as it was": (stored(), True),
    "another file": (stored(sha256="c" * 64), False),
    "another schema": (stored(schema="tfkd-counts-2"), False),
    "a negative count": (stored(invalid=-1), False),
    "another number of classes": (stored(top1=[0, 0, 1]), False),
    "a sum that is not n": (stored(top1=[1, 1]), False),
    "text": ("no counts", False),
    "counters at their end": (
        stored(
            n=LARGEST_COUNT,
            top1=[0, LARGEST_COUNT],
            **{name: [0] * 9 + [LARGEST_COUNT] for name in ("confidence", "entropy", "margin")},
        ),
        True,
    ),
}


@pytest.fixture
def arguments(tmp_path: Path) -> list[str]:
    """Files of predictions, and of stored counts."""
    lines = [f"{classes} {row.astype('>f4').tobytes().hex()}\n" for classes in CLASSES for row in generated(classes)]
    assert len(lines) == 10_000
    (tmp_path / "predictions").write_text("".join(lines))
    (tmp_path / "stored").write_text("".join(f"{text}\n" for text, _ in RESTORED.values()))
    return [str(tmp_path / "predictions"), str(tmp_path / "stored")]


def expected() -> Iterator[dict[str, Any]]:
    """Yields the days of every counter that counted one prediction, then of those that counted all of some classes."""
    together = []
    for classes in CLASSES:
        rows = generated(classes)
        for row in rows:
            yield {DAY: day_of(row[None])}
        days = [rows[number::100] for number in range(100)]
        names = [str(np.datetime64(DAY) + number) for number in range(100)]
        kept = dict(list(zip(names, days, strict=True))[-MOST_DAYS:])
        together.append({name: day_of(found) for name, found in kept.items()})
    yield from together


def day_of(rows: np.ndarray) -> dict[str, Any]:
    found = features(rows)
    invalid = int((~found.valid).sum())
    return counted(found.binned(), rows.shape[1], rejected(found, LIMIT), invalid).model_dump()


def require_equal(printed: str) -> None:
    lines = printed.splitlines()
    counters, restored = lines[: -len(RESTORED)], lines[-len(RESTORED) :]
    assert len(counters) == sum(CASES.values()) + len(CLASSES)
    for line, days in zip(counters, expected(), strict=True):
        found = PhoneCounts.model_validate_json(line, strict=True)
        assert found.file == f"android/of-{found.classes}_int8.tflite" and found.device == "a-1"
        assert found.model_dump()["days"] == days
    for (name, (text, accepted)), line in zip(RESTORED.items(), restored, strict=True):
        answer, _, counts = line.partition(" ")
        assert answer == str(accepted).lower(), name
        before = json.loads(text)["days"][DAY]["n"] if accepted else 0
        assert PhoneCounts.model_validate_json(counts).days[DAY].n == min(before + 1, LARGEST_COUNT), name


def test_the_generated_predictions_reach_every_bin() -> None:
    rows = np.concatenate([features(generated(classes)).binned()[:, 1:] for classes in (2, 10, 101)])
    assert all(np.bincount(column, minlength=10).min() > 0 for column in rows.T)


@pytest.mark.slow
def test_kotlin_counts_as_python_does(arguments: list[str], tmp_path: Path) -> None:
    try:
        kotlin = compilers.kotlin()
    except compilers.MissingError as error:
        pytest.skip(f"no Kotlin compiler: {error}")
    sources = {f"{name}.kt": source("counter.kt.j2", classes) for classes, name in NAMES.items()}
    for name, text in (sources | {"Main.kt": KOTLIN}).items():
        (tmp_path / name).write_text(text)
    done = kotlin.compile([tmp_path / name for name in (*sources, "Main.kt")], tmp_path / "classes")
    assert done.returncode == 0, done.stdout + done.stderr
    ran = kotlin.run(tmp_path / "classes", "MainKt", *arguments)
    assert ran.returncode == 0, ran.stderr
    require_equal(ran.stdout)


@pytest.mark.slow
def test_swift_counts_as_python_does(arguments: list[str], tmp_path: Path) -> None:
    try:
        swift = compilers.swift()
    except compilers.MissingError as error:
        pytest.skip(str(error))
    sources = {f"{name}.swift": source("counter.swift.j2", classes) for classes, name in NAMES.items()}
    for name, text in (sources | {"main.swift": SWIFT}).items():
        (tmp_path / name).write_text(text)
    paths = [tmp_path / name for name in (*sources, "main.swift")]
    done = swift.frontend("-c", "-wmo", "-module-name", "Main", "-o", tmp_path / "main.o", *paths, modules=tmp_path)
    assert done.returncode == 0, done.stderr
    linked = swift.link([tmp_path / "main.o"], tmp_path / "main")
    assert linked.returncode == 0, linked.stderr
    ran = swift.run(tmp_path / "main", *arguments)
    assert ran.returncode == 0, ran.stderr
    require_equal(ran.stdout)
