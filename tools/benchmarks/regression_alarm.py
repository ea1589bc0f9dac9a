"""Checks that `tfkd bench --max-regression` separates a slower file from noise, on this machine and its present load.

    python tools/benchmarks/regression_alarm.py --out docs/evidence/regression_alarm.json

Makes two files: the slower one repeats the same layer 10 % more often. After one baseline of the first file, both are
measured repeatedly in turn, each time as `tfkd bench` does it. Writes every ratio with its interval and the load of the
machine. The exit code is 1 if the same file raises an alarm, or if more than a tenth of the slower file's runs raise
none.
"""

import argparse
import os
import shlex
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from tfkd import machine
from tfkd.benchmark import host, statistics
from tfkd.benchmark.bundle import until_clear
from tfkd.benchmark.gates import Limits, share
from tfkd.benchmark.options import HostOptions
from tfkd.benchmark.subject import of_files
from tfkd.bundle.results import Result
from tfkd.files import write_json

LAYERS = 20
NAME = "file"
OPTIONS = HostOptions(threads=(1,))
BASELINE = HostOptions(threads=(1,), runs=600, processes=20)


def main() -> int:
    """Measures, writes, prints; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=20)
    parser.add_argument("--max-regression", type=share, default="5%")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        paths = {"same": Path(folder) / "same.tflite", "slower": Path(folder) / "slower.tflite"}
        write_network(paths["same"], LAYERS)
        write_network(paths["slower"], LAYERS + LAYERS // 10)
        (baseline,) = host.bench("", of_files({NAME: paths["same"]}), BASELINE)
        rows = []
        for repetition in range(arguments.repetitions):
            for name, path in paths.items():
                rows.append(
                    {"file": name, "repetition": repetition, **measured(path, baseline, arguments.max_regression)}
                )
                print(rows[-1], flush=True)
    alarms = {name: sum(row["verdict"] == "slower" for row in rows if row["file"] == name) for name in paths}
    unclear = {name: sum(row["verdict"] == "unclear" for row in rows if row["file"] == name) for name in paths}
    found = {
        "command": shlex.join(["python", *sys.argv]),
        "processor": machine.processor(),
        "cores": machine.cores(),
        "baseline_runs": BASELINE.runs,
        "max_regression": arguments.max_regression,
        "repetitions": arguments.repetitions,
        "alarms": alarms,
        "unclear": unclear,
        "measurements": rows,
    }
    write_json(arguments.out, found)
    print(f"alarms of {arguments.repetitions}: {alarms}; unclear: {unclear}")
    return int(alarms["same"] > 0 or alarms["slower"] < 0.9 * arguments.repetitions)


def measured(path: Path, baseline: Result, limit: float) -> dict[str, Any]:
    """Measures a file as `tfkd bench` does, and compares it with the baseline."""
    limits = Limits(baseline=path, max_regression=limit)
    found = until_clear(lambda: host.bench("", of_files({NAME: path}), OPTIONS), limits, [baseline])[0]
    assert found.latency_ms is not None
    change = statistics.regression(baseline, found, limit)
    return {
        "verdict": change.verdict,
        "ratio": round(change.ratio, 4),
        "interval": [round(value, 4) for value in change.interval],
        "median_ms": found.latency_ms.median,
        "p90_ms": found.latency_ms.p90,
        "runs": found.runs,
        "load": round(os.getloadavg()[0], 2),
    }


def write_network(path: Path, layers: int) -> None:
    """Writes a network of so many equal convolutions, 2.4 million multiplications each, behind one for the colours."""
    import tensorflow as tf

    random = np.random.default_rng(1)

    class Network(tf.Module):
        def __init__(self) -> None:
            shapes = [(3, 3, 3, 32), *[(3, 3, 32, 32)] * layers]
            self.kernels = [tf.constant(0.05 * random.standard_normal(shape, np.float32)) for shape in shapes]

        @tf.function(input_signature=[tf.TensorSpec((1, 16, 16, 3), tf.float32)])
        def classify(self, image: Any) -> Any:
            for kernel in self.kernels:
                image = tf.nn.relu6(tf.nn.conv2d(image, kernel, 1, "SAME"))
            return tf.nn.softmax(tf.reduce_mean(image, [1, 2]))

    network = Network()
    with tempfile.TemporaryDirectory() as saved:
        tf.saved_model.save(network, saved, signatures=network.classify.get_concrete_function())
        path.write_bytes(tf.lite.TFLiteConverter.from_saved_model(saved).convert())


if __name__ == "__main__":
    sys.exit(main())
