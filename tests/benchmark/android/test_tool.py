"""The user's benchmark binary on a virtual device."""

import subprocess
from pathlib import Path

import pytest

from tests.benchmark import conftest
from tests.benchmark.android.stand_in import options, refusal, short_run, write_tool
from tests.benchmark.virtual_device import VirtualDevice
from tfkd.benchmark import bundle as bundles
from tfkd.benchmark.android import target
from tfkd.benchmark.bundle import BenchRequest
from tfkd.benchmark.driver import Listener
from tfkd.benchmark.gates import Limits
from tfkd.benchmark.subject import BenchSubject
from tfkd.bundle import measurements, results
from tfkd.bundle.results import Skipped


def test_the_users_tool_is_pushed_run_and_read(device: VirtualDevice, subject: BenchSubject, tmp_path: Path) -> None:
    lines: list[str] = []
    binary = write_tool(tmp_path)
    asked = options(binary, processes=2, profile=tmp_path / "profile", cores=(0,))
    (result,) = target.bench(device.serial, subject, asked, lines.append)
    assert (result.target, result.rung, result.emulated) == ("android", "virtual device", True)
    assert result.device.name == "Virtual Android device" and result.device.soc == "QEMU Cortex-A76"
    assert (result.device.os, result.device.abi) == ("Android 14, API 34", "arm64-v8a")
    assert result.device.before.battery == 0.87 and result.device.after.celsius == 38.2
    assert result.artifact == subject.artifacts["android/model.tflite"]
    assert (result.runs, result.processes, result.warmup, result.partitions) == (6, 2, 3, 1)
    assert result.latency_ms is not None
    assert (result.latency_ms.median, result.latency_ms.p95, result.latency_ms.min) == (0.013, 0.018, 0.011)
    assert result.latency_ms.p90 is None
    assert result.init_ms == 5.685 and result.first_inference_ms == 0.09
    assert (tmp_path / "profile" / "model.csv").read_text().count("CONV_2D") == 1
    assert any("process 2 of 2" in line for line in lines)


def test_a_bundle_is_measured_and_keeps_the_results(device: VirtualDevice, shipped: Path, tmp_path: Path) -> None:
    tool = short_run(write_tool(tmp_path, litert=True))
    _, verdicts = bundles.bench(BenchRequest(shipped, f"android:{device.serial}", tool, Limits(max_p95_ms=1.0)))
    assert all(gate.passed for gate in verdicts) and len(verdicts) == 2
    (record,) = measurements.read(shipped)
    assert record.content is not None
    phone = record.content.results[0].device
    assert phone.build == "virtual/tfkd/14:test" and phone.before.charging is True
    entries = [results.BenchEntry.of(each) for each in record.content.results]
    assert [entry.artifact for entry in entries] == ["android/heavy.tflite", "android/light.tflite"]
    for entry in entries:
        assert (entry.target, entry.rung, entry.emulated) == ("android", "virtual device", True)
        assert (entry.device, entry.soc, entry.threads) == ("Virtual Android device", "QEMU Cortex-A76", 1)
        assert entry.latency_ms is not None and (entry.latency_ms.p90, entry.latency_ms.p95) == (None, 0.018)
        assert entry.runtime.startswith("benchmark_model sha256:") and entry.runs == 6
        assert entry.delegate == "cpu", "as LiteRT's tool calls it"
    assert subprocess.run(["sha256sum", "-c", "--quiet", "SHA256SUMS"], cwd=shipped, check=False).returncode == 0


@pytest.mark.parametrize("limit", [{"max_p90_ms": 5.0}, {"max_regression": 0.05}])
def test_a_limit_on_what_the_tool_does_not_tell_is_refused_before_measuring(
    device: VirtualDevice, shipped: Path, tmp_path: Path, limit: dict[str, float]
) -> None:
    if "max_regression" in limit:
        limit |= {"baseline": tmp_path / "b.json"}  # type: ignore[dict-item]
        earlier = conftest.result(target="android", artifact={"path": "android/light.tflite", "sha256": "0" * 64})
        results.write(tmp_path / "b.json", [earlier])
    tool = short_run(write_tool(tmp_path))
    request = BenchRequest(shipped, f"android:{device.serial}", tool, Limits(**limit), only="*light*")
    message = refusal(lambda: bundles.bench(request))
    assert "benchmark_model does not report it" in message


def test_gpu_and_npu_are_asked_of_the_tool_that_has_them(
    device: VirtualDevice, subject: BenchSubject, tmp_path: Path
) -> None:
    """A delegate that does not take the file is skipped, with the reason."""
    skipped: list[Skipped] = []
    listener = Listener(on_skipped=skipped.append)
    refuse = 'case "$*" in *use_npu*) echo "ERROR: no dispatch library"; exit 1 ;; esac'
    litert = options(write_tool(tmp_path, extra=refuse, litert=True), delegate=("cpu", "gpu", "npu"))
    found = target.bench(device.serial, subject, litert, None, listener)
    assert [(each.delegate, each.threads) for each in found] == [("gpu", None), ("cpu", 1)]
    (npu,) = skipped
    assert (npu.path, npu.delegate) == ("android/model.tflite", "npu") and "no dispatch library" in npu.reason

    skipped.clear()
    tflite = options(write_tool(tmp_path), delegate=("npu",))
    message = refusal(lambda: target.bench(device.serial, subject, tflite, None, listener))
    assert "ran no file on npu" in message and "knows no NPU" in skipped[0].reason


def test_work_is_a_sign_of_life(device: VirtualDevice, subject: BenchSubject, tmp_path: Path) -> None:
    """A tool that prints nothing for longer than the patience is not ended while it computes."""
    binary = write_tool(tmp_path, extra="end=$(( SECONDS + 5 )); while [ $SECONDS -lt $end ]; do :; done")
    (result,) = target.bench(device.serial, subject, options(binary, patience=3.0))
    assert result.runs == 6


def test_a_tool_that_hangs_is_ended(device: VirtualDevice, subject: BenchSubject, tmp_path: Path) -> None:
    message = refusal(lambda: target.bench(device.serial, subject, options(write_tool(tmp_path, 60), patience=1)))
    assert "gave no sign of life for 1 seconds" in message


@pytest.mark.parametrize(
    ("extra", "reason"),
    [
        ("echo 'ERROR: Failed to load model'; exit 1", "Failed to load model"),
        ("kill -9 $$", "did not finish"),
        ("echo 'INFO: count=9 curr=1'; exit 0", "so old that it reports no median"),
        ("exit 0", "did not finish"),
    ],
)
def test_a_tool_that_fails(
    device: VirtualDevice, subject: BenchSubject, tmp_path: Path, extra: str, reason: str
) -> None:
    message = refusal(lambda: target.bench(device.serial, subject, options(write_tool(tmp_path, extra=extra))))
    assert reason in message


def test_a_tool_for_another_machine(device: VirtualDevice, subject: BenchSubject, tmp_path: Path) -> None:
    binary = tmp_path / "benchmark_model"
    binary.write_bytes(Path("/bin/true").read_bytes())
    assert "no program for Android" in refusal(lambda: target.bench(device.serial, subject, options(binary)))
