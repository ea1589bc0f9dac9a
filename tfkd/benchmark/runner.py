"""Measures .tflite files with LiteRT; a single file that can be copied to a board: `python runner.py < JOB`.

The job is one JSON object on stdin:

    files      {name: path}, each with one uint8 or float32 image input
    threads    [int], 0 for a thread on every core
    processes  how many measure one after the other
    runs       timed inferences of each file in each of them
    warmup     untimed inferences before them, at least
    golden     path of a .npy, uint8 [n, ...] raw, or null
    patience   seconds without a sign of life after which a process is given up
    lock       a folder for whose lock another run must have ended, or null

Each line of stdout is a JSON object: {"busy": true} where another run has the lock, else {"device", "threads"}, then
{"doing": text} about once a second, then {"error": {"artifact", "reason"}} or {"device", "runtime", "measured"} in the
terms of `tfkd.bundle.results`. Files are only used in forked processes, so that a file that crashes or hangs the
runtime is named; every process has another memory layout, which alone can change a latency by some percent.

A yardstick, a product of matrices, is timed in turn with the files. What slows the machine down for seconds or for
hours, a neighbour or the heat, affects both; their ratio separates a slower file from a slower machine. With one thread
the processor time is measured too: on a busy machine an inference waits, but does not use more processor time.
"""

import contextlib
import fcntl
import json
import math
import multiprocessing
import os
import platform
import signal
import statistics
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter

STEADY = 0.05  # the share by which a median may still fall from one window of the warm-up to the next
LONGEST_WARMUP = 10  # windows
YARDSTICK = ""  # no file has this name
IDS = "int32"  # dtype of the inputs of a text
_LEAST_PIECES = 4  # of a vocabulary
SECONDS_BETWEEN_SIGNS = 1.0

Tell = Callable[[str], None]


class UnusableError(Exception):
    """A file cannot be measured: says why."""


def main() -> int:
    """Does the job on stdin; returns 1 where a file could not be measured, or another run measures here."""
    job = json.load(sys.stdin)
    if job["lock"] is not None and not _locked(job["lock"]):
        _say(busy=True)
        return 1
    before, counts = condition(), sorted({count or _cores() for count in job["threads"]})
    _say(device={**device(), "before": before}, threads=counts)
    try:
        measured = list(_measure(job, counts))
    except BrokenPipeError:  # nobody listens any more: the connection is gone
        return 1
    except UnusableError as error:
        artifact, reason = error.args
        _say(error={"artifact": artifact, "reason": reason})
        return 1
    runtime = {"name": "LiteRT", "version": version("ai-edge-litert")}
    _say(device={**device(), "before": before, "after": condition()}, runtime=runtime, measured=measured)
    return 0


