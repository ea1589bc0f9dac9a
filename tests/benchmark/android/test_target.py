"""The Android target on a virtual device: which device and runner, and whether it is at rest."""

import subprocess
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest

from tests.benchmark.android.stand_in import options, predictions, refusal, write_tool
from tests.benchmark.virtual_device import VirtualDevice
from tfkd.benchmark.android import device as android_device
from tfkd.benchmark.android import kit, target
from tfkd.benchmark.android.adb import Phone
from tfkd.benchmark.subject import BenchSubject, of_files
from tfkd.formats.families import XNNPACK

pytestmark = pytest.mark.slow


def test_the_kit_runs_litert_on_the_device(device: VirtualDevice, classifier: Path) -> None:
    if kit.find() is None:
        pytest.skip("no ARM64 root: run tools/arm64/setup.py")
    images = np.random.default_rng(0).integers(0, 256, (3, 4, 4, 3), np.uint8)
    scores = np.exp(images.astype(np.float32).mean((1, 2)) / 64)
    expected = {"model.tflite": predictions({XNNPACK: scores / scores.sum(1, keepdims=True)})}
    subject = replace(of_files({"model.tflite": classifier}), images=images, expected=expected)
    (result,) = target.bench(device.serial, subject, options(None, patience=120.0))
    assert result.runtime.name == "LiteRT" and result.runtime.version == version("ai-edge-litert")
    assert (result.rung, result.emulated, result.threads) == ("virtual device", True, 1)
    assert result.device.name == "Virtual Android device" and len(result.samples_ms) == 6
    assert result.golden is not None and result.golden.passed and result.golden.checked == 3


def test_an_option_that_the_runner_does_not_read_is_refused(
    device: VirtualDevice, subject: BenchSubject, tmp_path: Path
) -> None:
    if kit.find() is None:
        pytest.skip("no ARM64 root: run tools/arm64/setup.py")
    message = refusal(lambda: target.bench(device.serial, subject, options(None, profile=tmp_path)))
    assert "--profile means nothing to the kit on" in message


@pytest.mark.parametrize(
    ("line", "value", "reason"),
    [
        ("ro.product.cpu.abi", "armeabi-v7a", "runs armeabi-v7a programs"),
        ("sys.boot_completed", "0", "is still starting"),
    ],
)
def test_a_device_that_cannot_run_the_kit(
    device: VirtualDevice, subject: BenchSubject, line: str, value: str, reason: str
) -> None:
    if kit.find() is None:
        pytest.skip("no ARM64 root: run tools/arm64/setup.py")
    phone = Phone(device.adb, device.serial)
    properties = phone.shell("cat /system/build.prop")
    changed = "".join(
        f"{row}\n" if not row.startswith(line) else f"{line}={value}\n" for row in properties.splitlines()
    )
    device.tell("write", path="/system/build.prop", text=changed)
    try:
        assert reason in refusal(lambda: target.bench(device.serial, subject, options(None)))
    finally:
        device.tell("write", path="/system/build.prop", text=properties)


@pytest.mark.parametrize(
    ("service", "old", "new", "reason"),
    [
        ("thermalservice", "Thermal Status: 0", "Thermal Status: 3", "still too hot after 0 seconds (status severe"),
        ("battery", "temperature: 281", "temperature: 453", "battery 45.3 °C"),
        ("battery", "level: 87", "level: 9", "has 9% of its charge"),
    ],
)
def test_a_device_that_is_not_at_rest(
    device: VirtualDevice, subject: BenchSubject, tmp_path: Path, service: str, old: str, new: str, reason: str
) -> None:
    text = Phone(device.adb, device.serial).shell(f"cat /system/{service}")
    device.tell("write", path=f"/system/{service}", text=text.replace(old, new))
    try:
        message = refusal(lambda: target.bench(device.serial, subject, options(write_tool(tmp_path))))
        assert reason in message
    finally:
        device.tell("write", path=f"/system/{service}", text=text)


def test_a_hot_device_is_waited_for(
    device: VirtualDevice,
    later: Callable[..., None],
    subject: BenchSubject,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(android_device, "_POLLING", 0.2)
    text = Phone(device.adb, device.serial).shell("cat /system/thermalservice")
    device.tell("write", path="/system/thermalservice", text=text.replace("Thermal Status: 0", "Thermal Status: 2"))
    later(1, "write", path="/system/thermalservice", text=text)
    (result,) = target.bench(device.serial, subject, options(write_tool(tmp_path), cooling=30.0))
    assert result.device.before.thermal_status == "none"


def test_a_core_that_is_not_there(device: VirtualDevice, subject: BenchSubject, tmp_path: Path) -> None:
    unknown = options(write_tool(tmp_path), cores=(99,))
    assert "has no core 99" in refusal(lambda: target.bench(device.serial, subject, unknown))


def test_which_device_is_meant(device: VirtualDevice, subject: BenchSubject, tmp_path: Path) -> None:
    def message(address: str) -> str:
        return refusal(lambda: target.bench(address, subject, options(write_tool(tmp_path))))

    (result,) = target.bench("", subject, options(write_tool(tmp_path)))
    assert result.device.model == "Android device"
    device.tell("connect", **{"as": "locked"})
    try:
        several = message("")
        assert "Several Android devices" in several and f"--target android:{device.serial}" in several
        assert "has not allowed this computer" in message("127.0.0.1:7002")
        assert "knows no device 127.0.0.1:7003" in message("127.0.0.1:7003")
        assert "no serial number" in message("a b")
    finally:
        subprocess.run([device.adb, "disconnect", "127.0.0.1:7002"], check=True)


def test_without_adb(subject: BenchSubject, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ADB", "ANDROID_HOME", "ANDROID_SDK_ROOT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", "")
    assert "adb is not installed" in refusal(lambda: target.bench("", subject, options(None)), 5)
