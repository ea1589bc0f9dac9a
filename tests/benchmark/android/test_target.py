"""The Android driver on a virtual device: real adb, adbd, mksh and toybox, with faults of every kind."""

import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest

from tests.benchmark import conftest
from tests.benchmark.virtual_device import VirtualDevice, started
from tfkd.benchmark import bundle as bundles
from tfkd.benchmark.android import adb, kit, session, target
from tfkd.benchmark.android import device as android_device
from tfkd.benchmark.bundle import BenchRequest
from tfkd.benchmark.driver import Listener
from tfkd.benchmark.gates import Limits
from tfkd.benchmark.options import AndroidOptions
from tfkd.benchmark.subject import BenchSubject, Expected, of_files
from tfkd.bundle import measurements, results
from tfkd.bundle.results import Skipped
from tfkd.errors import TfkdError
from tfkd.formats.families import FAMILIES, LITERT_KERNELS, XNNPACK

# Speaks as benchmark_model does: no package ships one. BAD makes it fail, SLEEP makes it last.
STAND_IN = r"""#!/system/bin/sh
for option; do
  case $option in
    --help) echo "HELP"; exit 1 ;;
    --graph=*) graph=${option#*=} ;;
    --num_runs=*) runs=${option#*=} ;;
    --output_filepath=*) printf '\000\000\000\076\000\000\200\076\000\000\040\077' > ${option#*=} ;;
    --op_profiling_output_file=*) profile=${option#*=} ;;
  esac
done
echo "INFO: Loaded model $graph"
sleep SECONDS
[ -s "$graph" ] || exit 1
EXTRA
if [ -n "$profile" ]; then
  echo '============================== Run Order ==============================' > $profile
  echo 'node type, first, avg_ms, %, cdf%, mem KB, times called, name' >> $profile
  echo 'CONV_2D, 0.5, 0.4, 80%, 80%, 0, 1, [a]:0' >> $profile
fi
echo "INFO: Explicitly applied XNNPACK delegate, and the model graph will be completely executed by the delegate."
echo "INFO: count=3 first=90 curr=30 min=30 max=90 avg=50 std=28 p5=30 median=30 p95=90"
echo "INFO: count=$runs first=14 curr=12 min=11 max=19 avg=13.1 std=2 p5=11 median=13 p95=18"
echo "INFO: Inference timings in us: Init: 5685, First inference: 90, Warmup (avg): 50, Inference (avg): 13.1"
"""
NOTHING = {"files": [], "processes": []}


@pytest.fixture(scope="module")
def running() -> Iterator[VirtualDevice]:
    with started() as device:
        yield device


@pytest.fixture
def device(running: VirtualDevice, monkeypatch: pytest.MonkeyPatch) -> Iterator[VirtualDevice]:
    """A device that works, and on which nothing is left after the test."""
    monkeypatch.setenv("ADB", running.adb)
    monkeypatch.setattr(session, "RETURNING", 40.0)
    yield running
    running.tell("slow", rate=0)
    running.tell("fault", after=1 << 60, then="cut")
    if not running.tell("processes")["adbd"]:
        running.tell("start")
    assert adb.Phone(running.adb, running.serial).returns(40)
    for _ in range(50):  # a shell notices a while later that its connection was cut
        if not running.left_behind()["processes"]:
            break
        time.sleep(0.1)
    assert running.left_behind() == NOTHING


@pytest.fixture
def later(device: VirtualDevice) -> Iterator[Callable[..., None]]:
    """Gives the device an order some seconds later, and before the test is over."""
    timers: list[threading.Timer] = []

    def give(seconds: float, do: str, **order: object) -> None:
        timers.append(threading.Timer(seconds, device.tell, [do], order))
        timers[-1].start()

    yield give
    for timer in timers:
        timer.join()


