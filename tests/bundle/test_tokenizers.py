"""The tokenizers in Kotlin and Swift, compiled and compared with the one in Python on texts of many scripts."""

import json
from pathlib import Path

import pytest

from tests.inputs.text.texts import BROKEN, LENGTH, texts, vocabulary
from tests.tools import compilers
from tfkd.bundle import snippets
from tfkd.inputs.text.tokenizer import Tokenizer

GIVEN = [*texts(), *BROKEN]

# A text per line, as its UTF-16 code units, four hexadecimal digits each.
KOTLIN = """
fun main(arguments: Array<String>) {
    val tokenizer = java.io.File(arguments[0]).inputStream().use { IntentsTokenizer(it) }
    for (line in java.io.File(arguments[1]).readText().removeSuffix("\\n").split('\\n')) {
        val text = String(CharArray(line.length / 4) { line.substring(4 * it, 4 * it + 4).toInt(16).toChar() })
        val found = tokenizer.encode(text)
        println(listOf(found.ids.toList(), found.mask.toList()))
    }
}
"""
SWIFT = """
import Foundation

let tokenizer = try IntentsTokenizer(vocabulary: Data(contentsOf: URL(fileURLWithPath: CommandLine.arguments[1])))
let lines = try String(contentsOf: URL(fileURLWithPath: CommandLine.arguments[2]), encoding: .utf8)
for line in lines.utf8.dropLast().split(separator: 10, omittingEmptySubsequences: false) {
    let digits = line.map { UInt16($0) - ($0 < 58 ? 48 : 87) }
    let units = stride(from: 0, to: digits.count, by: 4).map { digits[$0..<$0 + 4].reduce(0) { 16 * $0 + $1 } }
    let found = tokenizer.encode(String(decoding: units, as: UTF16.self))
    print([found.ids, found.mask])
}
"""


@pytest.fixture
def arguments(tmp_path: Path) -> list[str]:
    """Files of a vocabulary and of texts."""
    lines = "".join(f"{text.encode('utf-16-be', 'surrogatepass').hex()}\n" for text in GIVEN)
    (tmp_path / "vocab.txt").write_bytes(vocabulary(GIVEN).text.encode())
    (tmp_path / "texts").write_text(lines)
    return [str(tmp_path / "vocab.txt"), str(tmp_path / "texts")]


def require_equal(printed: str) -> None:
    expected = Tokenizer(vocabulary(GIVEN)).encode(GIVEN, LENGTH)
    found = [json.loads(line) for line in printed.splitlines()]
    known = zip(GIVEN, found, expected.ids.tolist(), expected.mask.tolist(), strict=True)
    assert [text for text, pair, ids, mask in known if pair != [ids, mask]] == []


@pytest.mark.slow
def test_kotlin_gives_the_ids_of_python(arguments: list[str], tmp_path: Path) -> None:
    try:
        kotlin = compilers.kotlin()
    except compilers.MissingError as error:
        pytest.skip(f"no Kotlin compiler: {error}")
    sources = {"Tokenizer.kt": snippets.tokenizer("tokenizer.kt.j2", "intents", LENGTH), "Main.kt": KOTLIN}
    for name, source in sources.items():
        (tmp_path / name).write_text(source)
    done = kotlin.compile([tmp_path / name for name in sources], tmp_path / "classes")
    assert done.returncode == 0, done.stdout + done.stderr
    ran = kotlin.run(tmp_path / "classes", "MainKt", *arguments)
    assert ran.returncode == 0, ran.stderr
    require_equal(ran.stdout)


@pytest.mark.slow
def test_swift_gives_the_ids_of_python(arguments: list[str], tmp_path: Path) -> None:
    try:
        swift = compilers.swift()
    except compilers.MissingError as error:
        pytest.skip(str(error))
    sources = {"Tokenizer.swift": snippets.tokenizer("tokenizer.swift.j2", "intents", LENGTH), "main.swift": SWIFT}
    for name, source in sources.items():
        (tmp_path / name).write_text(source)
    paths = [tmp_path / name for name in sources]
    done = swift.frontend("-c", "-wmo", "-module-name", "Main", "-o", tmp_path / "main.o", *paths, modules=tmp_path)
    assert done.returncode == 0, done.stderr
    linked = swift.link([tmp_path / "main.o"], tmp_path / "main")
    assert linked.returncode == 0, linked.stderr
    ran = swift.run(tmp_path / "main", *arguments)
    assert ran.returncode == 0, ran.stderr
    require_equal(ran.stdout)
