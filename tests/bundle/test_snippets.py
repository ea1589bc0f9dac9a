"""The sources beside the files of a bundle: compiled against stubs of Android and of Apple's frameworks."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.bundle.manifests import of_table, of_texts
from tests.tools import compilers
from tfkd.bundle import snippets
from tfkd.bundle.manifest import Manifest
from tfkd.labels import labels_text
from tfkd.report.usage import usages
from tfkd.verification.records import AcceptedExamples, Rejection, Threshold

TOOLS = Path(__file__).resolve().parents[1] / "tools"
HOSTILE = ("cat", 'a "quoted" $name ${1 + 1} \\ *' + "/", "größer 🐸", "tab\there")
APPLE = ("CoreML", "ImageIO", "Vision")
MAIN = """
fun main(arguments: Array<String>) {
    for (label in java.io.File(arguments[0]).inputStream().use { FloatsClassifier.readLabels(it) }) println(label)
    println(FloatsClassifier.SIZE)
    println(BytesClassifier.CLASSES + SignedClassifier.CLASSES)
}
"""

LITERT = "Android, with LiteRT"
KINDS = (("floats", "fp32", "float32"), ("bytes", "int8", "uint8"), ("signed", "int8", "int8"))

Make = Callable[..., Manifest]


@pytest.fixture(scope="module")
def make() -> Make:
    from tests.report.conftest import build_manifest

    def made(name: str, precision: str, dtype: str = "float32") -> Manifest:
        manifest = build_manifest(classes=HOSTILE, name=name)
        manifest.artifacts = [a for a in manifest.artifacts if a.precision == precision or a.format == "mlpackage"]
        ends = manifest.artifacts[0].io
        ends.input.dtype = ends.output.dtype = dtype
        ends.output.scale = None if dtype == "float32" else 1 / 256
        return manifest

    return made


def promised(manifest: Manifest) -> Manifest:
    """Adds a threshold of a class with a hostile name, and a promise without a threshold."""
    chosen = Threshold(promise=0.9, value=0.03515625, images=10, recall=0.9, precision=0.5)
    none = Threshold(promise=0.9, value=None, images=0, recall=None, precision=None)
    return manifest.model_copy(update={"thresholds": {HOSTILE[1]: chosen, HOSTILE[0]: none}})


def rejecting(manifest: Manifest) -> Manifest:
    """Adds a least probability to every file."""
    counts = AcceptedExamples(examples=99, accepted=80, wrong=9)
    found = Rejection(promise="max_error", limit=0.1, threshold=0.705078125, validation=counts, test=counts)
    files = [each.model_copy(update={"rejection": found}) for each in manifest.artifacts]
    return manifest.model_copy(update={"artifacts": files})


def test_names_of_bundles_become_names_of_types() -> None:
    names = {"quickstart": "Quickstart", "my-shoes_2": "MyShoes2", "2nd": "Model2nd"}
    assert {name: snippets.type_name(name) for name in names} == names


def test_they_decide_by_thresholds_where_recalls_are_promised(make: Make) -> None:
    plain = {snippet.path: snippet.code for snippet in snippets.snippets(make("floats", "fp32"))}
    for snippet in snippets.snippets(promised(make("floats", "fp32"))):
        if snippet.runtime == "counter":
            continue
        assert "decide(" in snippet.code and "decide(" not in plain[snippet.path]
        assert "0.03515625" in snippet.code and "0.25" not in snippet.code, "no threshold was found for one class"


def test_they_give_no_label_below_the_least_probability(make: Make) -> None:
    floats = make("floats", "fp32")
    for manifest in (floats, of_texts(floats), of_table(floats)):
        plain = {snippet.path: snippet.code for snippet in snippets.snippets(manifest)}
        for snippet in snippets.snippets(rejecting(manifest)):
            if snippet.runtime == "tokenizer":
                assert snippet.code == plain[snippet.path]
                continue
            assert "decide(" not in plain[snippet.path] and "0.705078125" in snippet.code
            if snippet.runtime != "counter":
                assert "String? =" in snippet.code or "-> String? {" in snippet.code


def test_they_are_in_the_folder_of_the_files_that_they_run(make: Make, tmp_path: Path) -> None:
    manifest = make("my-shoes", "int8", "uint8")
    snippets.write(manifest, tmp_path)
    found = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    android = {"android/MyShoesClassifier.kt", "android/MyShoesTasks.kt", "android/MyShoesCounter.kt"}
    assert found == android | {"ios/MyShoesClassifier.swift", "ios/MyShoesCounter.swift"}
    for snippet in snippets.snippets(manifest):
        assert Path(snippet.artifact.path).name in snippet.code
        assert Path(snippet.artifact.path).parent == Path(snippet.path).parent


def test_sources_of_texts_come_with_a_tokenizer(make: Make) -> None:
    manifest = of_texts(make("intents", "fp32"))
    found = {snippet.path: snippet.code for snippet in snippets.snippets(manifest)}
    android = {"IntentsClassifier.kt", "IntentsTasks.kt", "IntentsTokenizer.kt", "IntentsCounter.kt"}
    ios = {"IntentsClassifier.swift", "IntentsTokenizer.swift", "IntentsCounter.swift"}
    assert found.keys() == {f"android/{name}" for name in android} | {f"ios/{name}" for name in ios}
    assert not any("Bitmap" in code or "photo" in code or "CGImage" in code for code in found.values())
    assert "const val LENGTH = 20" in found["android/IntentsTokenizer.kt"]
    steps = {usage.platform: " ".join(usage.steps) for usage in usages(manifest)}
    assert steps.keys() == {LITERT, "Android, with MediaPipe Tasks", "iOS and macOS"}
    assert "TextClassifier takes the text" in steps["Android, with MediaPipe Tasks"]
    assert "labels.txt and vocab.txt into app/src/main/assets and android/IntentsClassifier.kt and" in steps[LITERT]
    for platform, source in ((LITERT, "android/IntentsTokenizer.kt"), ("iOS and macOS", "ios/IntentsTokenizer.swift")):
        assert source in steps[platform] and "vocab.txt" in steps[platform], platform


def test_sources_of_tables_take_values_by_column(make: Make) -> None:
    manifest = of_table(make("loans", "fp32"), HOSTILE)
    found = {snippet.path: snippet.code for snippet in snippets.snippets(manifest)}
    kotlin, swift = found["android/LoansClassifier.kt"], found["ios/LoansClassifier.swift"]
    assert found.keys() - {"android/LoansClassifier.kt", "ios/LoansClassifier.swift"} == {
        "android/LoansCounter.kt",
        "ios/LoansCounter.swift",
    }
    assert not any("Bitmap" in code or "photo" in code or "CGImage" in code for code in found.values())
    assert '"cat" to listOf(' in kotlin and r"\$name \${1 + 1}" in kotlin and '"age" to listOf(),' in kotlin
    assert '("cat", [' in swift and '("age", []),' in swift
    steps = {usage.platform: " ".join(usage.steps) for usage in usages(manifest)}
    assert steps.keys() == {LITERT, "iOS and macOS"} and "in the order of columns.json" in steps[LITERT]


def test_they_run_the_int8_file_on_android_and_a_verified_program_on_ios() -> None:
    from tests.report.conftest import build_manifest

    manifest = build_manifest()
    manifest.artifacts.reverse()
    artifacts = {snippet.runtime: snippet.artifact for snippet in snippets.snippets(manifest)}
    assert artifacts["litert"].precision == artifacts["mediapipe"].precision == "int8"
    assert (artifacts["coreml"].format, artifacts["coreml"].precision) == ("mlpackage", "fp16")
    artifacts["coreml"].not_verified = "operator 'lstm'"
    formats = ["tflite", "tflite", "tflite", "mlmodel", "mlmodel"]
    assert [each.artifact.format for each in snippets.snippets(manifest)] == formats


@pytest.mark.slow
def test_kotlin_compiles_without_a_warning_and_reads_every_label(make: Make, tmp_path: Path) -> None:
    try:
        kotlin = compilers.kotlin()
    except compilers.MissingError as error:
        pytest.skip(f"no Kotlin compiler: {error}")
    for name, precision, dtype in (
        ("floats", "fp32", "float32"),
        ("bytes", "int8", "uint8"),
        ("signed", "int8", "int8"),
    ):
        manifest = make(name, precision, dtype)
        snippets.write(promised(manifest) if dtype != "int8" else manifest, tmp_path / "sources")
        texts = of_texts(manifest.model_copy(update={"name": f"texts-{name}"}))
        snippets.write(promised(texts) if dtype != "int8" else texts, tmp_path / "sources")
        table = of_table(manifest.model_copy(update={"name": f"table-{name}"}), HOSTILE)
        if dtype == "float32":
            snippets.write(promised(table), tmp_path / "sources")
        for each in (manifest, texts, *([table] if dtype == "float32" else [])):
            named = each.model_copy(update={"name": f"unsure-{each.name}"})
            snippets.write(rejecting(named), tmp_path / "sources")
    (tmp_path / "sources" / "Main.kt").write_text(MAIN)
    done = kotlin.compile([tmp_path / "sources", TOOLS / "android_stubs"], tmp_path / "classes")
    assert done.returncode == 0, done.stdout + done.stderr
    (tmp_path / "labels.txt").write_text(labels_text(HOSTILE), encoding="utf-8")
    ran = kotlin.run(tmp_path / "classes", "MainKt", str(tmp_path / "labels.txt"))
    assert ran.stdout.splitlines() == [*HOSTILE, "96", str(2 * len(HOSTILE))], ran.stderr


def test_sources_do_not_grow_with_the_classes(make: Make) -> None:
    manifest = make("many", "fp32")
    few = [len(snippet.code) for snippet in snippets.snippets(manifest)]
    manifest.data.classes = [f"class {number}" for number in range(10_000)]
    for snippet, before in zip(snippets.snippets(manifest), few, strict=True):
        assert len(snippet.code) < before + 20 and "class 9999" not in snippet.code


@pytest.mark.slow
def test_swift_compiles_without_a_warning(make: Make, tmp_path: Path) -> None:
    try:
        swift = compilers.swift()
    except compilers.MissingError as error:
        pytest.skip(str(error))

    def compiled(*arguments: Any) -> None:
        done = swift.frontend(*arguments, modules=tmp_path)
        assert done.returncode == 0, done.stderr

    for name in APPLE:
        made = ["-emit-module", "-parse-as-library", "-module-name", name, "-o", tmp_path / f"{name}.swiftmodule"]
        compiled(*made, TOOLS / "apple_stubs" / f"{name}.swift")
    snippets.write(make("my-shoes", "fp32"), tmp_path)
    snippets.write(promised(make("lesions", "fp32")), tmp_path)
    snippets.write(of_texts(make("intents", "fp32")), tmp_path)
    snippets.write(promised(of_texts(make("topics", "fp32"))), tmp_path)
    snippets.write(rejecting(make("levels", "fp32")), tmp_path)
    snippets.write(rejecting(of_texts(make("unsure", "fp32"))), tmp_path)
    snippets.write(promised(of_table(make("loans", "fp32"), HOSTILE)), tmp_path)
    snippets.write(rejecting(of_table(make("credits", "fp32"))), tmp_path)
    rejected = (("Levels",), ("Unsure", "UnsureTokenizer"))
    for name, *beside in (
        *rejected,
        ("MyShoes",),
        ("Lesions",),
        ("Intents", "IntentsTokenizer"),
        ("Topics", "TopicsTokenizer"),
        ("Loans",),
        ("Credits",),
    ):
        sources = [tmp_path / "ios" / f"{each}.swift" for each in (f"{name}Classifier", *beside)]
        compiled("-typecheck", "-parse-as-library", *sources)
