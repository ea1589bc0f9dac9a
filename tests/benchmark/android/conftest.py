"""One virtual device for all tests of a process, and files to measure on it."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.benchmark.android.stand_in import NOTHING
from tests.benchmark.virtual_device import VirtualDevice, started
from tfkd.benchmark.android import adb, session
from tfkd.benchmark.subject import BenchSubject, of_files


@pytest.fixture(scope="session")
def running_device() -> Iterator[VirtualDevice]:
    with started() as device:
        yield device


@pytest.fixture
def device(running_device: VirtualDevice, monkeypatch: pytest.MonkeyPatch) -> Iterator[VirtualDevice]:
    """A device that works, and on which nothing is left after the test."""
    monkeypatch.setenv("ADB", running_device.adb)
    monkeypatch.setattr(session, "RETURNING", 40.0)
    yield running_device
    running_device.tell("slow", rate=0)
    running_device.tell("fault", after=1 << 60, then="cut")
    if not running_device.tell("processes")["adbd"]:
        running_device.tell("start")
    assert adb.Phone(running_device.adb, running_device.serial).returns(40)
    for _ in range(50):  # a shell notices a while later that its connection was cut
        if not running_device.left_behind()["processes"]:
            break
        time.sleep(0.1)
    assert running_device.left_behind() == NOTHING


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


@pytest.fixture(scope="session")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of float32 [1, 4, 4, 3] to float32 [1, 3]."""
    import tensorflow as tf

    @tf.function(input_signature=[tf.TensorSpec((1, 4, 4, 3))])
    def classify(image):
        return tf.nn.softmax(tf.reduce_mean(image, [1, 2]) / 64)

    path: Path = tmp_path_factory.mktemp("classifier") / "model.tflite"
    path.write_bytes(tf.lite.TFLiteConverter.from_concrete_functions([classify.get_concrete_function()]).convert())
    return path
