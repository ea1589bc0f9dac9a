"""The iOS app: its sources compiled against stubs of Apple's frameworks, its own parts run here, its project read."""

import re
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Callable
from itertools import product
from pathlib import Path

import pytest

from tests.tools import compilers
from tests.tools.bundles import IMAGES, write_bundle
from tests.tools.test_android_app import android_result, rename
from tfkd.benchmark import ios, statistics
from tfkd.bundle import results
from tfkd.formats import FORMATS

pytestmark = pytest.mark.slow

APP = Path(__file__).resolve().parents[2] / "tools" / "ios"
HERE = Path(__file__).resolve().parent
PROJECT = APP / "TfkdBench.xcodeproj"
FRAMEWORKS = ("CoreML", "CryptoKit", "Darwin", "SwiftUI", "UIKit", "XCTest")
OWN = [APP / "TfkdBench" / f"{name}.swift" for name in ("Bench", "ModelBundle", "Numbers", "Results", "Run")]
UNITS = list(ios.UNITS.values())
FILES = ("ios/a.mlmodel", "ios/a.mlpackage")

Check = Callable[..., str]


@pytest.fixture(scope="module")
def swift() -> compilers.Swift:
    try:
        return compilers.swift()
    except compilers.MissingError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def modules(swift: compilers.Swift, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The stubs of Apple's frameworks, compiled."""
    folder = tmp_path_factory.mktemp("swift")
    for name in FRAMEWORKS:
        stub = HERE / "apple_stubs" / f"{name}.swift"
        arguments = ["-emit-module", "-parse-as-library", "-module-name", name, "-o", folder / f"{name}.swiftmodule"]
        done = swift.frontend(*arguments, stub, modules=folder)
        assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def check(swift: compilers.Swift, modules: Path) -> Check:
    """Those parts of the app that need no Apple system, linked with apple_check; runs one of its commands."""
    objects = {
        "Check": [*OWN, HERE / "apple_check" / "main.swift"],
        "CryptoKit": [HERE / "apple_stubs/CryptoKit.swift"],
    }
    for name, sources in objects.items():
        library = ["-parse-as-library"] if name == "CryptoKit" else []
        arguments = ["-c", "-wmo", *library, "-module-name", name, "-o", modules / f"{name}.o"]
        done = swift.frontend(*arguments, *sources, modules=modules)
        assert done.returncode == 0, done.stderr
    program = modules / "check"
    linked = swift.link([modules / f"{name}.o" for name in objects], program)
    assert linked.returncode == 0, linked.stderr

    def run(*arguments: str | Path) -> str:
        done = swift.run(program, *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_the_app_and_its_tests_compile_without_a_warning(swift: compilers.Swift, modules: Path) -> None:
    library = ["-emit-module", "-enable-testing", "-parse-as-library", "-module-name", "TfkdBench"]
    sources = sorted((APP / "TfkdBench").glob("*.swift"))
    app = swift.frontend(*library, "-o", modules / "TfkdBench.swiftmodule", *sources, modules=modules)
    assert app.returncode == 0, app.stderr
    tests = sorted((APP / "TfkdBenchTests").glob("*.swift"))
    checked = swift.frontend("-typecheck", "-parse-as-library", "-module-name", "Tests", *tests, modules=modules)
    assert checked.returncode == 0, checked.stderr


def test_an_example_of_the_schema_is_read_and_written_without_loss(check: Check, tmp_path: Path) -> None:
    whole = ios_result()
    sparse = ios_result(golden=None, peak_memory_mb=None, device=results.Device(os="iOS 18", abi="arm64"))
    results.write(tmp_path / "example.json", [whole, sparse])
    assert results.parse(check("recode", tmp_path / "example.json"), "Swift") == [whole, sparse]


def test_a_bundle_is_measured_on_every_choice_of_compute_units(check: Check, tmp_path: Path) -> None:
    hashes = write_bundle(tmp_path / "bundle", *FILES)
    (tmp_path / "parameters.json").write_text('{"runs": 7, "warmup": 2}')
    check("measure", tmp_path, "0")

    found = results.read(tmp_path / "results.json")
    expected = set(product(FILES, UNITS)) - {(FILES[0], "cpuAndNeuralEngine")}
    assert {(each.artifact.path, each.delegate) for each in found} == expected
    skipped = {"path": FILES[0], "delegate": "cpuAndNeuralEngine", "reason": f"{FILES[0]} is too old."}
    assert status(tmp_path) == ios._IosStatus(state="done", skipped=[ios._AppSkipped(**skipped)])
    for each in found:
        assert each.artifact.sha256 == hashes[each.artifact.path]
        assert each.target == "ios" and each.threads is None and each.rung == "device" and not each.emulated
        assert each.runs == 7 and each.warmup >= 4 and each.warmup % 2 == 0 and min(each.samples_ms) >= 0.2
        assert each.golden is not None and each.golden.checked == IMAGES and each.golden.passed
        assert each.golden.max_abs_error < 1e-6 and each.golden.top1_equal == 1
        ours = statistics.summary(each.samples_ms)
        for name in ("median", "p90", "p99", "min"):
            assert getattr(each.latency_ms, name) == pytest.approx(getattr(ours, name), abs=1e-4)


def test_texts_are_measured_by_the_ids_that_the_bundle_lists(check: Check, tmp_path: Path) -> None:
    write_bundle(tmp_path / "bundle", FILES[1], texts=True)
    (tmp_path / "parameters.json").write_text('{"runs": 1, "warmup": 0}')
    check("measure", tmp_path, "0")
    found = results.read(tmp_path / "results.json")
    assert len(found) == len(UNITS)
    for each in found:
        assert each.golden is not None and each.golden.checked == IMAGES and each.golden.passed


def test_compute_units_can_be_chosen_and_other_predictions_fail(check: Check, tmp_path: Path) -> None:
    write_bundle(tmp_path / "bundle", *FILES)
    (tmp_path / "parameters.json").write_text('{"runs": 1, "warmup": 0, "compute_units": ["cpuOnly", "all"]}')
    for error, passing in (
        ("0.005", {("ios/a.mlmodel", "all"), *product(["ios/a.mlpackage"], ["cpuOnly", "all"])}),
        ("nan", set()),
    ):
        check("measure", tmp_path, error)
        found = results.read(tmp_path / "results.json")
        assert {each.delegate for each in found} == {"cpuOnly", "all"}
        assert {(each.artifact.path, each.delegate) for each in found if each.golden.passed} == passing
        errors = [each.golden.max_abs_error for each in found]
        assert errors == pytest.approx([1 if error == "nan" else 0.005] * len(found))


def test_the_precision_that_matched_is_named(check: Check, tmp_path: Path) -> None:
    """The engine predicts as the first family everywhere; families of later versions are skipped."""
    write_bundle(tmp_path / "bundle", *FILES, accelerated=True)
    index = tmp_path / "bundle" / "golden" / "golden.json"
    index.write_text(index.read_text().replace('"coreml_fp16"', '"of_tomorrow": 1, "coreml_fp16"'))
    (tmp_path / "parameters.json").write_text('{"runs": 1, "warmup": 0, "compute_units": ["cpuOnly", "all"]}')
    check("measure", tmp_path, "0")
    found = {(each.artifact.path, each.delegate): each.golden for each in results.read(tmp_path / "results.json")}
    assert {key: (golden.family, golden.passed) for key, golden in found.items() if golden} == {
        ("ios/a.mlmodel", "cpuOnly"): ("coreml_fp32", True),
        ("ios/a.mlmodel", "all"): ("coreml_fp32", True),
        ("ios/a.mlpackage", "cpuOnly"): ("coreml_fp16", False),
        ("ios/a.mlpackage", "all"): ("coreml_fp16", False),
    }


def test_invalid_probabilities_fail_at_any_tolerance(check: Check, tmp_path: Path) -> None:
    """0.03 too much for one class is within the tolerance of float16, but the sum is 1.03."""
    write_bundle(tmp_path / "bundle", "ios/a.mlpackage")
    (tmp_path / "parameters.json").write_text('{"runs": 1, "warmup": 0, "compute_units": ["all"]}')
    check("measure", tmp_path, "0.029")
    (found,) = results.read(tmp_path / "results.json")
    assert found.golden is not None and found.golden.max_abs_error < found.golden.tolerance
    assert (found.golden.passed, found.golden.fault) == (False, "do not add up to 1")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "bundle" / FILES[0]).write_bytes(b"x"), "is not the file that the manifest names"),
        (lambda folder: (folder / "bundle" / FILES[1] / "new").write_bytes(b"x"), "is not the file that the manifest"),
        (lambda folder: (folder / "bundle" / FILES[0]).unlink(), "is not in the bundle"),
        (lambda folder: (folder / "bundle" / "manifest.json").write_text("{"), "manifest.json of the bundle"),
        (lambda folder: (folder / "bundle" / "golden" / "golden.json").unlink(), "golden.json of the bundle"),
        (lambda folder: rename(folder / "bundle" / "manifest.json", FILES[0], "../a"), "outside the bundle"),
        (lambda folder: (folder / "bundle").rename(folder / "gone"), "There is no bundle"),
        (lambda folder: (folder / "parameters.json").write_text('{"runs": 0}'), "runs from 1 on"),
        (lambda folder: (folder / "parameters.json").write_text('{"compute_units": ["tpu"]}'), "parameters.json"),
    ],
)
def test_a_damaged_file_is_an_error_in_the_status(check: Check, tmp_path: Path, damage, message: str) -> None:
    write_bundle(tmp_path / "bundle", *FILES)
    (tmp_path / "results.json").write_text("old")
    damage(tmp_path)
    check("measure", tmp_path, "0")
    found = status(tmp_path)
    assert found.state == "failed" and found.error is not None and message in found.error
    assert not (tmp_path / "results.json").exists()


