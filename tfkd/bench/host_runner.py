"""Times TFLite files with LiteRT in a process of its own: `python -m tfkd.bench.host_runner`, job in, events out.

The job is one JSON object on stdin: {"files": {name: path}, "threads": [int], "runs": int, "warmup": int}. Every event
is one JSON object on a line of stdout: {"loading": name}, {"timing": threads}, {"error": {"artifact", "reason"}}, or
{"timed": {"artifact", "threads", "ms": [runs floats]}}. TensorFlow is not imported: no thread pool but LiteRT's exists.
"""

import json
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np


def alternate(calls: Mapping[str, Callable[[], Any]], runs: int, warmup: int) -> dict[str, list[float]]:
    """Times calls in turn, so that a slow second of the machine strikes all of them alike.

    A call is made twice a turn and the second is timed: the first brings its weights back into the caches and lets the
    previous call's worker threads fall asleep, as on a phone that runs one model. The order is drawn anew every round.

    Args:
        calls: name to what is timed.
        runs: timed calls of each.
        warmup: rounds of untimed calls before.

    Returns:
        Name to `runs` durations, milliseconds, in the order of the rounds.
    """
    names = list(calls)
    order = np.random.default_rng(0)
    for _ in range(warmup):
        for name in names:
            calls[name]()
    durations: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(runs):
        for position in order.permutation(len(names)):
            name = names[position]
            calls[name]()
            start = time.perf_counter_ns()
            calls[name]()
            durations[name].append((time.perf_counter_ns() - start) / 1e6)
    return durations


def load(path: str, threads: int) -> Callable[[], Any]:
    """Returns the inference of one file, fed with one random raw-RGB image.

    Args:
        path: a .tflite file with a single uint8 or float32 image input.
        threads: threads of LiteRT, the caller's included.

    Raises:
        ValueError: the file cannot be loaded or takes something else than an image.
    """
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=path, num_threads=threads)
    interpreter.allocate_tensors()
    inputs = interpreter.get_input_details()
    if len(inputs) != 1 or inputs[0]["dtype"] not in (np.uint8, np.float32):
        kinds = ", ".join(np.dtype(each["dtype"]).name for each in inputs)
        raise ValueError(f"its inputs are [{kinds}], not one uint8 or float32 image")
    image = np.random.default_rng(0).integers(0, 256, inputs[0]["shape"], dtype=np.uint8)
    interpreter.set_tensor(inputs[0]["index"], image.astype(inputs[0]["dtype"]))
    return interpreter.invoke


def main() -> int:
    """Runs the job on stdin; returns 1 where a file could not be loaded."""
    job = json.load(sys.stdin)
    for threads in job["threads"]:
        calls = {}
        for name, path in job["files"].items():
            _say(loading=name)
            try:
                calls[name] = load(path, threads)
            except (ValueError, RuntimeError) as error:
                _say(error={"artifact": name, "reason": str(error)})
                return 1
        _say(timing=threads)
        for name, durations in alternate(calls, job["runs"], job["warmup"]).items():
            _say(timed={"artifact": name, "threads": threads, "ms": durations})
    return 0


def _say(**event: Any) -> None:
    print(json.dumps(event), flush=True)


if __name__ == "__main__":
    sys.exit(main())