@pytest.fixture
def subject(tmp_path: Path) -> BenchSubject:
    """A file that takes some packets to copy; the stand-in does not look into it."""
    path = tmp_path / "model.tflite"
    path.write_bytes(np.random.default_rng(0).bytes(3_000_000))
    return of_files({"android/model.tflite": path})


def tool(folder: Path, seconds: float = 0, extra: str = "", litert: bool = False) -> Path:
    """Both tools are called benchmark_model; LiteRT's has an option for NPUs."""
    path = folder / "benchmark_model"
    help_text = "--use_cpu=true --use_gpu=false --use_npu=false" if litert else "--use_xnnpack=true --use_gpu=false"
    path.write_text(STAND_IN.replace("SECONDS", str(seconds)).replace("EXTRA", extra).replace("HELP", help_text))
    return path


def few(binary: Path | None, **more: object) -> dict[str, object]:
    runs = {"runs": 6, "warmup": 3, "processes": 2, "threads": (1,), "patience": 30.0, "cooling": 0.0}
    return {"benchmark_model": binary, **runs, **more}


def options(binary: Path | None, **more: object) -> AndroidOptions:
    return AndroidOptions(**few(binary, **more))  # type: ignore[arg-type]


def refused(limit: float, call: Callable[[], object]) -> str:
    """Returns the message of the one line that the call must end with in time."""
    began = time.monotonic()
    with pytest.raises(TfkdError) as raised:
        call()
    assert time.monotonic() - began < limit
    assert raised.value.exit_code in (2, 4)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_the_users_tool_is_pushed_run_and_read(device: VirtualDevice, subject: BenchSubject, tmp_path: Path) -> None:
    said: list[str] = []
    wanted = options(tool(tmp_path), profile=tmp_path / "profile", cores=(0,))
    (result,) = target.bench(device.serial, subject, wanted, said.append)
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
    assert said


def test_a_bundle_is_measured_and_keeps_the_results(device: VirtualDevice, shipped: Path, tmp_path: Path) -> None:
    wanted = few(tool(tmp_path, litert=True))
    asked = BenchRequest(shipped, f"android:{device.serial}", wanted, Limits(max_p95_ms=1.0))
    _, verdicts = bundles.bench(asked)
    assert all(gate.passed for gate in verdicts) and len(verdicts) == 2
    (record,) = measurements.read(shipped)
    assert record.content is not None
    device_told = record.content.results[0].device
    assert device_told.build == "virtual/tfkd/14:test" and device_told.before.charging is True
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
        told = conftest.result(target="android", artifact={"path": "android/light.tflite", "sha256": "0" * 64})
        results.write(tmp_path / "b.json", [told])
    asked = BenchRequest(shipped, f"android:{device.serial}", few(tool(tmp_path)), Limits(**limit), only="*light*")
    message = refused(60, lambda: bundles.bench(asked))
    assert "benchmark_model does not report it" in message


def test_an_option_that_the_runner_does_not_read_is_refused(
    device: VirtualDevice, subject: BenchSubject, tmp_path: Path
) -> None:
    if kit.find() is None:
        pytest.skip("no ARM64 root: run tools/arm64/setup.py")
    message = refused(60, lambda: target.bench(device.serial, subject, options(None, profile=tmp_path)))
    assert "--profile means nothing to the kit on" in message


def test_gpu_and_npu_are_asked_of_the_tool_that_has_them(
    device: VirtualDevice, subject: BenchSubject, tmp_path: Path
) -> None:
    """A delegate that does not take the file is skipped, with the reason."""
    skipped: list[Skipped] = []
    listener = Listener(on_skipped=skipped.append)
    refuse = 'case "$*" in *use_npu*) echo "ERROR: no dispatch library"; exit 1 ;; esac'
    wanted = options(tool(tmp_path, extra=refuse, litert=True), delegate=("cpu", "gpu", "npu"))
    found = target.bench(device.serial, subject, wanted, None, listener)
    assert [(each.delegate, each.threads) for each in found] == [("gpu", None), ("cpu", 1)]
    (npu,) = skipped
    assert (npu.path, npu.delegate) == ("android/model.tflite", "npu") and "no dispatch library" in npu.reason

    skipped.clear()
    wanted = options(tool(tmp_path), delegate=("npu",))
    message = refused(60, lambda: target.bench(device.serial, subject, wanted, None, listener))
    assert "ran no file on npu" in message and "knows no NPU" in skipped[0].reason


