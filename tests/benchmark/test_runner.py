import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tfkd.benchmark import driver, runner
from tfkd.bundle.results import Device


def started(job):
    return subprocess.run(
        [sys.executable, "-P", str(driver.RUNNER)], input=json.dumps(job), capture_output=True, text=True, check=False
    )


def job(files, **changes):
    request = {"processes": 2, "runs": 3, "warmup": 1, "threads": [1], "golden": None, "patience": 60, "lock": None}
    return {"files": {name: str(path) for name, path in files.items()}, **request, **changes}


def test_it_speaks_json_lines(files):
    done = started(job(files))
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0 and all(set(event) == {"doing"} for event in events[1:-1])
    first, last = events[0], events[-1]
    assert set(first) == {"device", "threads"} and first["threads"] == [1]
    assert first["device"]["build"] and first["device"]["before"]["load"] >= 0
    assert set(last) == {"device", "runtime", "measured"} and last["runtime"]["name"] == "LiteRT"
    Device.model_validate(last["device"])
    assert [each["artifact"] for each in last["measured"]] == ["heavy", "light"]
    for each in last["measured"]:
        assert len(each["samples_ms"]) == len(each["cpu_ms"]) == len(each["yardstick_ms"]) == 6
        assert each["init_ms"] > 0 and each["first_inference_ms"] > 0 and each["partitions"] >= 1
        assert each["answers"] == [] and each["peak_memory_mb"] > 0.1


