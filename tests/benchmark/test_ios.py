"""The ios target: the app's results from a file, and through a stand-in for Xcode's devicectl, which Linux lacks."""

import json
import os
import stat
import sys
from pathlib import Path

import pytest

from tests.tools.bundles import write_bundle
from tests.tools.test_ios_app import ios_result
from tfkd.benchmark import ios, statistics
from tfkd.benchmark.driver import Listener
from tfkd.benchmark.options import IosOptions
from tfkd.benchmark.subject import BenchSubject, of_bundle
from tfkd.bundle import results
from tfkd.bundle.results import Skipped
from tfkd.errors import MachineError, RequestError

FILES = ("ios/a.mlmodel", "ios/a.mlpackage")
QUICK = IosOptions(runs=3, warmup=1, patience=20)

# A Mac with one device: its container is a folder, its app measures nothing but tells what it was given.
XCRUN = """#!{python}
import json, shutil, sys
from pathlib import Path

home = Path({home!r})
state = json.loads((home / "state.json").read_text())
arguments = sys.argv[2:]
option = lambda name: arguments[arguments.index(name) + 1]
with (home / "log").open("a") as log:
    log.write(json.dumps(arguments) + "\\n")
if state.get("refuses") in arguments:
    sys.exit("ERROR: The device is locked.")
if arguments[:2] == ["list", "devices"]:
    Path(option("--json-output")).write_text(json.dumps(state["listing"]))
elif arguments[:2] == ["device", "copy"]:
    pull = arguments[2] == "from"
    source = home / option("--source") if pull else Path(option("--source"))
    destination = Path(option("--destination")) if pull else home / option("--destination")
    if not source.exists():
        sys.exit("ERROR: No such file.")
    if source.is_dir():
        shutil.copytree(source, destination, dirs_exist_ok=True)
    else:
        shutil.copyfile(source, destination)
elif arguments[:3] == ["device", "process", "launch"]:
    print("Launched application.")
    for name in ("results.json", "status.json"):
        if name in state:
            (home / "Documents" / name).write_text(state[name])
"""


