"""The Android app: its sources compiled against stubs of Android, its own parts run on a Java virtual machine."""

import re
import subprocess
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import yaml

from tests.tools import compilers
from tests.tools.bundles import IMAGES, write_bundle
from tfkd.benchmark import runner, statistics
from tfkd.bundle import results
from tfkd.formats.tflite import TFLITE

pytestmark = pytest.mark.slow

APP = Path(__file__).resolve().parents[2] / "tools" / "android"
HERE = Path(__file__).resolve().parent
PACKAGE = "org.tfkd.bench"
ANDROID = "{http://schemas.android.com/apk/res/android}"
FILES = ("android/a_fp32.tflite", "android/a_int8.tflite")

Check = Callable[..., str]


@pytest.fixture(scope="module")
def check(tmp_path_factory: pytest.TempPathFactory) -> Check:
    """The compiled app, its instrumentation test and the stubs; runs a command of android_check/Check.kt."""
    try:
        kotlin = compilers.kotlin()
    except compilers.MissingError as error:
        pytest.skip(f"no Kotlin compiler: {error}")
    classes = tmp_path_factory.mktemp("kotlin")
    main, tests = (APP / "app/src" / part / "kotlin" for part in ("main", "androidTest"))
    done = kotlin.compile([main, tests, HERE / "android_stubs", HERE / "android_check"], classes)
    assert done.returncode == 0, done.stdout + done.stderr

    def run(*arguments: str | Path) -> str:
        done: subprocess.CompletedProcess[str] = kotlin.run(classes, f"{PACKAGE}.CheckKt", *map(str, arguments))
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_the_apps_sources_compile_without_a_warning(check: Check) -> None:
    assert check("tolerances")  # compiled they were by the fixture


def test_signs_of_life_come_once_per_second(check: Check) -> None:
    signs = [int(line.split()[1]) for line in check("tell", "250").splitlines()]
    assert 1 <= len(signs) <= 25 and signs[0] > 20


def test_an_example_of_the_schema_is_read_and_written_without_loss(check: Check, tmp_path: Path) -> None:
    whole, sparse = android_result(), android_result(threads=None, peak_memory_mb=None, golden=None, delegate="gpu")
    bare = sparse.model_copy(update={"device": results.Device(os="Android 15", abi="arm64-v8a")})
    results.write(tmp_path / "example.json", [whole, sparse, bare])
    assert results.parse(check("recode", tmp_path / "example.json"), "Kotlin") == [whole, sparse, bare]


def test_a_bundle_is_measured_on_every_delegate_and_number_of_threads(check: Check, tmp_path: Path) -> None:
    hashes = write_bundle(tmp_path / "tiny", *FILES)
    out = tmp_path / "results.json"
    lines = check("measure", tmp_path / "tiny", out, "0", "runs=7", "warmup=2", "threads=1,0").splitlines()

    found = results.read(out)
    assert {(each.artifact.path, each.delegate, each.threads) for each in found} == {
        *product(FILES, ["xnnpack"], [1, 4]),
        (FILES[0], "gpu", None),
    }
    assert lines[-1] == f"skipped {FILES[1]} gpu: It is of integers."
    for each in found:
        assert each.artifact.sha256 == hashes[each.artifact.path]
        assert each.target == "android" and each.rung == "device" and not each.emulated
        assert each.runs == 7 and each.warmup >= 4 and each.warmup % 2 == 0
        assert min(each.samples_ms) >= 0.2 and each.init_ms >= 0 and each.first_inference_ms >= 0.2
        assert each.golden is not None and each.golden.checked == IMAGES and each.golden.passed
        assert each.golden.max_abs_error < 1e-6 and each.golden.top1_equal == 1
        ours = statistics.summary(each.samples_ms)
        for name in ("median", "p90", "p99", "min"):
            assert getattr(each.latency_ms, name) == pytest.approx(getattr(ours, name), abs=1e-4)


def test_texts_are_measured_by_the_ids_that_the_bundle_lists(check: Check, tmp_path: Path) -> None:
    write_bundle(tmp_path / "tiny", FILES[0], texts=True)
    check("measure", tmp_path / "tiny", tmp_path / "out", "0", "runs=1", "warmup=0", "threads=1")
    for each in results.read(tmp_path / "out"):
        assert each.golden is not None and each.golden.checked == IMAGES and each.golden.passed

    index = tmp_path / "tiny" / "golden" / "golden.json"
    index.write_text(index.read_text().replace('"ids"', '"others"'))
    (line,) = check("measure", tmp_path / "tiny", tmp_path / "none", "0").splitlines()
    assert line == "failed: golden.json does not list the ids of its texts. Make the bundle again."