def _locked(folder: str) -> bool:
    """Takes a folder's lock, which the kernel frees when this process and those that it forks have ended."""
    try:
        fcntl.flock(os.open(folder, os.O_RDONLY), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return True
    return True


def _measure(job: dict[str, Any], counts: list[int]) -> Iterator[dict[str, Any]]:
    files, patience = job["files"], job["patience"]
    golden = np.zeros((0,)) if job["golden"] is None else np.load(job["golden"], allow_pickle=False)
    probed = {}
    for name, path in files.items():
        _say(doing=f"loading {name}")
        for threads in counts:
            probed[name, threads] = _apart(partial(probe, path, threads, golden), patience, name)
    samples: dict[tuple[str, int], list[float]] = defaultdict(list)
    efforts: dict[tuple[str, int], list[float]] = defaultdict(list)
    warmups = dict.fromkeys(counts, 0)
    for number in range(job["processes"]):
        # The numbers of threads take turns, so that a slow minute of the machine strikes all of them.
        for threads in counts:
            what = f"timing, process {number + 1} of {job['processes']}, {threads} thread{'s'[: threads > 1]}"
            _say(doing=what)
            timed = _apart(partial(block, files, threads, job["runs"], job["warmup"], number), patience, doing=what)
            warmups[threads] = max(warmups[threads], timed["warmup"])
            for name, durations in timed["ms"].items():
                samples[name, threads] += durations
            for name, durations in timed["cpu_ms"].items():
                efforts[name, threads] += durations
    for (name, threads), found in probed.items():
        yield {
            "artifact": name,
            "threads": threads,
            "warmup": warmups[threads],
            "processes": job["processes"],
            "samples_ms": samples[name, threads],
            "cpu_ms": efforts[name, threads] if threads == 1 else [],
            "yardstick_ms": (efforts if threads == 1 else samples)[YARDSTICK, threads],
            **found,
        }


def _quiet(text: str) -> None:
    """Tells nobody."""


def probe(path: str, threads: int, golden: np.ndarray, tell: Tell = _quiet) -> dict[str, Any]:
    """Loads a file, runs it once, then on the golden images; for a fresh process, whose memory nothing else has grown.

    Args:
        path: of a .tflite file.
        threads: threads of LiteRT, the caller's included.
        golden: uint8 [n, S, S, 3], or int32 [n, length] ids; n may be 0.
        tell: called with a sign of life after each image.

    Raises:
        ValueError, RuntimeError: LiteRT cannot load or run it.
    """
    memory = _memory("VmRSS")
    start = time.perf_counter_ns()
    interpreter = load(path, threads)
    loaded = time.perf_counter_ns()
    interpreter.invoke()
    first = time.perf_counter_ns()
    predictions = []
    for number, image in enumerate(golden, 1):
        predictions.append(predict(interpreter, image).tolist())
        tell(f"golden example {number} of {len(golden)}")
    peak = _memory("VmHWM")
    return {
        "init_ms": (loaded - start) / 1e6,
        "first_inference_ms": (first - loaded) / 1e6,
        "peak_memory_mb": None if memory is None or peak is None else max(0.0, peak - memory),
        "partitions": sum(operator["op_name"] == "DELEGATE" for operator in interpreter._get_ops_details()),
        "answers": predictions,
    }


def block(
    files: Mapping[str, str], threads: int, runs: int, warmup: int, seed: int, tell: Tell = _quiet
) -> dict[str, Any]:
    """Times all files and the yardstick in turn, for a fresh process.

    Returns:
        The rounds of warm-up, and by name the milliseconds that passed and those that the calling thread worked.
    """
    calls = {}
    for name, path in files.items():
        try:
            calls[name] = load(path, threads).invoke
        except (ValueError, RuntimeError) as error:
            raise UnusableError(name, str(error)) from None
        tell(f"loaded {name}")
    calls[YARDSTICK] = yardstick()
    rounds = settle(calls, warmup, tell)
    timed = alternate(calls, runs, seed, tell)
    return {
        "warmup": rounds,
        "ms": {name: [passed for passed, _ in each] for name, each in timed.items()},
        "cpu_ms": {name: [worked for _, worked in each] for name, each in timed.items()},
    }


def load(path: str, threads: int) -> Any:
    """Returns an interpreter of a file, fed with one random raw example.

    Raises:
        ValueError: the file cannot be loaded or takes something else than an image or the ids of a text.
    """
    interpreter = Interpreter(model_path=path, num_threads=threads)
    interpreter.allocate_tensors()
    inputs = interpreter.get_input_details()
    kinds = [np.dtype(each["dtype"]).name for each in inputs]
    if set(kinds) != {IDS} and (len(kinds) != 1 or kinds[0] not in ("uint8", "int8", "float32")):
        raise ValueError(
            f"its inputs are [{', '.join(kinds)}], not one uint8, int8 or float32 image or int32 ids of a text"
        )
    random = np.random.default_rng(0)
    for each, kind in zip(inputs, kinds, strict=True):
        raw = random.integers(0, _LEAST_PIECES if kind == IDS else 256, each["shape"], dtype=np.uint8)
        interpreter.set_tensor(each["index"], as_taken(raw, each["dtype"]))
    return interpreter


def entry(interpreter: Any) -> dict[str, Any]:
    """Returns the input that an example is given to: of several that of ids; MediaPipe's others are not read."""
    inputs = interpreter.get_input_details()
    return next((each for each in inputs if each.get("name") == "ids"), inputs[0])


def as_taken(image: np.ndarray, dtype: Any) -> np.ndarray:
    """Returns raw values in a file's input type; int8 values are 128 lower."""
    return (image.astype(np.int16) - 128).astype(np.int8) if dtype == np.int8 else image.astype(dtype)


def predict(interpreter: Any, image: np.ndarray) -> np.ndarray:
    """Returns float32 [classes] probabilities, by the file's own scale, for an image, uint8 [S, S, 3], or ids."""
    taken, result = entry(interpreter), interpreter.get_output_details()[0]
    interpreter.set_tensor(taken["index"], as_taken(image, taken["dtype"])[np.newaxis])
    interpreter.invoke()
    values = interpreter.get_tensor(result["index"])[0].astype(np.float32)
    scale, zero_point = result["quantization"]
    return (values - zero_point) * np.float32(scale) if scale else values


def yardstick() -> Callable[[], Any]:
    """Returns a fixed piece of single-threaded work: 14 million multiplications and additions on 450 KB."""
    left, right = np.random.default_rng(0).random((2, 192, 192), dtype=np.float32)
    product = np.empty_like(left)

    def work() -> None:
        for _ in range(2):
            np.matmul(left, right, out=product)

    return work


def settle(calls: Mapping[str, Callable[[], Any]], warmup: int, tell: Tell = _quiet) -> int:
    """Runs calls in turn until none gets faster any more; returns the rounds that it took.

    It is over when no call's median over the last `warmup` rounds lies more than 5 % below that over the `warmup`
    before. After ten such windows it is enough: a machine under changing load never gets steady.
    """
    durations: dict[str, list[float]] = {name: [] for name in calls}
    for window in range(LONGEST_WARMUP if warmup else 0):
        for _ in range(warmup):
            for name, call in calls.items():
                durations[name].append(_milliseconds(call)[0])
                tell("warming up")
        if window and all(_steady(each[-2 * warmup : -warmup], each[-warmup:]) for each in durations.values()):
            break
    return max(map(len, durations.values()), default=0)


def alternate(
    calls: Mapping[str, Callable[[], Any]], runs: int, seed: int = 0, tell: Tell = _quiet
) -> dict[str, list[tuple[float, float]]]:
    """Times calls in turn, so that a slow second of the machine affects all of them equally.

    Each turn makes a call twice and times the second: the first brings its weights back into the caches and lets the
    previous call's worker threads fall asleep, as on a phone that runs one model. Each round draws the order again.

    Args:
        calls: name to what is timed.
        runs: timed calls of each.
        seed: draws the order.
        tell: called with a sign of life between the calls.

    Returns:
        Name to `runs` pairs in the order of the rounds: milliseconds that passed, and processor time of this thread.
    """
    names = list(calls)
    order = np.random.default_rng(seed)
    durations: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
    for number in range(1, runs + 1):
        for position in order.permutation(len(names)):
            name = names[position]
            calls[name]()
            durations[name].append(_milliseconds(calls[name]))
            tell(f"round {number} of {runs}")
    return durations


def device() -> dict[str, Any]:
    """Returns what Linux reports about the machine: device tree on boards, DMI on PCs; None if neither does."""
    dmi = Path("/sys/class/dmi/id")
    return {
        "maker": _text(dmi / "sys_vendor"),
        "model": _text(Path("/proc/device-tree/model")) or _text(dmi / "product_name"),
        "soc": _processor() or _compatible(),
        "cores": _kinds_of_cores(),
        "os": f"{_distribution()}, {platform.system()} {platform.release()}",
        "build": platform.version() or None,
        "abi": platform.machine(),
        "governor": _text(Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")),
    }


def condition() -> dict[str, Any]:
    """Returns the temperature of the hottest sensor, the battery's charge, whether it is charged, and the load."""
    degrees = [_number(path) for path in Path("/sys/class/thermal").glob("thermal_zone*/temp")]
    charges = [_number(path) for path in Path("/sys/class/power_supply").glob("*/capacity")]
    supplies = [_number(path) for path in Path("/sys/class/power_supply").glob("*/online")]
    return {
        "celsius": max((value / 1000 for value in degrees if value is not None), default=None),
        "battery": max((min(value, 100) / 100 for value in charges if value is not None), default=None),
        "charging": any(supplies) if supplies else None,
        "load": os.getloadavg()[0] / _cores() if hasattr(os, "getloadavg") else None,
    }


class _Teller:
    """Sends signs of life to the parent process, one a second at most: they cost time between the timed calls."""

    def __init__(self, sender: Any) -> None:
        self._sender = sender
        self._last = time.monotonic()

    def __call__(self, text: str) -> None:
        now = time.monotonic()
        if now - self._last >= SECONDS_BETWEEN_SIGNS:
            self._last = now
            self._sender.send_bytes(json.dumps({"doing": text}).encode())


def _apart(
    work: Callable[..., dict[str, Any]], patience: float, artifact: str | None = None, doing: str = ""
) -> dict[str, Any]:
    """Returns what `work` returns in a forked process; its signs of life are passed on.

    Args:
        work: called with `tell`.
        patience: seconds without a sign of life.
        artifact: the file that an error names; None where there are several.
        doing: prefix of each sign of life.

    Raises:
        UnusableError: the work failed, crashed, or gave no sign of life for `patience` seconds.
    """
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=_send_result, args=(work, artifact, sender))
    child.start()
    sender.close()
    try:
        while True:
            if not receiver.poll(patience):
                raise UnusableError(artifact, f"it gave no sign of life for {patience:g} seconds")
            answered: dict[str, Any] = json.loads(receiver.recv_bytes())
            if "doing" not in answered:
                break
            _say(doing=", ".join(filter(None, [doing or f"loading {artifact}", answered["doing"]])))
    except EOFError:
        child.join()
        raise UnusableError(artifact, f"its process {_ending(child.exitcode)}") from None
    finally:
        child.kill()
        child.join()
    if "error" in answered:
        raise UnusableError(*answered["error"])
    return answered


def _send_result(work: Callable[..., dict[str, Any]], artifact: str | None, sender: Any) -> None:
    try:
        result = work(tell=_Teller(sender))
    except UnusableError as error:
        result = {"error": error.args}
    except (ValueError, RuntimeError, MemoryError) as error:
        result = {"error": (artifact, str(error) or type(error).__name__)}
    sender.send_bytes(json.dumps(result).encode())


def _ending(code: int | None) -> str:
    return f"was ended by {signal.Signals(-code).name}" if code is not None and code < 0 else f"ended with code {code}"


def _steady(previous: list[float], last: list[float]) -> bool:
    return statistics.median(last) >= (1 - STEADY) * statistics.median(previous)


def _milliseconds(call: Callable[[], Any]) -> tuple[float, float]:
    start, worked = time.perf_counter_ns(), time.thread_time_ns()
    call()
    worked_until, end = time.thread_time_ns(), time.perf_counter_ns()
    return (end - start) / 1e6, (worked_until - worked) / 1e6


def _memory(field: str) -> float | None:
    """Returns a line of /proc/self/status in MB; None on systems without. getrusage would give the parent's peak."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith(f"{field}:"):
                return int(line.split()[1]) * 1024 / 1e6
    return None


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _kinds_of_cores() -> list[dict[str, Any]]:
    cpus = Path("/sys/devices/system/cpu").glob("cpu[0-9]*")
    speeds = Counter(_number(cpu / "cpufreq" / "cpuinfo_max_freq") for cpu in cpus)
    if not speeds:
        return [{"count": os.cpu_count() or 1}]
    fastest_first = sorted(speeds.items(), key=lambda kind: -(kind[0] or 0))
    return [{"count": count, "max_mhz": round(khz / 1000) if khz else None} for khz, count in fastest_first]


def _processor() -> str | None:
    for line in (_text(Path("/proc/cpuinfo")) or "").splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "model name" and value.strip():
            return value.strip()
    return None


def _compatible() -> str | None:
    """Returns the last of a board's `compatible` names, the system on the chip, as in brcm,bcm2711."""
    names = [name for name in (_text(Path("/proc/device-tree/compatible")) or "").split("\0") if name]
    return names[-1] if names else None


def _distribution() -> str:
    for line in (_text(Path("/etc/os-release")) or "").splitlines():
        key, _, value = line.partition("=")
        if key == "PRETTY_NAME":
            return value.strip('"')
    return "unknown distribution"


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip().strip("\0") or None
    except OSError:
        return None


def _number(path: Path) -> float | None:
    """Returns the finite number in a file; None if a sensor reports an error or nothing."""
    try:
        value = float(_text(path) or "")
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _say(**event: Any) -> None:
    print(json.dumps(event), flush=True)


if __name__ == "__main__":
    sys.exit(main())