def test_work_is_a_sign_of_life(device: VirtualDevice, subject: BenchSubject, tmp_path: Path) -> None:
    """A tool that prints nothing for longer than the patience is not ended while it computes."""
    work = "end=$(( SECONDS + 5 )); while [ $SECONDS -lt $end ]; do :; done".replace("SECONDS", "SECOND\\S")
    binary = tool(tmp_path, extra=work)
    binary.write_text(binary.read_text().replace("SECOND\\S", "SECONDS"))
    (result,) = target.bench(device.serial, subject, options(binary, patience=3.0, processes=1))
    assert result.runs == 6


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_leaves_nothing_on_the_device(
    device: VirtualDevice, shipped: Path, tmp_path: Path, number: signal.Signals
) -> None:
    binary = tool(tmp_path, 60)
    command = [sys.executable, "-m", "tfkd.cli", "bench", str(shipped), "--target", f"android:{device.serial}"]
    command += ["--benchmark-model", str(binary), "--only", "*light*", "--threads", "1", "--cooling", "0"]
    environment = os.environ | {"TMPDIR": str(tmp_path / "tmp"), "PYTHONUNBUFFERED": "1"}
    (tmp_path / "tmp").mkdir()
    child = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    for line in child.stdout:
        if "process 1" in line:
            break
    for _ in range(100):
        if any("benchmark" in each or "store/" in each for each in device.left_behind()["processes"]):
            break
        time.sleep(0.1)
    child.send_signal(number)
    assert child.wait(60) == 128 + number
    assert device.left_behind() == NOTHING
    assert list((tmp_path / "tmp").iterdir()) == [] and not (shipped / "measurements").exists()


def test_a_second_run_at_the_same_time_is_refused(device: VirtualDevice, subject: BenchSubject, tmp_path: Path) -> None:
    messages = []

    def another(text: str) -> None:
        if "process 2" in text:
            messages.append(refused(60, lambda: target.bench(device.serial, subject, options(tool(tmp_path)))))

    (result,) = target.bench(device.serial, subject, options(tool(tmp_path)), another)
    assert messages == [f"{device.serial} is being measured by another run of tfkd bench. Wait until that has ended."]
    assert result.runs == 6, "the first run was not disturbed"