def test_other_predictions_than_the_bundles_fail_the_golden_check(check: Check, tmp_path: Path) -> None:
    write_bundle(tmp_path / "tiny", *FILES)
    out = tmp_path / "results.json"
    for error, passed in (("0.005", {"xnnpack": [False, True], "gpu": [True]}), ("NaN", {})):
        check("measure", tmp_path / "tiny", out, error, "runs=1", "warmup=0", "threads=1")
        for each in results.read(out):
            assert each.golden is not None
            allowed = passed.get(each.delegate, [False, False])[FILES.index(each.artifact.path)]
            assert each.golden.passed == allowed, (each.title, error)
            assert each.golden.max_abs_error == pytest.approx(1 if error == "NaN" else 0.005, rel=1e-4)


def test_a_familys_own_predictions_come_before_substitutes(check: Check, tmp_path: Path) -> None:
    """The engine predicts as XNNPACK everywhere; families of later versions are skipped."""
    write_bundle(tmp_path / "tiny", *FILES, accelerated=True)
    index = tmp_path / "tiny" / "golden" / "golden.json"
    index.write_text(index.read_text().replace('"litert_gpu"', '"of_tomorrow": 1, "litert_gpu"'))
    check("measure", tmp_path / "tiny", tmp_path / "out", "0", "runs=1", "warmup=0", "threads=1")
    found = {each.delegate: each.golden for each in results.read(tmp_path / "out") if each.golden}
    assert {delegate: (golden.family, golden.passed) for delegate, golden in found.items()} == {
        "xnnpack": ("xnnpack", True),
        "gpu": ("litert_gpu", False),
    }


def test_invalid_probabilities_fail_at_any_tolerance(check: Check, tmp_path: Path) -> None:
    """0.03 too much for one class is within the tolerance of the GPU, but the sum is 1.03."""
    write_bundle(tmp_path / "tiny", *FILES)
    check("measure", tmp_path / "tiny", tmp_path / "out", "0.029", "runs=1", "warmup=0", "threads=1")
    (gpu,) = [each.golden for each in results.read(tmp_path / "out") if each.delegate == "gpu"]
    assert gpu is not None and gpu.max_abs_error < gpu.tolerance
    assert (gpu.passed, gpu.fault) == (False, "do not add up to 1")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / FILES[0]).write_bytes(b"x"), "is not the file that the manifest names"),
        (lambda folder: (folder / FILES[0]).unlink(), "is no bundle"),
        (lambda folder: (folder / "manifest.json").write_text("{"), "is no bundle of this version"),
        (lambda folder: (folder / "golden" / "golden.json").unlink(), "is no bundle"),
        (lambda folder: rename(folder / "manifest.json", FILES[0], "../a"), "is outside the bundle"),
    ],
)
def test_a_damaged_bundle_is_an_error_of_one_line(check: Check, tmp_path: Path, damage, message: str) -> None:
    write_bundle(tmp_path / "tiny", *FILES)
    damage(tmp_path / "tiny")
    (line,) = check("measure", tmp_path / "tiny", tmp_path / "out", "0").splitlines()
    assert line.startswith("failed: ") and message in line
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "option", ["runs=0", "runs=many", "warmup=-1", "threads=1,x", "delegates=tpu", "delegates=npu"]
)
def test_a_wrong_option_is_an_error(check: Check, tmp_path: Path, option: str) -> None:
    write_bundle(tmp_path / "tiny", *FILES)
    (line,) = check("measure", tmp_path / "tiny", tmp_path / "out", "0", option).splitlines()
    assert line.startswith("failed: ") and (option.partition("=")[2].split(",")[-1] in line)


def test_tolerances_are_those_of_tfkd(check: Check) -> None:
    lines = [line.split() for line in check("tolerances").splitlines()]
    for delegate, family, precision, value in lines:
        assert TFLITE.accepted_families(precision, delegate) == (family,)
        assert float(value) == TFLITE.precision(precision).tolerances[family]
    assert len(lines) == 3 * 6


@pytest.mark.parametrize(
    ("dtype", "scale", "zero_point"), [("uint8", 1 / 128, 128), ("uint8", 2.0, 0), ("int8", 3.0, -40)]
)
def test_numbers_are_quantized_as_on_the_host(check: Check, dtype: str, scale: float, zero_point: int) -> None:
    quantized, dequantized = check("quantize", dtype, str(scale), str(zero_point)).splitlines()
    pixels = np.arange(256, dtype=np.uint8)
    file = StatedInterpreter(np.dtype(dtype), np.float32(scale), zero_point)
    runner.predict(file, pixels)
    assert np.array_equal(np.array(quantized.split(), np.int8).view(dtype), file.given[0])
    file.output = pixels.view(dtype)
    answered = np.array(dequantized.split(), np.float32)
    assert np.array_equal(answered, runner.predict(file, pixels))


