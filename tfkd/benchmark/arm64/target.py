"""Instructions of one inference on ARM64, counted under QEMU, and its memory: numbers without noise, and never a time.

A file is run by LiteRT's aarch64 build on one core of each profile, in separate processes, so that its count and memory
depend only on the file and the pinned packages. Its predictions are compared with those of LiteRT on this machine.
"""

import json
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tfkd.benchmark import driver, programs
from tfkd.benchmark.arm64 import counts
from tfkd.benchmark.arm64 import root as arm64_root
from tfkd.benchmark.arm64.root import PROFILES, Processor, Root
from tfkd.benchmark.driver import Listener
from tfkd.benchmark.options import Arm64Options
from tfkd.benchmark.programs import ChildError
from tfkd.benchmark.subject import BenchSubject, Expected
from tfkd.bundle.results import Cores, Device, GoldenCheck, Result, Runtime
from tfkd.errors import RequestError, nearest
from tfkd.formats.families import XNNPACK
from tfkd.formats.tflite import TFLITE
from tfkd.progress import Say

FORMATS = ("tflite",)
LIMITS = frozenset({"max_instructions", "max_memory_mb", "max_regression"})
RUNNER, MEMORY = (Path(__file__).with_name(name) for name in ("runner.py", "memory.py"))
MODEL = "model.tflite"  # name of the file in a program's folder
LIMIT = 3600.0  # seconds that one file may take: QEMU is some fifty times slower than the processor


def check(address: str, options: Arm64Options) -> None:
    """Checks the profile and the ARM64 root, without counting.

    Raises:
        RequestError: the ARM64 root is missing, or there is no such profile.
    """
    _select_profiles(address)
    arm64_root.find(arm64_root.folder())


def bench(
    address: str,
    subject: BenchSubject,
    options: Arm64Options,
    progress: Say | None = None,
    listener: Listener = driver.DEAF,
) -> list[Result]:
    """Counts the instructions of one inference (batch 1, one thread) of every file on every profile, and its memory.

    Args:
        address: the text after `arm64:`: one of PROFILES; if empty, all of them.
        subject: .tflite files, each with one image input of raw pixels.
        options: of the targets that measure time; a count needs none of them.
        progress: receives lines about the progress.
        listener: receives each profile before anything is counted.

    Returns:
        One result per file and profile. Its `golden` compares the predictions with those of this machine (integer
        outputs bit for bit, others within the tolerance of their precision), and with the bundle's.

    Raises:
        RequestError: the ARM64 root is missing, there is no such profile, or LiteRT cannot run a file.
    """
    profiles, root = _select_profiles(address), arm64_root.find(arm64_root.folder())
    for processor in profiles:
        listener.on_device(_device(root, processor), (1,))
    results = []
    for name, path in subject.paths.items():
        here = _answered(path, subject.images)
        for processor in profiles:
            if progress is not None:
                progress(f"counting the instructions of {name} on {processor.title}")
            there, instructions = _counted(root, processor, path, subject.images)
            memory = _memory(root, processor, path)
            golden = _compared(here, there, subject.expected.get(name))
            results.append(
                Result(
                    target="arm64",
                    device=_device(root, processor),
                    runtime=Runtime(name="LiteRT", version=there.litert),
                    delegate="xnnpack",
                    artifact=subject.artifacts[name],
                    threads=1,
                    runs=1,
                    golden=golden,
                    peak_memory_mb=memory,
                    instructions=instructions,
                    emulated=True,
                    rung="arm64 emulated",
                )
            )
    return results


@dataclass(frozen=True)
class _Responses:
    """Probabilities float32 [n, classes], whether they come from an integer output, and LiteRT's version."""

    answers: np.ndarray
    integer: bool
    litert: str


def _select_profiles(address: str) -> list[Processor]:
    if not address:
        return list(PROFILES.values())
    if address not in PROFILES:
        raise RequestError(f"There is no ARM64 profile {address!r}.{nearest(address, list(PROFILES))}")
    return [PROFILES[address]]


def _answered(path: Path, images: np.ndarray) -> _Responses:
    """Runs a file on this machine."""
    with tempfile.TemporaryDirectory() as folder:
        job = _prepared(Path(folder), path, images)
        # -P: what lies beside the runner must not take the place of the standard library.
        return _run([sys.executable, "-P", str(RUNNER), str(job)], job, path, "this machine")


def _counted(root: Root, processor: Processor, path: Path, images: np.ndarray) -> tuple[_Responses, dict[str, int]]:
    """Runs a file under QEMU; returns what it answered and its instructions by class with their total."""
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as work:
        job = _prepared(Path(folder), path, images)
        command = root.command(processor, RUNNER, job, Path(work))
        answered = _run(command, job, path, _title(processor))
        with (Path(work) / arm64_root.LOG).open(encoding="ascii", errors="replace") as log:
            return answered, counts.inference(log)


def _memory(root: Root, processor: Processor, path: Path) -> float:
    """Runs a file under QEMU once more; returns the memory that it adds, MB (see `tfkd.benchmark.arm64.memory`)."""
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as work:
        (Path(folder) / MODEL).symlink_to(path.absolute())
        command = root.command(processor, MEMORY, Path(folder), Path(work), counting=False)
        return float(_said(command, path, _title(processor))["peak_memory_mb"])


def _title(processor: Processor) -> str:
    return f"QEMU's {processor.title}"


def _prepared(job: Path, path: Path, images: np.ndarray) -> Path:
    """Puts into a folder what the runner reads, and what it will overwrite."""
    (job / MODEL).symlink_to(path.absolute())
    np.save(job / "images.npy", images)
    (job / "answers.npy").touch()
    return job


def _said(command: list[str], path: Path, where: str) -> dict[str, Any]:
    """Returns the record that a program prints last."""
    try:
        *_, line = programs.spoken(command, "", LIMIT)
    except ChildError as error:
        raise RequestError(f"LiteRT cannot run {path} on {where}: {error.last_line}. Export the file again.") from None
    record: dict[str, Any] = json.loads(line)
    return record


def _run(command: list[str], job: Path, path: Path, where: str) -> _Responses:
    response = _said(command, path, where)
    return _Responses(np.load(job / "answers.npy", allow_pickle=False), response["integer"], response["litert"])


def _compared(here: _Responses, there: _Responses, stated: Expected | None) -> GoldenCheck:
    """Compares ARM64's predictions with this machine's and with the bundle's; returns what failed, else the former."""
    widest = stated.tolerances[XNNPACK] if stated else TFLITE.widest(XNNPACK)
    step = (stated.step if stated else None) or (1 / 256 if here.integer else None)
    tolerances = {XNNPACK: 0.0 if here.integer else widest}
    alike = Expected(TFLITE.name, "", {XNNPACK: here.answers}, tolerances, step).compare(there.answers, (XNNPACK,))
    assert alike is not None
    as_stated = stated.compare(there.answers, (XNNPACK,)) if stated and alike.passed else None
    return alike if as_stated is None or as_stated.passed else as_stated


def _device(root: Root, processor: Processor) -> Device:
    return Device(model=f"QEMU {root.qemu}", soc=processor.title, cores=[Cores(count=1)], os=root.system, abi="aarch64")
