"""What is on the device during and after a run: one run at a time, devices that go away, and nothing left behind."""

import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.benchmark.android.stand_in import NOTHING, options, refusal, write_tool
from tests.benchmark.virtual_device import VirtualDevice
from tfkd.benchmark.android import session, target
from tfkd.benchmark.android.adb import Phone
from tfkd.benchmark.subject import BenchSubject

pytestmark = pytest.mark.slow


@pytest.fixture
def phone(device: VirtualDevice) -> Phone:
    return Phone(device.adb, device.serial)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_leaves_nothing_on_the_device(
    device: VirtualDevice, shipped: Path, tmp_path: Path, number: signal.Signals
) -> None:
    binary = write_tool(tmp_path, 60)
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


def test_a_second_run_at_the_same_time_is_refused(phone: Phone, subject: BenchSubject, tmp_path: Path) -> None:
    with session.session(phone, (), keep=False) as first:
        remote = first.store(subject.paths["android/model.tflite"])
        message = refusal(lambda: target.bench(phone.serial, subject, options(write_tool(tmp_path))))
        assert phone.shell(f"ls {remote} {session.RUN}"), "the first run was not disturbed"
    assert message == f"{phone.serial} is being measured by another run of tfkd bench. Wait until that has ended."


def test_a_run_that_was_killed_leaves_no_lock(phone: Phone) -> None:
    holder = (
        "import os, signal; from tfkd.benchmark.android.adb import Phone;"
        "from tfkd.benchmark.android.session import session\n"
        f"with session({phone!r}, (), False):\n"
        "    os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert subprocess.run([sys.executable, "-c", holder], check=False).returncode == -signal.SIGKILL
    with session.session(phone, (), keep=False):
        pass


def test_signs_of_life_end_with_the_tool(device: VirtualDevice, phone: Phone) -> None:
    """A tool may end before the process that watches it has started; the run leaves neither on the device."""
    with session.session(phone, (), keep=False) as ready:
        run = f"setsid sh -c {shlex.quote(ready.watched('true')[-1])} &"  # its own process group, as adb gives it
        phone.shell(f"for n in $(seq 100); do {run} done; wait")
        assert "sleep 1" not in device.left_behind()["processes"]


def test_what_is_there_is_not_pushed_again(device: VirtualDevice, phone: Phone, subject: BenchSubject) -> None:
    (name,) = subject.paths
    with session.session(phone, (), keep=True) as first:
        first.store(subject.paths[name])
    assert f"tfkd-bench/store/{subject.artifacts[name].sha256}" in device.left_behind()["files"]
    device.tell("fault", after=1_000_000, then="kill")  # the file has three
    with session.session(phone, (), keep=False) as second:
        second.store(subject.paths[name])


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
    message = refusal(lambda: target.bench(device.serial, subject, options(write_tool(tmp_path))))
    assert device.serial in message and "model.tflite could not be copied" in message
    assert "disconnected" in message or "connection" in message or "does not answer" in message


def test_a_device_that_goes_while_it_measures(
    device: VirtualDevice, later: Callable[..., None], subject: BenchSubject, tmp_path: Path
) -> None:
    def kill(text: str) -> None:
        if "process 1" in text:
            later(0.5, "kill")
            later(1, "start")

    message = refusal(lambda: target.bench(device.serial, subject, options(write_tool(tmp_path, 60)), kill))
    assert "benchmark_model was interrupted" in message
    assert "disconnected" in message or "connection" in message or "does not answer" in message


def test_a_device_that_restarts(
    device: VirtualDevice, later: Callable[..., None], subject: BenchSubject, tmp_path: Path
) -> None:
    def restart(text: str) -> None:
        if "process 1" in text:
            later(0.5, "kill")
            later(1, "boot")

    message = refusal(lambda: target.bench(device.serial, subject, options(write_tool(tmp_path, 60)), restart))
    assert message == f"{device.serial} restarted meanwhile. Let it start, then measure again."


def test_a_device_that_does_not_come_back(
    device: VirtualDevice, phone: Phone, subject: BenchSubject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "RETURNING", 1.0)
    device.tell("fault", after=1_500_000, then="kill")
    message = refusal(lambda: target.bench(device.serial, subject, options(write_tool(tmp_path))))
    assert message.endswith("/data/local/tmp/tfkd-bench stays on it until then.")
    device.tell("start")
    assert phone.returns(40)
    assert device.left_behind()["files"]
    with session.session(phone, (), keep=False):
        pass
    assert device.left_behind() == NOTHING, "the next run cleans up"


def test_a_link_that_stalls(
    device: VirtualDevice,
    later: Callable[..., None],
    subject: BenchSubject,
    tmp_path: Path,
) -> None:
    def stall(text: str) -> None:
        if "process 1" in text:
            device.tell("fault", after=1, then="stall")
            later(2, "fault", after=1 << 60, then="cut")

    message = refusal(lambda: target.bench(device.serial, subject, options(write_tool(tmp_path), patience=1), stall))
    assert "gave no sign of life for 1 seconds" in message


def test_a_slow_link_is_waited_for(device: VirtualDevice, subject: BenchSubject, tmp_path: Path) -> None:
    device.tell("slow", rate=6_000_000)
    (result,) = target.bench(device.serial, subject, options(write_tool(tmp_path)))
    assert result.runs == 6


def test_a_full_device(phone: Phone, subject: BenchSubject, tmp_path: Path) -> None:
    phone.shell("head -c 417000000 /dev/zero > /data/films")
    try:
        message = refusal(lambda: target.bench(phone.serial, subject, options(write_tool(tmp_path))))
    finally:
        phone.shell("rm /data/films")
    assert "is full" in message and "Free some storage" in message