class StatedInterpreter:
    """Only the inputs and outputs of an interpreter, to compare the host's arithmetic with the app's."""

    def __init__(self, dtype: np.dtype, scale: np.float32, zero_point: int) -> None:
        self.detail = [{"index": 0, "dtype": dtype.type, "quantization": (scale, zero_point)}]
        self.output = np.zeros(256, dtype)

    def get_input_details(self):
        return self.detail

    get_output_details = get_input_details

    def set_tensor(self, index, value):
        self.given = value

    def invoke(self):
        pass

    def get_tensor(self, index):
        return self.output[np.newaxis]


def test_the_manifest_takes_the_game_loop_and_the_launcher() -> None:
    manifest = ElementTree.parse(APP / "app/src/main/AndroidManifest.xml").getroot()
    (activity,) = manifest.iter("activity")
    assert activity.get(f"{ANDROID}name") == ".MainActivity" and activity.get(f"{ANDROID}exported") == "true"
    filters = {
        each.find("action").get(f"{ANDROID}name"): {data.get(f"{ANDROID}mimeType") for data in each.iter("data")}
        for each in activity.iter("intent-filter")
    }
    assert filters == {
        "android.intent.action.MAIN": set(),
        "com.google.intent.action.TEST_LOOP": {"application/javascript"},
    }
    assert "com.google.intent.action.TEST_LOOP" in source("MainActivity.kt")


def test_the_test_labs_name_this_app() -> None:
    build = (APP / "app/build.gradle.kts").read_text()
    assert f'applicationId = "{PACKAGE}"' in build and f'namespace = "{PACKAGE}"' in build
    (firebase,) = yaml.safe_load((APP / "firebase.yml").read_text()).values()
    assert firebase["type"] == "game-loop" and PACKAGE in firebase["directories-to-pull"]
    farm = yaml.safe_load((APP / "devicefarm.yml").read_text())
    (runs, *_) = farm["phases"]["test"]["commands"]
    runner_class = re.search(r'testInstrumentationRunner = "(.+)"', build).group(1)
    assert f"{PACKAGE}.test/{runner_class}" in runs


def test_every_version_is_pinned_and_kotlins_is_the_one_tested() -> None:
    catalog = (APP / "gradle/libs.versions.toml").read_text()
    versions = dict(re.findall(r'^(\w+) = "([^"]+)"$', catalog, re.MULTILINE))
    assert versions["kotlin"] == compilers.KOTLIN
    assert all(re.fullmatch(r"\d+(\.\d+)+", version) for version in versions.values())
    wrapper = (APP / "gradle/wrapper/gradle-wrapper.properties").read_text()
    assert re.search(r"gradle-\d+(\.\d+)+-bin\.zip", wrapper) and re.search(r"Sha256Sum=[0-9a-f]{64}\n", wrapper)


def android_result(**changes) -> results.Result:
    samples = [1.25, 1.5, 1.0]
    fields = {
        "target": "android",
        "device": results.Device(
            maker="Maker",
            model="Phone 1",
            soc="Fast 9",
            cores=[results.Cores(count=2, max_mhz=3000), results.Cores(count=6)],
            os="Android 15, API 35",
            abi="arm64-v8a",
            governor="walt",
            before=results.Condition(celsius=30.5, thermal_status="none", battery=0.75),
            after=results.Condition(celsius=33.0, thermal_status="light"),
        ),
        "runtime": results.Runtime(name="LiteRT", version="2.3.0"),
        "delegate": "xnnpack",
        "artifact": results.File(path="android/a_int8.tflite", sha256="0f" * 32),
        "threads": 4,
        "warmup": 20,
        "runs": len(samples),
        "samples_ms": samples,
        "latency_ms": results.Latency(median=1.25, p90=1.45, p99=1.495, min=1.0),
        "init_ms": 12.5,
        "first_inference_ms": 3.25,
        "peak_memory_mb": 9.5,
        "golden": results.GoldenCheck(checked=3, max_abs_error=0.001, tolerance=0.0078125, top1_equal=1.0, passed=True),
        "emulated": False,
        "rung": "device",
    }
    return results.Result(**{**fields, **changes})


def rename(manifest: Path, old: str, new: str) -> None:
    manifest.write_text(manifest.read_text().replace(old, new))


def source(name: str) -> str:
    return (APP / "app/src/main/kotlin" / Path(*PACKAGE.split(".")) / name).read_text()
