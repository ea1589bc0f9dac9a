"""The host bench on two real files."""

import importlib
import os

import pytest

from tfkd.benchmark import TARGETS, host
from tfkd.benchmark.options import HostOptions
from tfkd.benchmark.subject import of_bundle, of_files
from tfkd.bundle import results as results_of
from tfkd.bundle.results import BenchEntry, Latency
from tfkd.errors import RequestError
from tfkd.recipe import Bench


def test_every_file_is_timed_with_one_thread_and_with_all(files):
    lines = []
    entries = host.measure(files, Bench(runs=9, warmup=2), lines.append)

    cores = len(os.sched_getaffinity(0))
    expected = [(name, threads) for threads in sorted({1, cores}) for name in files]
    assert [(entry.artifact, entry.threads) for entry in entries] == expected
    assert lines[0] == "timing 2 files in turn on this machine, 9 processes of 1 run"
    for entry in entries:
        assert BenchEntry.model_validate(entry.model_dump()) == entry
        assert entry.target == "host" and entry.runs == 9 and not entry.emulated
        assert entry.device and entry.runtime.startswith("LiteRT 2.")
        assert 0 < entry.latency_ms.min <= entry.latency_ms.median <= entry.latency_ms.p90
    assert host.ratio(entries, "heavy", "light") > 3  # 144 times the multiplications


def test_a_bundle_is_measured_with_every_sample_and_its_golden_predictions(shipped):
    results = host.bench("", of_bundle(shipped), HostOptions(runs=4, warmup=1, processes=2, threads=(1,)))
    assert [result.artifact.path for result in results] == ["android/heavy.tflite", "android/light.tflite"]
    for result in results:
        assert (result.runs, result.processes, result.threads) == (4, 2, 1)
        assert len(result.samples_ms) == 4 and result.warmup >= 2 and result.partitions == 1
        assert result.golden.passed and result.golden.checked == 3 and result.golden.top1_equal == 1
        assert result.golden.family == results_of.BenchEntry.of(result).golden_family == "xnnpack"
        assert result.device.abi == os.uname().machine and sum(kind.count for kind in result.device.cores) >= 1


def test_wrong_predictions_are_reported(shipped):
    subject = of_bundle(shipped)
    subject.images[:] = 255 - subject.images
    results = host.bench("", subject, HostOptions(runs=1, warmup=0, processes=1, threads=(1,)))
    assert any(result.golden.max_abs_error > 0 for result in results)


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


def test_a_model_that_takes_no_image_is_refused(tmp_path):
    import tensorflow as tf

    class Model(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec((1, 4), tf.int64)])
        def double(self, values):
            return values * 2

    model = Model()
    tf.saved_model.save(model, str(tmp_path / "saved"), signatures=model.double.get_concrete_function())
    path = tmp_path / "double.tflite"
    path.write_bytes(tf.lite.TFLiteConverter.from_saved_model(str(tmp_path / "saved")).convert())
    with pytest.raises(RequestError, match=r"its inputs are \[int64\]"):
        host.measure({"double": path}, Bench(runs=5, warmup=1))


def test_this_machine_has_no_address(files):
    with pytest.raises(RequestError, match="it has no address 'pi'"):
        host.bench("pi", of_files(files), HostOptions())


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
    for target in TARGETS.values():
        module = importlib.import_module(target.module)
        assert callable(module.check) and callable(module.bench) and module.FORMATS and module.LIMITS


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
