"""Latency on an Android device: `android` or `android:SERIAL`.

Measured is with the first of these that is there: the user's `benchmark_model`, our app, or a kit of our own, which
needs nothing on the device but adb's shell. The device is brought to rest first, and nothing of ours stays on it.
"""

import shlex
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tfkd.bench import android_adb, android_app, android_device, android_kit, android_tool, arm64_root, driver
from tfkd.bench.android_adb import ANSWERING, Phone, connected, explained
from tfkd.bench.android_device import Description
from tfkd.bench.android_session import RUN, Session, session
from tfkd.bench.arm64_root import Root
from tfkd.bench.driver import ChildError, Options, Place, Say
from tfkd.bench.results import Device, Result
from tfkd.bench.subject import Subject
from tfkd.errors import RequestError

FORMATS = ("tflite",)
_UNPACKING = 2e6  # bytes a second, on a slow device

Measure = Callable[[Session, Device], list[Result]]


def bench(address: str, subject: Subject, options: Options, progress: Say | None = None) -> list[Result]:
    """Times one inference (batch 1) of every file on an Android device.

    Args:
        address: the device's serial number; empty for the only one.
        subject: .tflite files, each with one uint8 or float32 image input.
        options: how often, and by which runner.
        progress: receives a line about what is being done.

    Returns:
        For every file one result a number of threads.

    Raises:
        RequestError: the device cannot be used, is gone, full or too hot, or cannot run a file; says which.
    """
    say: Say = progress or (lambda _: None)
    phone = android_adb.chosen(address)
    told = android_device.describe(phone)
    cores = _cores(phone, told, options)
    measure = _measure(phone, told, subject, options, say)
    say(f"waiting until {phone.serial} is cool")
    before = android_device.cool(phone, options.cooling)
    device = told.device.model_copy(update={"before": before})
    with session(phone, cores, options.keep) as ready:
        found = measure(ready, device)
    after = {"device": device.model_copy(update={"after": android_device.condition(phone)})}
    rung = {"emulated": True, "rung": "virtual device"} if told.emulated else {}
    return [each.model_copy(update={**after, **rung}) for each in found]


def _measure(phone: Phone, told: Description, subject: Subject, options: Options, say: Say) -> Measure:
    """Returns the first way to measure that is there."""
    if binary := options.benchmark_model:
        return lambda ready, device: android_tool.measure(binary, ready, device, subject, options, options.profile, say)
    if android_app.installed(phone):
        return lambda _ready, _device: android_app.measure(phone, subject, options, say)
    root = android_kit.find()
    if root is None:
        raise RequestError(
            f"There is nothing to measure with on {phone.serial}. Install the app of tools/android, or name a "
            f"benchmark_model binary, or run `{arm64_root.SETUP}` in a checkout of tfkd for a kit that needs neither."
        )
    if told.abi != android_kit.ABI:
        raise RequestError(
            f"{phone.serial} runs {told.abi} programs, and the kit is for {android_kit.ABI}. "
            "Install the app of tools/android there."
        )
    return lambda ready, device: _with_kit(root, ready, device, subject, options, say)


def _with_kit(root: Root, ready: Session, device: Device, subject: Subject, options: Options, say: Say) -> list[Result]:
    phone = ready.phone
    kit = _unpacked(root, ready, say)
    with tempfile.TemporaryDirectory() as folder:
        golden = Path(folder) / "golden.npy"
        np.save(golden, subject.images)
        say(f"copying {len(subject.paths)} files to {phone.serial}")
        place = Place(
            target="android",
            title=phone.serial,
            command=ready.command(f"{android_kit.command(kit)} {ready.store(driver.RUNNER)}"),
            files={name: ready.store(path) for name, path in subject.paths.items()},
            golden=ready.store(golden) if len(subject.images) else None,
        )
    try:
        with connected(phone, "the run was interrupted"):
            found = driver.run(place, subject, options, say)
    except ChildError as error:
        raise explained(phone, error.log, f"the run ended with code {error.code}") from None
    return [each.model_copy(update={"device": device}) for each in found]


def _unpacked(root: Root, ready: Session, say: Say) -> str:
    """Copies the kit and returns its folder on the device."""
    archive = android_kit.archive(root)
    size = archive.stat().st_size
    say(f"copying LiteRT and Python to {ready.phone.serial}, {size / 1e6:.0f} MB")
    remote, kit = ready.store(archive), f"{RUN}/kit"
    ready.phone.shell(f"mkdir {kit} && tar -x -f {shlex.quote(remote)} -C {kit}", ANSWERING + size / _UNPACKING)
    return kit


def _cores(phone: Phone, told: Description, options: Options) -> tuple[int, ...]:
    """Returns the cores to run on.

    Raises:
        RequestError: the device has no such core.
    """
    unknown = sorted(set(options.cores) - set(told.speeds)) if told.speeds else []
    if unknown:
        raise RequestError(
            f"{phone.serial} has no core {unknown[0]}. It has {', '.join(map(str, sorted(told.speeds)))}."
        )
    return options.cores or tuple(android_device.fast_cores(told.speeds))