def test_tolerances_are_those_of_tfkd(check: Check) -> None:
    lines = [tuple(line.split()) for line in check("tolerances").splitlines()]
    expected = [
        (units, format, precision, family, str(FORMATS[format].precision(precision).tolerances[family]))
        for units in UNITS
        for format, precision in (("mlmodel", "fp32"), ("mlpackage", "fp32"), ("mlpackage", "int8"))
        for family in FORMATS[format].accepted_families(precision, units)
    ]
    assert [(*line[:4], str(float(line[4]))) for line in lines] == expected


def test_the_project_refers_only_to_what_it_defines() -> None:
    text = (PROJECT / "project.pbxproj").read_text()
    plain = re.sub(r"/\*.*?\*/", "", text)
    defined = Counter(re.findall(r"^\t\t([0-9A-F]{24})\s+= \{", plain, re.MULTILINE))
    assert defined and set(defined.values()) == {1}
    assert set(re.findall(r"\b[0-9A-F]{24}\b", plain)) == set(defined)
    for opened, closed in ("{}", "()"):
        assert plain.count(opened) == plain.count(closed)
    folders = re.findall(r"PBXFileSystemSynchronizedRootGroup;\s+path = (\w+);", plain)
    folders += re.findall(r"lastKnownFileType = folder; path = (\w+);", plain)
    assert len(folders) == 3 and all((APP / folder).is_dir() for folder in folders)
    assert re.search(r"^TEST_HOST|TEST_HOST = .*/TfkdBench\"", plain, re.MULTILINE)


