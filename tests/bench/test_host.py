"""The host bench on two real files, small enough to convert in a few seconds."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tfkd.bench import TARGETS, host, host_runner
from tfkd.errors import RequestError
from tfkd.export.manifest import BenchEntry, Latency
from tfkd.recipe import Bench


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A heavy file with float input and a light one with uint8 input."""
    import tensorflow as tf

    class Convolution(tf.Module):
        def __init__(self, channels):
            self.kernel = tf.constant(0.01, shape=(5, 5, 3, channels))

        @tf.function
        def classify(self, image):
            features = tf.nn.conv2d(tf.cast(image, tf.float32), self.kernel, 1, "SAME")
            return tf.nn.softmax(tf.reduce_mean(features, [1, 2]))

    folder = tmp_path_factory.mktemp("tflite")
    written = {}
    for name, size, channels, dtype in (("heavy", 96, 32, tf.float32), ("light", 32, 4, tf.uint8)):
        model = Convolution(channels)
        saved = folder / name
        classify = model.classify.get_concrete_function(tf.TensorSpec((1, size, size, 3), dtype))
        tf.saved_model.save(model, str(saved), signatures=classify)
        written[name] = folder / f"{name}.tflite"
        written[name].write_bytes(tf.lite.TFLiteConverter.from_saved_model(str(saved)).convert())
    return written


def test_every_file_is_timed_with_one_thread_and_with_all(files):
    said = []
    entries = host.measure(files, Bench(runs=9, warmup=2), said.append)

    cores = len(os.sched_getaffinity(0))
    wanted = [(name, threads) for threads in sorted({1, cores}) for name in files]
    assert [(entry.artifact, entry.threads) for entry in entries] == wanted
    assert len(said) == len({1, cores})
    for entry in entries:
        assert BenchEntry.model_validate(entry.model_dump()) == entry
        assert entry.target == "host" and entry.runs == 9 and not entry.emulated
        assert entry.device and entry.runtime.startswith("LiteRT 2.")
        assert 0 < entry.latency_ms.min <= entry.latency_ms.median <= entry.latency_ms.p90
    assert host.ratio(entries, "heavy", "light") > 3  # 72 times the multiplications


def test_calls_alternate_and_keep_their_own_times():
    made = []

    def call(name, seconds):
        def run():
            made.append(name)
            time.sleep(seconds)

        return run

    calls = {"a": call("a", 0.001), "b": call("b", 0.004), "c": call("c", 0.0)}
    durations = host_runner.alternate(calls, runs=20, warmup=1)

    assert made[:3] == ["a", "b", "c"]
    rounds = [made[3 + 6 * number : 9 + 6 * number] for number in range(20)]
    assert all(sorted(each) == ["a", "a", "b", "b", "c", "c"] for each in rounds)
    assert all(each[0::2] == each[1::2] for each in rounds)  # each timed call comes right after its own untimed one
    assert len({tuple(each) for each in rounds}) > 1
    assert {name: len(each) for name, each in durations.items()} == {"a": 20, "b": 20, "c": 20}
    assert min(durations["c"]) < 1 <= min(durations["a"]) < 4 <= min(durations["b"])


def test_runner_starts_without_tensorflow():
    code = (
        "import sys, tfkd.bench.host_runner, ai_edge_litert.interpreter;"
        "sys.exit(any(name.partition('.')[0] in ('tensorflow', 'keras') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("content", [b"", b"not a model", b"\x1c\x00\x00\x00TFL3" + bytes(range(256)) * 4])
def test_file_that_is_no_model_is_named_in_one_line(files, tmp_path, content):
    broken = tmp_path / "broken.tflite"
    broken.write_bytes(content)
    with pytest.raises(RequestError, match=r"broken\.tflite.*Export the file again") as caught:
        host.measure({**files, "broken": broken}, Bench(runs=5, warmup=1))
    assert "\n" not in str(caught.value)


def test_truncated_model_is_named_even_if_it_crashes_the_runtime(files, tmp_path):
    half = tmp_path / "half.tflite"
    content = files["heavy"].read_bytes()
    half.write_bytes(content[: len(content) // 2])
    with pytest.raises(RequestError, match=r"half\.tflite"):
        host.measure({"half": half}, Bench(runs=5, warmup=1))


def test_missing_file_is_named(tmp_path):
    with pytest.raises(RequestError, match="no such file"):
        host.measure({"gone": tmp_path / "gone.tflite"}, Bench())


def test_a_model_that_takes_no_image_is_refused(tmp_path):
    import tensorflow as tf

    class Model(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec((1, 4), tf.int32)])
        def double(self, values):
            return values * 2

    model = Model()
    tf.saved_model.save(model, str(tmp_path / "saved"), signatures=model.double.get_concrete_function())
    path = tmp_path / "double.tflite"
    path.write_bytes(tf.lite.TFLiteConverter.from_saved_model(str(tmp_path / "saved")).convert())
    with pytest.raises(RequestError, match=r"its inputs are \[int32\]"):
        host.measure({"double": path}, Bench(runs=5, warmup=1))


def test_ratio_is_of_medians_at_one_thread_count():
    entries = [
        _entry("teacher", 1, 20.0),
        _entry("student", 1, 2.0),
        _entry("teacher", 4, 9.0),
        _entry("student", 4, 1.5),
    ]
    assert host.ratio(entries, "teacher", "student") == 10
    assert host.ratio(entries, "teacher", "student", threads=4) == 6
    with pytest.raises(RequestError, match="Did you mean 'student'"):
        host.ratio(entries, "teacher", "studnet")


def test_targets_name_what_exists():
    import importlib

    for place in TARGETS.values():
        module, _, function = place.partition(":")
        assert callable(getattr(importlib.import_module(module), function))


def test_the_runner_speaks_json_lines(files):
    job = {"files": {"light": str(files["light"])}, "threads": [1], "runs": 3, "warmup": 0}
    done = subprocess.run(
        [sys.executable, "-m", "tfkd.bench.host_runner"],
        input=json.dumps(job),
        capture_output=True,
        text=True,
        check=True,
    )
    loading, timing, timed = [json.loads(line) for line in done.stdout.splitlines()]
    assert loading == {"loading": "light"} and timing == {"timing": 1}
    assert timed["timed"]["artifact"] == "light" and len(timed["timed"]["ms"]) == 3


def _entry(artifact, threads, median):
    latency = Latency(median=median, p90=median, min=median)
    return BenchEntry(
        target="host",
        device="d",
        runtime="r",
        artifact=artifact,
        threads=threads,
        runs=1,
        latency_ms=latency,
        emulated=False,
    )
