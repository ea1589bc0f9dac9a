"""Latency on an Android device: `android` or `android:SERIAL`.

Measured is with the first of these that is there: the user's `benchmark_model`, our app, or a kit of our own, which
needs nothing on the device but adb's shell. The device is brought to rest first, and nothing of ours stays on it.
"""

import shlex
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tfkd.benchmark import driver, gates
from tfkd.benchmark.android import adb, app, tool
from tfkd.benchmark.android import device as android_device
from tfkd.benchmark.android import kit as android_kit
from tfkd.benchmark.android.adb import ANSWERING, Phone, connected, explained
from tfkd.benchmark.android.device import PhoneDescription
from tfkd.benchmark.android.session import RUN, PhoneJob, Session, session
from tfkd.benchmark.arm64 import root as arm64_root
from tfkd.benchmark.arm64.root import Root
from tfkd.benchmark.driver import Listener, RunnerPlace
from tfkd.benchmark.options import AndroidOptions, RunnerOptions, flag, names, require_read
from tfkd.benchmark.programs import ChildError
from tfkd.benchmark.subject import BenchSubject
from tfkd.bundle.results import Device, Result
from tfkd.errors import RequestError
from tfkd.progress import Say

FORMATS = ("tflite",)
LIMITS = gates.TIMES | {"max_memory_mb"}
_KIT_READS = {*names(RunnerOptions)} | {"cores", "cooling", "keep"}
_UNPACKING = 2e6  # bytes per second, on a slow device

Measure = Callable[[Session, Device], list[Result]]


def check(address: str, options: AndroidOptions) -> None:
    """Finds the device and its cores, without measuring.

    Raises:
        RequestError: adb is not installed, or the device has no such core.
        MachineError: the device cannot be used now.
    """
    phone = adb.select_phone(address)
    _cores(phone, android_device.describe(phone), options)


def bench(
    address: str,
    subject: BenchSubject,
    options: AndroidOptions,
    progress: Say | None = None,
    listener: Listener = driver.DEAF,
) -> list[Result]:
    """Times one inference (batch 1) of every file on an Android device.

    Args:
        address: the device's serial number; empty for the only one.
        subject: .tflite files, each with one uint8 or float32 image input.
        options: how often, and by which runner.
        progress: receives a line about what is being done.
        listener: hears of the device before anything is timed, and of what a delegate did not take.

    Returns:
        For every file one result a number of threads and delegate.

    Raises:
        RequestError: the device cannot run the runner or a file, or the runner does not read an option.
        MachineError: the device cannot be used now: it is gone, full, too hot or being measured.
    """
    say: Say = progress or (lambda _: None)
    phone = adb.select_phone(address)
    description = android_device.describe(phone)
    cores = _cores(phone, description, options)
    measure, threads = _measure(PhoneJob(phone, subject, options, say, listener), description, len(cores))
    listener.on_device(description.device, threads)
    say(f"waiting until {phone.serial} is cool")
    before = android_device.cool(phone, options.cooling)
    device = description.device.model_copy(update={"before": before})
    with session(phone, cores, options.keep) as ready:
        results = measure(ready, device)
    after = {"device": device.model_copy(update={"after": android_device.condition(phone)})}
    evidence = {"emulated": True, "rung": "virtual device"} if description.emulated else {}
    return [each.model_copy(update={**after, **evidence}) for each in results]


def _measure(job: PhoneJob, description: PhoneDescription, cores: int) -> tuple[Measure, tuple[int, ...]]:
    """Returns the first way to measure that is there, and the numbers of threads where they are known."""
    phone, options = job.phone, job.options
    if options.benchmark_model is not None:
        require_read(options, tool.READS, options.benchmark_model.name)
        for limit in sorted(job.listener.limits & tool.UNJUDGED):
            raise RequestError(
                f"{flag(limit)} cannot be judged: {options.benchmark_model.name} does not report it. "
                "Leave it out, or measure with the app of tools/android or with the kit."
            )
        return lambda ready, device: tool.measure(ready, device, job), driver.counts(options, cores)
    if app.installed(phone):
        require_read(options, app.READS, f"the app on {phone.serial}")
        return lambda ready, _: app.measure(ready, job), ()
    root = android_kit.find()
    if root is None:
        raise RequestError(
            f"There is nothing to measure with on {phone.serial}. Install the app of tools/android, or name a "
            f"benchmark_model binary, or run `{arm64_root.SETUP}` in a checkout of tfkd for a kit that needs neither."
        )
    if description.abi != android_kit.ABI:
        raise RequestError(
            f"{phone.serial} runs {description.abi} programs, and the kit is for {android_kit.ABI}. "
            "Install the app of tools/android there."
        )
    require_read(options, _KIT_READS, f"the kit on {phone.serial}")
    return lambda ready, device: _with_kit(root, ready, device, job), driver.counts(options, cores)


def _with_kit(root: Root, ready: Session, device: Device, job: PhoneJob) -> list[Result]:
    phone, subject = ready.phone, job.subject
    kit = _unpacked(root, ready, job.say)
    with tempfile.TemporaryDirectory() as folder:
        golden = Path(folder) / "golden.npy"
        np.save(golden, subject.images)
        job.say(f"copying {len(subject.paths)} files to {phone.serial}")
        place = RunnerPlace(
            target="android",
            title=phone.serial,
            command=ready.command(f"{android_kit.command(kit)} {ready.store(driver.RUNNER)}"),
            files={name: ready.store(path) for name, path in subject.paths.items()},
            golden=ready.store(golden) if len(subject.images) else None,
        )
    try:
        with connected(phone, "the run was interrupted"):
            results = driver.run(place, subject, job.options, job.say)
    except ChildError as error:
        raise explained(phone, error.log, f"the run ended with code {error.code}") from None
    return [each.model_copy(update={"device": device}) for each in results]


def _unpacked(root: Root, ready: Session, say: Say) -> str:
    """Copies the kit and returns its folder on the device."""
    archive = android_kit.archive(root)
    size = archive.stat().st_size
    say(f"copying LiteRT and Python to {ready.phone.serial}, {size / 1e6:.0f} MB")
    remote, kit = ready.store(archive), f"{RUN}/kit"
    ready.phone.shell(f"mkdir {kit} && tar -x -f {shlex.quote(remote)} -C {kit}", ANSWERING + size / _UNPACKING)
    return kit


def _cores(phone: Phone, description: PhoneDescription, options: AndroidOptions) -> tuple[int, ...]:
    """Returns the cores to run on.

    Raises:
        RequestError: the device has no such core.
    """
    unknown = sorted(set(options.cores) - set(description.speeds)) if description.speeds else []
    if unknown:
        raise RequestError(
            f"{phone.serial} has no core {unknown[0]}. It has {', '.join(map(str, sorted(description.speeds)))}."
        )
    return options.cores or tuple(android_device.fast_cores(description.speeds))