def test_it_needs_nothing_but_numpy_and_litert(files, tmp_path):
    """What is copied to a board runs there alone: without tfkd, pydantic or TensorFlow."""
    refuse = "import sys; sys.modules.update(dict.fromkeys(('tfkd', 'pydantic', 'tensorflow', 'keras')));"
    code = (
        f"{refuse} sys.argv = ['runner.py']; import runpy; runpy.run_path({str(driver.RUNNER)!r}, run_name='__main__')"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", code],
        input=json.dumps(job(files)),
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert '"measured"' in done.stdout, done.stderr


def test_zero_threads_are_all_cores(files):
    light = {"light": files["light"]}
    last = json.loads(started(job(light, threads=[0, 1])).stdout.splitlines()[-1])
    assert [each["threads"] for each in last["measured"]] == sorted({1, len(os.sched_getaffinity(0))})


def test_a_hanging_file_is_given_up():
    began = time.monotonic()
    with pytest.raises(runner.UnusableError, match=r"no sign of life for 0\.3 seconds"):
        runner._apart(lambda tell: time.sleep(60) or {}, 0.3, "slow")
    assert time.monotonic() - began < 10


def test_patience_is_per_sign_of_life_not_per_process(monkeypatch, capsys):
    monkeypatch.setattr(runner, "SECONDS_BETWEEN_SIGNS", 0.1)

    def work(tell):
        for number in range(20):
            time.sleep(0.1)
            tell(f"round {number}")
        return {"done": 20}

    assert runner._apart(work, 1.0, doing="timing") == {"done": 20}
    lines = [json.loads(line)["doing"] for line in capsys.readouterr().out.splitlines()]
    assert len(lines) > 5 and lines[-1].startswith("timing, round ")


def test_signs_of_life_are_rare():
    sent = []
    teller = runner._Teller(type("Pipe", (), {"send_bytes": lambda _, content: sent.append(content)})())
    for _ in range(1000):
        teller("round")
    assert sent == []


def test_timing_and_predicting_give_signs_of_life(files):
    lines = []
    images = np.zeros((2, 32, 32, 3), np.uint8)
    runner.probe(str(files["light"]), 1, images, lines.append)
    assert lines == ["golden example 1 of 2", "golden example 2 of 2"]
    runner.block({"light": str(files["light"])}, 1, 2, 1, 0, lines.append)
    assert {"loaded light", "warming up", "round 1 of 2", "round 2 of 2"} <= set(lines)


def test_a_runner_that_nobody_listens_to_ends(files):
    """As when the connection to a board breaks: the next sign of life has no reader."""
    request = json.dumps(job(files, processes=50, runs=100_000))
    child = subprocess.Popen(
        [sys.executable, "-P", str(driver.RUNNER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    child.stdin.write(request)
    child.stdin.close()
    assert "device" in child.stdout.readline()
    child.stdout.close()
    assert child.wait(60) == 1


def test_a_crash_is_reported_with_its_signal():
    with pytest.raises(runner.UnusableError, match="ended by SIGKILL"):
        runner._apart(lambda tell: os.kill(os.getpid(), signal.SIGKILL) or {}, 60, "broken")


def test_calls_alternate_and_keep_their_own_times():
    order = []

    def call(name, seconds):
        def run():
            order.append(name)
            time.sleep(seconds)

        return run

    calls = {"a": call("a", 0.001), "b": call("b", 0.004), "c": call("c", 0.0)}
    durations = runner.alternate(calls, runs=20)

    rounds = [order[6 * number : 6 * number + 6] for number in range(20)]
    assert all(sorted(each) == ["a", "a", "b", "b", "c", "c"] for each in rounds)
    assert all(each[0::2] == each[1::2] for each in rounds)  # each timed call comes right after its own untimed one
    assert len({tuple(each) for each in rounds}) > 1
    assert {name: len(each) for name, each in durations.items()} == {"a": 20, "b": 20, "c": 20}
    shortest = {name: min(passed for passed, _ in each) for name, each in durations.items()}
    assert shortest["c"] < 1 <= shortest["a"] < 4 <= shortest["b"]
    assert min(worked for _, worked in durations["b"]) < 2  # to sleep is no work


def test_warm_up_lasts_until_the_latency_is_steady():
    waits = iter([0.02] * 5 + [0.01] * 5 + [0.005] * 5 + [0.004] * 200)
    rounds = runner.settle({"cooling": lambda: time.sleep(next(waits))}, warmup=5)
    assert 15 < rounds <= 50
    assert runner.settle({"steady": lambda: time.sleep(0.005)}, warmup=0) == 0


def test_warm_up_ends_on_a_machine_that_never_gets_steady():
    waits = iter(np.geomspace(0.02, 0.0001, 30))
    assert runner.settle({"ever faster": lambda: time.sleep(next(waits))}, warmup=3) <= 30


def test_predictions_are_those_of_the_verification(files):
    from tfkd.verification import tflite

    images = np.random.default_rng(7).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
    for path in files.values():
        interpreter = runner.load(str(path), 1)
        predictions = np.stack([runner.predict(interpreter, image) for image in images])
        np.testing.assert_array_equal(predictions, tflite.predict(path, [images]))


def test_ids_are_given_to_the_input_that_a_model_reads(tmp_path: Path) -> None:
    import tensorflow as tf

    class Texts(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec((1, 5), tf.int32, name) for name in ("mask", "ids", "segment_ids")])
        def classify(self, mask, ids, segment_ids):
            return tf.nn.softmax(tf.reduce_sum(tf.gather(tf.reshape(tf.range(24.0), (8, 3)) / 9, ids), axis=1))

    model = Texts()
    converted = tf.lite.TFLiteConverter.from_concrete_functions([model.classify.get_concrete_function()], model)
    (tmp_path / "texts.tflite").write_bytes(converted.convert())
    ids = np.array([[2, 7, 4, 3, 0], [2, 3, 0, 0, 0]], np.int32)
    measured = runner.probe(str(tmp_path / "texts.tflite"), 1, ids)
    nothing = np.zeros((1, 5), np.int32)
    expected = [model.classify(nothing, each[np.newaxis], nothing)[0] for each in ids]
    np.testing.assert_allclose(measured["answers"], expected, atol=1e-6)


def test_one_run_at_a_time_measures_in_a_folder(tmp_path: Path) -> None:
    assert runner._locked(str(tmp_path))
    assert not runner._locked(str(tmp_path)), "the first lock holds until its process ends"
    assert runner._locked(str(tmp_path.parent))