def test_a_run_that_was_killed_leaves_no_lock(device: VirtualDevice, subject: BenchSubject, tmp_path: Path) -> None:
    holder = (
        "import os, signal; from pathlib import Path; from tfkd.benchmark.android.adb import Phone;"
        "from tfkd.benchmark.android.session import session\n"
        f"with session(Phone({device.adb!r}, {device.serial!r}), (), False):\n"
        "    os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert subprocess.run([sys.executable, "-c", holder], check=False).returncode == -signal.SIGKILL
    (result,) = target.bench(device.serial, subject, options(tool(tmp_path)))
    assert result.runs == 6


def test_what_is_there_is_not_pushed_again(device: VirtualDevice, subject: BenchSubject, tmp_path: Path) -> None:
    target.bench(device.serial, subject, options(tool(tmp_path), keep=True))
    held = device.left_behind()["files"]
    assert f"tfkd-bench/store/{subject.artifacts['android/model.tflite'].sha256}" in held
    device.tell("fault", after=1_000_000, then="kill")  # the file has three
    target.bench(device.serial, subject, options(tool(tmp_path)))


@pytest.fixture
def revived(device: VirtualDevice) -> Iterator[Callable[[], None]]:
    """Starts the device again as soon as it is off."""

    def revive() -> None:
        while device.tell("processes")["adbd"]:
            time.sleep(0.05)
        device.tell("start")

    thread = threading.Thread(target=revive, daemon=True)
    yield thread.start
    if thread.ident is not None:
        thread.join(40)


@pytest.mark.parametrize("then", ["kill", "cut"])
def test_a_device_that_goes_while_files_are_copied(
    device: VirtualDevice, revived: Callable[[], None], subject: BenchSubject, tmp_path: Path, then: str
) -> None:
    device.tell("fault", after=1_500_000, then=then)
    if then == "kill":
        revived()
    message = refused(60, lambda: target.bench(device.serial, subject, options(tool(tmp_path))))
    assert device.serial in message and "model.tflite could not be copied" in message
    assert "disconnected" in message or "connection" in message or "does not answer" in message


def test_a_device_that_goes_while_it_measures(
    device: VirtualDevice, later: Callable[..., None], subject: BenchSubject, tmp_path: Path
) -> None:
    def kill(text: str) -> None:
        if "process 1" in text:
            later(0.5, "kill")
            later(1, "start")

    message = refused(60, lambda: target.bench(device.serial, subject, options(tool(tmp_path, 60)), kill))
    assert "benchmark_model was interrupted" in message
    assert "disconnected" in message or "connection" in message or "does not answer" in message


def test_a_device_that_restarts(
    device: VirtualDevice, later: Callable[..., None], subject: BenchSubject, tmp_path: Path
) -> None:
    def restart(text: str) -> None:
        if "process 1" in text:
            later(0.5, "kill")
            later(1, "boot")

    message = refused(60, lambda: target.bench(device.serial, subject, options(tool(tmp_path, 60)), restart))
    assert message == f"{device.serial} restarted meanwhile. Let it start, then measure again."


def test_a_device_that_does_not_come_back(
    device: VirtualDevice, subject: BenchSubject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "RETURNING", 1.0)
    device.tell("fault", after=1_500_000, then="kill")
    message = refused(60, lambda: target.bench(device.serial, subject, options(tool(tmp_path))))
    assert message.endswith("/data/local/tmp/tfkd-bench stays on it until then.")
    device.tell("start")
    assert adb.Phone(device.adb, device.serial).returns(40)
    assert device.left_behind()["files"]
    target.bench(device.serial, subject, options(tool(tmp_path)))  # and the next run cleans up


def test_a_tool_that_hangs_is_ended(device: VirtualDevice, subject: BenchSubject, tmp_path: Path) -> None:
    message = refused(60, lambda: target.bench(device.serial, subject, options(tool(tmp_path, 60), patience=1)))
    assert "gave no sign of life for 1 seconds" in message


def test_signs_of_life_end_with_the_tool(device: VirtualDevice) -> None:
    """A tool may end before the process that watches it has started; the run leaves neither on the device."""
    phone = adb.Phone(device.adb, device.serial)
    with session.session(phone, (), keep=False) as ready:
        run = f"setsid sh -c {shlex.quote(ready.watched('true')[-1])} &"  # its own process group, as adb gives it
        phone.shell(f"for n in $(seq 100); do {run} done; wait")
        assert "sleep 1" not in device.left_behind()["processes"]


def test_a_link_that_stalls(
    device: VirtualDevice,
    later: Callable[..., None],
    subject: BenchSubject,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def stall(text: str) -> None:
        if "process 1" in text:
            device.tell("fault", after=1, then="stall")
            later(2, "fault", after=1 << 60, then="cut")

    message = refused(60, lambda: target.bench(device.serial, subject, options(tool(tmp_path), patience=1), stall))
    assert "gave no sign of life for 1 seconds" in message


def test_a_slow_link_is_waited_for(device: VirtualDevice, subject: BenchSubject, tmp_path: Path) -> None:
    device.tell("slow", rate=6_000_000)
    (result,) = target.bench(device.serial, subject, options(tool(tmp_path)))
    assert result.runs == 6


def test_a_full_device(device: VirtualDevice, subject: BenchSubject, tmp_path: Path) -> None:
    phone = adb.Phone(device.adb, device.serial)
    phone.shell("head -c 417000000 /dev/zero > /data/films")
    message = refused(60, lambda: target.bench(device.serial, subject, options(tool(tmp_path))))
    assert "is full" in message and "Free some storage" in message
    phone.shell("rm /data/films")


@pytest.mark.parametrize(
    ("extra", "told"),
    [
        ("echo 'ERROR: Failed to load model'; exit 1", "Failed to load model"),
        ("kill -9 $$", "did not finish"),
        ("echo 'INFO: count=9 curr=1'; exit 0", "so old that it reports no median"),
        ("exit 0", "did not finish"),
    ],
)
def test_a_tool_that_fails(device: VirtualDevice, subject: BenchSubject, tmp_path: Path, extra: str, told: str) -> None:
    message = refused(60, lambda: target.bench(device.serial, subject, options(tool(tmp_path, extra=extra))))
    assert told in message


def test_a_tool_for_another_machine(device: VirtualDevice, subject: BenchSubject, tmp_path: Path) -> None:
    binary = tmp_path / "benchmark_model"
    binary.write_bytes(Path("/bin/true").read_bytes())
    assert "no program for Android" in refused(60, lambda: target.bench(device.serial, subject, options(binary)))


@pytest.mark.parametrize(
    ("line", "value", "told"),
    [
        ("ro.product.cpu.abi", "armeabi-v7a", "runs armeabi-v7a programs"),
        ("sys.boot_completed", "0", "is still starting"),
    ],
)
def test_a_device_that_cannot_run_the_kit(
    device: VirtualDevice, subject: BenchSubject, line: str, value: str, told: str
) -> None:
    if kit.find() is None:
        pytest.skip("no ARM64 root: run tools/arm64/setup.py")
    phone = adb.Phone(device.adb, device.serial)
    properties = phone.shell("cat /system/build.prop")
    changed = "".join(
        f"{row}\n" if not row.startswith(line) else f"{line}={value}\n" for row in properties.splitlines()
    )
    device.tell("write", path="/system/build.prop", text=changed)
    try:
        assert told in refused(60, lambda: target.bench(device.serial, subject, options(None)))
    finally:
        device.tell("write", path="/system/build.prop", text=properties)


@pytest.mark.parametrize(
    ("service", "old", "new", "told"),
    [
        ("thermalservice", "Thermal Status: 0", "Thermal Status: 3", "still too hot after 0 seconds (status severe"),
        ("battery", "temperature: 281", "temperature: 453", "battery 45.3 °C"),
        ("battery", "level: 87", "level: 9", "has 9% of its charge"),
    ],
)
def test_a_device_that_is_not_at_rest(
    device: VirtualDevice, subject: BenchSubject, tmp_path: Path, service: str, old: str, new: str, told: str
) -> None:
    text = adb.Phone(device.adb, device.serial).shell(f"cat /system/{service}")
    device.tell("write", path=f"/system/{service}", text=text.replace(old, new))
    try:
        message = refused(60, lambda: target.bench(device.serial, subject, options(tool(tmp_path))))
        assert told in message
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
    text = adb.Phone(device.adb, device.serial).shell("cat /system/thermalservice")
    device.tell("write", path="/system/thermalservice", text=text.replace("Thermal Status: 0", "Thermal Status: 2"))
    later(1, "write", path="/system/thermalservice", text=text)
    (result,) = target.bench(device.serial, subject, options(tool(tmp_path), cooling=30.0))
    assert result.device.before.thermal_status == "none"


def test_a_core_that_is_not_there(device: VirtualDevice, subject: BenchSubject, tmp_path: Path) -> None:
    wanted = options(tool(tmp_path), cores=(99,))
    assert "has no core 99" in refused(60, lambda: target.bench(device.serial, subject, wanted))


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of float32 [1, 4, 4, 3] to float32 [1, 3]."""
    import tensorflow as tf

    @tf.function(input_signature=[tf.TensorSpec((1, 4, 4, 3))])
    def classify(image):
        return tf.nn.softmax(tf.reduce_mean(image, [1, 2]) / 64)

    path: Path = tmp_path_factory.mktemp("classifier") / "model.tflite"
    path.write_bytes(tf.lite.TFLiteConverter.from_concrete_functions([classify.get_concrete_function()]).convert())
    return path


def with_predictions(path: Path, images: np.ndarray, *families: tuple[str, np.ndarray]) -> BenchSubject:
    files = of_files({"model.tflite": path})
    expected = Expected("tflite", "fp32", dict(families), dict.fromkeys(FAMILIES, 1e-4))
    return BenchSubject(files.paths, files.artifacts, images, {"model.tflite": expected})


def test_answers_to_golden_images_are_compared(device: VirtualDevice, tmp_path: Path, classifier: Path) -> None:
    stated = np.array([[0.125, 0.25, 0.625]], np.float32)  # as the stand-in writes them
    image = np.zeros((1, 4, 4, 3), np.uint8)
    wrong = stated[:, ::-1]
    for xnnpack, kernels, passed in ((stated, wrong, True), (wrong, stated, True), (wrong, wrong, False)):
        subject = with_predictions(classifier, image, (XNNPACK, xnnpack), (LITERT_KERNELS, kernels))
        (result,) = target.bench(device.serial, subject, options(tool(tmp_path)))
        assert result.golden is not None and result.golden.passed is passed
        assert result.golden.family == (XNNPACK if xnnpack is stated or not passed else LITERT_KERNELS)


@pytest.mark.slow
def test_the_kit_runs_litert_on_the_device(device: VirtualDevice, classifier: Path) -> None:
    if kit.find() is None:
        pytest.skip("no ARM64 root: run tools/arm64/setup.py")
    images = np.random.default_rng(0).integers(0, 256, (3, 4, 4, 3), np.uint8)
    scores = np.exp(images.astype(np.float32).mean((1, 2)) / 64)
    subject = with_predictions(classifier, images, (XNNPACK, scores / scores.sum(1, keepdims=True)))
    wanted = options(None, patience=120.0)
    (result,) = target.bench(device.serial, subject, wanted)
    assert result.runtime.name == "LiteRT" and result.runtime.version == version("ai-edge-litert")
    assert (result.rung, result.emulated, result.threads) == ("virtual device", True, 1)
    assert result.device.name == "Virtual Android device" and len(result.samples_ms) == 6
    assert result.golden is not None and result.golden.passed and result.golden.checked == 3


def test_which_device_is_meant(subject: BenchSubject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with started() as device:
        monkeypatch.setenv("ADB", device.adb)
        (result,) = target.bench("", subject, options(tool(tmp_path)))
        assert result.device.model == "Android device"
        device.tell("connect", **{"as": "locked"})
        message = refused(60, lambda: target.bench("", subject, options(tool(tmp_path))))
        assert "Several Android devices" in message and f"--target android:{device.serial}" in message
        message = refused(60, lambda: target.bench("127.0.0.1:7002", subject, options(tool(tmp_path))))
        assert "has not allowed this computer" in message
        message = refused(60, lambda: target.bench("127.0.0.1:7003", subject, options(tool(tmp_path))))
        assert "knows no device 127.0.0.1:7003" in message
        assert "no serial number" in refused(60, lambda: target.bench("a b", subject, options(tool(tmp_path))))
        assert device.left_behind() == NOTHING


def test_without_adb(subject: BenchSubject, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ADB", "ANDROID_HOME", "ANDROID_SDK_ROOT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", "")
    assert "adb is not installed" in refused(5, lambda: target.bench("", subject, options(None)))