def test_the_scheme_builds_and_tests_the_projects_targets() -> None:
    text = (PROJECT / "project.pbxproj").read_text()
    targets = dict(re.findall(r"([0-9A-F]{24}) /\* (\w+) \*/ = \{\s+isa = PBXNativeTarget;", text))
    scheme = ElementTree.parse(PROJECT / "xcshareddata/xcschemes/TfkdBench.xcscheme").getroot()
    named = [(each.get("BlueprintIdentifier"), each.get("BlueprintName")) for each in scheme.iter("BuildableReference")]
    assert set(named) == set(targets.items()) and len(targets) == 2


def test_the_app_and_tfkd_name_the_same_things() -> None:
    project = (PROJECT / "project.pbxproj").read_text()
    assert f"PRODUCT_BUNDLE_IDENTIFIER = {ios.APP};" in project
    source = (APP / "TfkdBench" / "BenchApp.swift").read_text()
    for name, value in ios.ENVIRONMENT.items():
        assert f'environment["{name}"] == "{value}"' in source
    results_source = (APP / "TfkdBench" / "Results.swift").read_text()
    assert f'schemaName = "{results.SCHEMA}"' in results_source


def status(folder: Path) -> ios._IosStatus:
    return ios._IosStatus.model_validate_json((folder / "status.json").read_bytes())


def ios_result(**changes) -> results.Result:
    return android_result(
        **{
            "target": "ios",
            "runtime": results.Runtime(name="Core ML", version="18.0"),
            "delegate": "cpuAndNeuralEngine",
            "artifact": results.File(path="ios/a.mlpackage", sha256="0f" * 32),
            "threads": None,
            **changes,
        }
    )
