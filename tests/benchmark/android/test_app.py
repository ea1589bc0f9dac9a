"""The driver's side of our app, on a virtual device where scripts stand in for Android's `pm`, `am` and the app."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.benchmark.virtual_device import VirtualDevice
from tfkd.benchmark.android import app, target
from tfkd.benchmark.android.adb import Phone
from tfkd.benchmark.driver import Listener
from tfkd.benchmark.options import AndroidOptions
from tfkd.benchmark.subject import BenchSubject, Expected, of_files
from tfkd.bundle import results
from tfkd.bundle.results import Device, File, GoldenCheck, Latency, Result, Runtime, Skipped
from tfkd.errors import MachineError, RequestError

pytestmark = pytest.mark.slow

NAME = "android/model.tflite"
PM = "#!/system/bin/sh\necho package:/data/app/base.apk\n"
OWN = f"/data/data/{app.PACKAGE}"
# Android's runs a command as the app, in the app's own folder, where nobody else may look.
RUN_AS = f"""#!/system/bin/sh
[ ! -f /data/release ] || {{ echo "run-as: package not debuggable: $1" >&2; exit 1; }}
shift
mkdir -p {OWN}
cd {OWN}
exec "$@"
"""
# Keeps what it was asked and given, and leaves the results that the test has prepared, as the app does.
AM = f"""#!/system/bin/sh
[ "$1" = start ] || exit 0
echo "$@" > /data/asked
cd {app.BUNDLE}
cat manifest.json > /data/manifest
cat {NAME} golden/golden.json > /data/given
cd {OWN}/{app.RESULTS}
[ ! -f /data/results ] || cp /data/results results.json
[ ! -f /data/status ] || cp /data/status status.json
if [ -f /data/steps ]; then sh /data/steps > /dev/null 2>&1 & fi
"""
OPTIONS = AndroidOptions(runs=6, warmup=3, threads=(1, 0), patience=3.0, cooling=0.0)


@pytest.fixture(scope="module", autouse=True)
def stand_ins(running_device: VirtualDevice) -> Iterator[None]:
    """Installs the scripts, and restores those of a device without the app."""
    phone = Phone(running_device.adb, running_device.serial)
    originals = {name: phone.shell(f"cat /system/bin/{name}") for name in ("pm", "am")}
    for name, text in (("pm", PM), ("am", AM), ("run-as", RUN_AS)):
        running_device.tell("write", path=f"/system/bin/{name}", text=text)
    phone.shell("chmod 755 /system/bin/run-as")
    yield
    for name, text in originals.items():
        running_device.tell("write", path=f"/system/bin/{name}", text=text)
    phone.shell("rm /system/bin/run-as")


@pytest.fixture
def subject(tmp_path: Path) -> BenchSubject:
    """A file of a bundle that has another one besides."""
    for folder in ("android", "golden"):
        (tmp_path / folder).mkdir()
    (tmp_path / NAME).write_bytes(b"a model")
    (tmp_path / "golden" / "golden.json").write_text("{}")
    artifacts = [{"path": NAME, "format": "tflite"}, {"path": "android/other.tflite", "format": "tflite"}]
    (tmp_path / "manifest.json").write_text(json.dumps({"artifacts": artifacts}))
    return of_files({NAME: tmp_path / NAME})


def result(artifact: File) -> Result:
    return Result(
        target="android",
        device=Device(os="Android 14, API 34", abi="arm64-v8a"),
        runtime=Runtime(name="LiteRT", version="2.1.0"),
        delegate="gpu",
        artifact=artifact,
        runs=2,
        samples_ms=[1.0, 3.0],
        latency_ms=Latency(median=2.0, p90=2.8, min=1.0),
        emulated=False,
        rung="device",
    )


def prepare(
    device: VirtualDevice,
    folder: Path,
    artifact: File | None,
    status: str | None,
    golden: GoldenCheck | None = None,
) -> Phone:
    phone = Phone(device.adb, device.serial)
    phone.shell("rm -f /data/results /data/status /data/asked /data/steps /data/release")
    if artifact is not None:
        results.write(folder / "results.json", [result(artifact).model_copy(update={"golden": golden})])
        device.tell("write", path="/data/results", text=(folder / "results.json").read_text())
    if status is not None:
        device.tell("write", path="/data/status", text=status)
    return phone


def test_the_app_gets_the_bundle_and_leaves_results(
    device: VirtualDevice, subject: BenchSubject, tmp_path: Path
) -> None:
    phone = prepare(device, tmp_path, subject.artifacts[NAME], '{"state": "done", "skipped": []}')
    (found,) = target.bench("", subject, OPTIONS)
    assert (found.delegate, found.samples_ms, found.rung) == ("gpu", [1.0, 3.0], "virtual device")
    assert found.device.model == "Android device" and found.device.before.battery == 0.87
    assert found.latency_ms is not None and found.latency_ms.p95 == 2.9, "the app tells no 95th percentile"
    asked = phone.shell("cat /data/asked")
    assert "-n org.tfkd.bench/.MainActivity --ez start true" in asked
    assert "--es runs 6 --es warmup 3 --es threads 1,0" in asked
    assert phone.shell("cat /data/given") == "a model{}"
    given = json.loads(phone.shell("cat /data/manifest"))
    assert [each["path"] for each in given["artifacts"]] == [NAME]
    assert f"--es results {OWN}/files/tfkd-bench" in asked and "--es delegates cpu,gpu,npu" in asked
    assert phone.shell(f"ls {OWN}/files").split() == []
    assert device.left_behind() == {"files": [], "processes": []}


@pytest.mark.parametrize(
    ("named", "status", "told"),
    [
        (True, '{"state": "failed", "error": "there is\\nno bundle"}', "The app failed on .*: there is no bundle"),
        (True, "{damaged", "status.json is damaged"),
        (True, None, "ended without results"),
        (False, '{"state": "done"}', "results.json"),
    ],
)
def test_an_app_that_fails(
    device: VirtualDevice,
    subject: BenchSubject,
    tmp_path: Path,
    named: bool,
    status: str | None,
    told: str,
) -> None:
    prepare(device, tmp_path, subject.artifacts[NAME] if named else None, status)
    with pytest.raises(RequestError, match=told):
        target.bench("", subject, OPTIONS)


def test_an_app_that_is_no_debug_build_is_told(device: VirtualDevice, subject: BenchSubject, tmp_path: Path) -> None:
    phone = prepare(device, tmp_path, None, None)
    phone.shell("touch /data/release")
    with pytest.raises(RequestError, match=r"package not debuggable.* Install the debug build"):
        target.bench("", subject, OPTIONS)


def test_patience_is_per_sign_of_life_of_the_app(device: VirtualDevice, subject: BenchSubject, tmp_path: Path) -> None:
    """An app that says what it is doing is waited for; one that says the same for too long is not."""
    prepare(device, tmp_path, subject.artifacts[NAME], '{"state": "running", "doing": "0"}')
    state = """echo '{"state": "%s", "doing": "'$n'"}' > next; mv next status.json"""
    steps = f"for n in 1 2 3 4; do sleep 1; {state % 'running'}; done; n=5; {state % 'done'}\n"
    device.tell("write", path="/data/steps", text=steps)
    (found,) = target.bench("", subject, OPTIONS)
    assert found.runs == 2

    prepare(device, tmp_path, subject.artifacts[NAME], '{"state": "running", "doing": "0"}')
    with pytest.raises(MachineError, match="no sign of life for 3 seconds"):
        target.bench("", subject, OPTIONS)
    assert device.left_behind() == {"files": [], "processes": []}


def test_skipped_delegates_say_why(device: VirtualDevice, subject: BenchSubject, tmp_path: Path) -> None:
    skipped = {"path": NAME, "delegate": "npu", "reason": "There is no runtime of the vendor."}
    prepare(device, tmp_path, subject.artifacts[NAME], json.dumps({"state": "done", "skipped": [skipped]}))
    heard: list[Skipped] = []
    target.bench("", subject, OPTIONS, None, Listener(on_skipped=heard.append))
    assert [each.model_dump() for each in heard] == [skipped]


def test_results_of_another_file_are_refused(device: VirtualDevice, subject: BenchSubject, tmp_path: Path) -> None:
    prepare(device, tmp_path, File(path=NAME, sha256="0" * 64), '{"state": "done"}')
    with pytest.raises(RequestError, match="which it was not given"):
        target.bench("", subject, OPTIONS)


def test_what_the_app_compared_is_judged_again(device: VirtualDevice, subject: BenchSubject, tmp_path: Path) -> None:
    """An app that allows 0.5 says that a file passes which is 0.2 off."""
    expected = Expected("tflite", "fp32", {"xnnpack": np.float32([[0.5, 0.5]])}, {"litert_gpu": 0.03})
    golden = GoldenCheck(checked=1, max_abs_error=0.2, tolerance=0.5, top1_equal=1, passed=True, family="litert_gpu")
    prepare(device, tmp_path, subject.artifacts[NAME], '{"state": "done", "skipped": []}', golden)
    (found,) = target.bench("", replace(subject, expected={NAME: expected}), OPTIONS)
    assert found.golden is not None and (found.golden.passed, found.golden.tolerance) == (False, 0.03)


def test_single_files_are_no_bundle(device: VirtualDevice, tmp_path: Path) -> None:
    (tmp_path / "model.tflite").write_bytes(b"a model")
    with pytest.raises(RequestError, match="bundles only"):
        target.bench("", of_files({"model.tflite": tmp_path / "model.tflite"}), OPTIONS)