class Mac:
    """Puts the stand-in on the PATH, and says what its device is like."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder / "mac"
        (self.folder / "bin").mkdir(parents=True)
        (self.folder / "Documents").mkdir()
        program = self.folder / "bin" / "xcrun"
        program.write_text(XCRUN.format(python=sys.executable, home=str(self.folder)))
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
        self.is_like(listing=listing(phone("one")))

    def is_like(self, **state) -> None:
        (self.folder / "state.json").write_text(json.dumps(state))

    @property
    def pushed(self) -> Path:
        return self.folder / "Documents"

    @property
    def calls(self) -> list[list[str]]:
        return [json.loads(line) for line in (self.folder / "log").read_text().splitlines()]


@pytest.fixture
def mac(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Mac:
    return Mac(tmp_path, monkeypatch)


@pytest.fixture
def subject(tmp_path: Path) -> BenchSubject:
    write_bundle(tmp_path / "tiny", *FILES, "android/a_fp32.tflite")
    return of_bundle(tmp_path / "tiny", ios.FORMATS)


def test_results_are_read_from_a_file_and_summarised(subject: BenchSubject, tmp_path: Path) -> None:
    results.write(tmp_path / "r.json", [measured(subject, name, "all") for name in FILES])
    found = ios.bench(str(tmp_path / "r.json"), subject, IosOptions())
    assert [each.artifact.path for each in found] == list(FILES)
    assert all(each.latency_ms == statistics.summary(each.samples_ms) for each in found)
    assert all(each.latency_ms.throttled for each in found)  # which the app does not say: its samples rise


def test_results_of_other_files_or_targets_are_refused(subject: BenchSubject, tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    cases = {
        "another ios/a.mlmodel": measured(subject, FILES[0], "all", sha256="1" * 64),
        "none of the bundle's files, but ios/b.mlmodel": measured(subject, "ios/b.mlmodel", "all"),
        "of the target android": measured(subject, FILES[0], "all").model_copy(update={"target": "android"}),
    }
    for message, result in cases.items():
        results.write(path, [result])
        with pytest.raises(RequestError, match=message):
            ios.bench(str(path), subject, IosOptions())
    results.write(path, [])
    with pytest.raises(RequestError, match="holds no results"):
        ios.bench(str(path), subject, IosOptions())
    with pytest.raises(RequestError, match="Cannot read"):
        ios.bench(str(tmp_path / "gone.json"), subject, IosOptions())


def test_a_missing_mac_is_reported_first(subject: BenchSubject, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(RequestError, match=r"needs a Mac with Xcode.*--target ios:results\.json"):
        ios.bench("", subject, QUICK)


def test_the_files_are_pushed_the_app_started_and_its_results_fetched(
    subject: BenchSubject, mac: Mac, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TFKD_IOS_APP", "com.example.bench")
    skipped = {"path": FILES[0], "delegate": "cpuAndNeuralEngine", "reason": "too old"}
    mac.is_like(listing=listing(phone("one")), **written(subject, FILES, skipped=[skipped]))
    message: list[str] = []
    heard: list[Skipped] = []
    found = ios.bench("", subject, QUICK, message.append, Listener(on_skipped=heard.append))

    assert [each.artifact.path for each in found] == list(FILES)
    assert message == ["Launched application."] and [each.model_dump() for each in heard] == [skipped]
    assert json.loads((mac.pushed / "parameters.json").read_text()) == {"runs": 3, "warmup": 1}
    # What was pushed is a bundle by itself, without the files for other phones.
    kept = of_bundle_parts(mac.pushed / "bundle")
    assert kept == (set(FILES), {"000.png", "001.png", "002.png", "golden.json"})
    launch = next(call for call in mac.calls if "launch" in call)
    assert (
        launch[-1] == "com.example.bench"
        and json.loads(launch[launch.index("--environment-variables") + 1]) == ios.ENVIRONMENT
    )
    assert all(call[call.index("--device") + 1] == "id-one" for call in mac.calls if call[0] == "device")


def test_the_listener_gets_the_device_before_anything_is_pushed(subject: BenchSubject, mac: Mac) -> None:
    def refuse(device: results.Device, threads: tuple[int, ...]) -> None:
        raise RequestError(f"no baseline of {device.name}, {threads}")

    mac.is_like(listing=listing(phone("one")), **written(subject, FILES))
    with pytest.raises(RequestError, match=r"no baseline of Apple iPhone17,1, \(\)"):
        ios.bench("", subject, QUICK, None, Listener(on_device=refuse))
    assert list(mac.pushed.iterdir()) == []


def test_one_of_several_devices_must_be_chosen(subject: BenchSubject, mac: Mac) -> None:
    several = listing(
        phone("one"), phone("two"), phone("watch", platform="watchOS"), phone("far", tunnel="unavailable")
    )
    mac.is_like(listing=several, **written(subject, FILES))
    with pytest.raises(RequestError, match=r"Several devices are connected: one \(udid-one\), two \(udid-two\)\."):
        ios.bench("", subject, QUICK)
    with pytest.raises(RequestError, match="0 devices are called far"):
        ios.bench("far", subject, QUICK)
    assert ios.bench("udid-two", subject, QUICK)
    assert [call[call.index("--device") + 1] for call in mac.calls if "launch" in call] == ["id-two"]
    mac.is_like(listing=listing(phone("watch", platform="watchOS")))
    with pytest.raises(MachineError, match="No iPhone or iPad is within reach"):
        ios.bench("", subject, QUICK)


def test_every_failure_of_the_device_is_one_line(subject: BenchSubject, mac: Mac) -> None:
    one = listing(phone("one"))
    good = written(subject, FILES)
    failed = {"status.json": json.dumps({"state": "failed", "error": "BenchError: no memory"})}
    cases = {
        "could not measure: BenchError: no memory": {"listing": one, **failed},
        "devicectl failed on one: ERROR: No such file": {"listing": one},
        "status.json is not what it should be": {"listing": one, **good, "status.json": "{"},
        "devices.json is not what it should be": {"listing": {"result": 1}},
        "devicectl failed: ERROR: The device is locked": {"listing": one, "refuses": "list"},
        "devicectl failed on one: ERROR: The device is locked": {"listing": one, **good, "refuses": "launch"},
    }
    for message, state in cases.items():
        mac.is_like(**state)
        with pytest.raises(RequestError, match=message) as caught:
            ios.bench("", subject, QUICK)
        assert "\n" not in str(caught.value)
        for old in mac.pushed.glob("*.json"):
            old.unlink()


def test_measurements_of_coremltools_become_results(subject: BenchSubject) -> None:
    from coremltools import ComputeUnit
    from coremltools.models.ml_program.experimental.perf_utils import MLModelBenchmarker

    predicted = MLModelBenchmarker.Measurement.from_samples([2.0, 1.0, 3.0])
    loaded = MLModelBenchmarker.Measurement.from_samples([40.0, 60.0])
    file, device = subject.artifacts[FILES[1]], results.Device(model="iPhone17,1", os="iOS 18.0", abi="arm64")
    for unit in ComputeUnit:
        result = ios.of_benchmarker(predicted, file, device, unit.name, loaded, warmup=True)
        assert result.delegate == ios.UNITS[unit.name] and result.artifact == file and result.warmup == 1
        assert result.latency_ms == statistics.summary([2.0, 1.0, 3.0]) and result.init_ms == 50.0
        assert results.Result.model_validate_json(result.model_dump_json()) == result
    with pytest.raises(RequestError, match="Did you mean 'CPU_AND_NE'"):
        ios.of_benchmarker(predicted, file, device, "CPU_AND_NEU")
    with pytest.raises(RequestError, match="has no samples"):
        ios.of_benchmarker(MLModelBenchmarker.Measurement.from_samples([]), file, device, "ALL")


def of_bundle_parts(folder: Path) -> tuple[set[str], set[str]]:
    manifest = json.loads((folder / "manifest.json").read_text())
    paths = {entry["path"] for entry in manifest["artifacts"]}
    assert all((folder / path).exists() for path in paths) and not (folder / "android").exists()
    return paths, {path.name for path in (folder / "golden").iterdir()}


def written(
    subject: BenchSubject, names: tuple[str, ...], skipped: list[dict[str, str]] | None = None
) -> dict[str, str]:
    """What the app leaves in its documents."""
    found = results.Results(results=[measured(subject, name, "all") for name in names])
    return {
        "results.json": found.model_dump_json(by_alias=True),
        "status.json": json.dumps({"state": "done", "skipped": skipped or []}),
    }


def measured(subject: BenchSubject, name: str, units: str, sha256: str | None = None) -> results.Result:
    known = subject.artifacts.get(name)
    file = results.File(path=name, sha256=sha256 or (known.sha256 if known else "0" * 64))
    samples = [1.0 + number / 100 for number in range(20)]
    latency = results.Latency(median=1.095, p90=1.171, p99=1.1881, min=1.0)
    return ios_result(delegate=units, artifact=file, samples_ms=samples, runs=20, latency_ms=latency)


def phone(name: str, platform: str = "iOS", tunnel: str = "connected") -> dict[str, object]:
    return {
        "identifier": f"id-{name}",
        "hardwareProperties": {"platform": platform, "udid": f"udid-{name}", "productType": "iPhone17,1"},
        "connectionProperties": {"pairingState": "paired", "tunnelState": tunnel, "transportType": "wired"},
        "deviceProperties": {"name": name, "osVersionNumber": "18.0"},
    }


def listing(*phones: dict[str, object]) -> dict[str, object]:
    return {"info": {"outcome": "success"}, "result": {"devices": list(phones)}}


def test_what_the_app_compared_is_judged_again(tmp_path: Path) -> None:
    """An app that allows 0.5 says that a file passes which is 0.2 off."""
    hashes = write_bundle(tmp_path / "tiny", *FILES)
    path = "ios/a.mlmodel"
    golden = results.GoldenCheck(
        checked=3, max_abs_error=0.2, tolerance=0.5, top1_equal=1, passed=True, family="coreml_fp32"
    )
    stated = ios_result(artifact=results.File(path=path, sha256=hashes[path]), golden=golden)
    results.write(tmp_path / "results.json", [stated])
    (found,) = ios.from_file(tmp_path / "results.json", of_bundle(tmp_path / "tiny", ios.FORMATS))
    assert found.golden is not None and (found.golden.passed, found.golden.tolerance) == (False, 1e-4)


def test_options_mean_nothing_to_stored_results(subject: BenchSubject) -> None:
    with pytest.raises(RequestError, match="--runs means nothing to results that are read from a file"):
        ios.bench("r.json", subject, IosOptions(runs=7))
