import datetime
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.benchmark.conftest import counted, result
from tfkd.bundle import results
from tfkd.errors import RequestError
from tfkd.version import __version__


def test_results_come_back_as_written(tmp_path):
    path = tmp_path / "r.json"
    written = [
        result(),
        counted(10),
        result(golden=results.GoldenCheck(checked=1, max_abs_error=0, tolerance=0, top1_equal=1, passed=True)),
    ]
    results.write(path, written)
    assert results.read(path) == written
    assert json.loads(path.read_text())["schema"] == "tfkd-bench-1"


def test_json_schema_describes_what_is_written():
    schema = results.Results.model_json_schema()
    assert schema["additionalProperties"] is False and set(schema["required"]) == {"results"}
    fields = schema["$defs"]["Result"]
    assert fields["additionalProperties"] is False
    assert set(json.loads(result().model_dump_json())) == set(fields["properties"])
    json.dumps(schema)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"latncy": 1}, "latncy"),
        ({"runs": 4}, "3 samples of 4 runs"),
        ({"latency_ms": None, "samples_ms": []}, "a latency or instructions"),
        ({"latency_ms": {"median": 2, "p90": 1, "min": 0}}, "must not fall"),
        ({"latency_ms": {"median": 2, "p90": 4, "p95": 3, "min": 0}}, "must not fall"),
        ({"latency_ms": {"median": 2, "min": 0, "interval": [3, 1]}}, "the smaller one first"),
        ({"samples_ms": [1, -2, -3]}, "2 of 3 durations are impossible"),
        ({"samples_ms": [1, 2, "3x"]}, "samples_ms.2"),
        ({"yardstick_ms": [1.0]}, "yardstick"),
        ({"instructions": {"load": 1}}, "total"),
        ({"artifact": {"path": "a", "sha256": "../x"}}, "sha256"),
        ({"rung": "moon"}, "rung"),
    ],
)
def test_other_content_is_refused_with_its_field(tmp_path, change, message):
    path = tmp_path / "r.json"
    one = {**result().model_dump(mode="json"), **change}
    path.write_text(json.dumps({"schema": "tfkd-bench-1", "results": [one]}))
    with pytest.raises(RequestError, match=message) as caught:
        results.read(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_another_version_is_refused(tmp_path):
    path = tmp_path / "r.json"
    path.write_text('{"schema": "tfkd-bench-9", "results": []}')
    with pytest.raises(RequestError, match="tfkd-bench-1"):
        results.read(path)
    with pytest.raises(RequestError, match="No such file"):
        results.read(tmp_path / "none.json")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@settings(deadline=None, max_examples=100)
@given(st.sampled_from(sorted(results.Result.model_fields)), json_values)
def test_whatever_a_device_sends_is_a_result_or_one_clear_line(field, value):
    one = {**result().model_dump(mode="json"), field: value}
    text = json.dumps({"schema": "tfkd-bench-1", "results": [one]})
    try:
        (read,) = results.parse(text, "the phone")
    except RequestError as error:
        assert str(error).startswith("the phone is no") and "\n" not in str(error)
    else:
        assert isinstance(read, results.Result)


@settings(deadline=None, max_examples=50)
@given(st.binary(max_size=200))
def test_bytes_that_are_no_json_are_one_clear_line(content):
    with pytest.raises(RequestError):
        results.parse(content, "the phone")


def test_the_manifest_keeps_the_summary():
    entry = results.BenchEntry.of(result([1.0, 2.0, 3.0]))
    assert (entry.device, entry.runtime, entry.runs, entry.latency_ms.median) == ("Fast 9", "LiteRT 2.3.0", 3, 2.0)


def test_a_percentile_is_kept_under_its_own_name():
    latency = results.Latency(median=2.0, p95=4.0, min=1.0)
    entry = results.BenchEntry.of(result(samples_ms=[], latency_ms=latency))
    assert (entry.latency_ms.p90, entry.latency_ms.p95) == (None, 4.0)


def test_the_manifest_keeps_a_count_too():
    entry = results.BenchEntry.of(counted(10))
    assert entry.latency_ms is None and entry.instructions["total"] == 10 and entry.rung == "arm64 emulated"


def test_results_of_two_emulated_processors_are_distinguished():
    titles = [
        counted(10, device=results.Device(soc=soc, os="Linux", abi="aarch64")).title
        for soc in ("Cortex-A53", "Cortex-A76")
    ]
    assert titles == [f"android/a_int8.tflite 1 thread cpu {soc}" for soc in ("Cortex-A53", "Cortex-A76")]


def test_a_device_is_called_by_its_name_or_by_its_processor():
    assert results.Device(maker="Raspberry Pi", model="4 B", soc="x", os="L", abi="a").name == "Raspberry Pi 4 B"
    assert results.Device(os="L", abi="aarch64").name == "aarch64"


def test_impossible_samples_are_dropped_and_counted_not_fatal(tmp_path):
    samples = [1.0, -2.0, 3.0, float("nan"), 5.0, None, 7.0, float("inf"), 9.0]
    good = [1.0, 3.0, 5.0, 7.0, 9.0]
    one = {**result(good).model_dump(mode="json"), "samples_ms": samples, "runs": 9}
    one |= {"cpu_ms": [1.0] * 9, "yardstick_ms": [2.0] * 9}
    (tmp_path / "r.json").write_text(json.dumps({"schema": "tfkd-bench-1", "results": [one]}))
    (read,) = results.read(tmp_path / "r.json")
    assert (read.samples_ms, read.runs, read.dropped) == (good, 5, 4)
    assert read.cpu_ms == [1.0] * 5 and read.yardstick_ms == [2.0] * 5
    results.write(tmp_path / "again.json", [read])
    assert results.read(tmp_path / "again.json") == [read], "they are counted once"


def test_a_sample_without_processor_time_is_impossible():
    (read,) = results.parse(
        json.dumps(
            {"results": [{**result([1.0, 2.0, 3.0]).model_dump(mode="json"), "cpu_ms": [1, 0, 2], "yardstick_ms": []}]}
        ),
        "the board",
    )
    assert (read.samples_ms, read.cpu_ms, read.dropped) == ([1.0, 3.0], [1.0, 2.0], 1)


def test_results_hold_their_time_and_version(tmp_path):
    skipped = [results.Skipped(path="a", delegate="npu", reason="no")]
    results.write(tmp_path / "r.json", [result()], skipped)
    read = results.read_all(tmp_path / "r.json")
    assert read.tfkd_version == __version__ and read.skipped == skipped
    assert datetime.datetime.fromisoformat(read.created).tzinfo is not None
