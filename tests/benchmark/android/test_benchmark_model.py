"""Parsers of what the benchmark tools write, on logs in the formats of the tools' own source."""

import struct
from collections.abc import Callable

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from hypothesis import given, settings
from hypothesis import strategies as st

from tfkd.benchmark.android import benchmark_model
from tfkd.benchmark.android.benchmark_model import ProfiledOperator, read_log, read_profile, read_result
from tfkd.errors import RequestError

# tflite/tools/benchmark/benchmark_model.cc: OnBenchmarkEnd, Run; benchmark_tflite_model.cc: Init.
TFLITE = """INFO: STARTING!
INFO: Log parameter values verbosely: [0]
INFO: Min num runs: [50]
INFO: Graph: [/data/local/tmp/model.tflite]
INFO: Loaded model /data/local/tmp/model.tflite
INFO: Initialized TensorFlow Lite runtime.
INFO: Created TensorFlow Lite XNNPACK delegate for CPU.
INFO: Explicitly applied XNNPACK delegate, and the model graph will be partially executed by the delegate w/ 3 \
delegate kernels.
INFO: The input model file size (MB): 2.55
INFO: Initialized session in 9.316ms.
INFO: Running benchmark for at least 1 iterations and at least 0.5 seconds but terminate if exceeding 150 seconds.
INFO: count=34 first=18535 curr=14319 min=14231 max=18535 avg=14462.3 std=712 p5=14240 median=14371 p95=15003

INFO: Running benchmark for at least 50 iterations and at least 1 seconds but terminate if exceeding 150 seconds.
INFO: count=69 first=14689 curr=14550 min=14431 max=15077 avg=1.45752e+04 std=117 p5=14452 median=14542 p95=14812

INFO: Inference timings in us: Init: 9316, First inference: 18535, Warmup (avg): 14462.3, Inference (avg): 14575.2
INFO: Note: as the benchmark tool itself affects memory footprint, the following is only APPROXIMATE to the actual \
memory footprint of the model at runtime. Take the information at your discretion.
INFO: Memory footprint delta from the start of the tool (MB): init=3.42 overall=10
INFO: Overall peak memory footprint (MB) via periodic monitoring: 12.5
"""

# litert/tools/benchmark_litert_model.h: BenchmarkLoggingListener; the statistics are those of the class it extends.
LITERT = """INFO: [litert/tools/benchmark_litert_model.cc:101] dispatch_library_path:
INFO: [benchmark_litert_model.cc:130] Loading model from: /data/local/tmp/model.tflite
INFO: count=1 curr=4210 p5=4210 median=4210 p95=4210
INFO: count=20 curr=2050(all same) p5=2050 median=2050 p95=2050
INFO: [benchmark_litert_model.h:66]
========== BENCHMARK RESULTS ==========
INFO: [benchmark_litert_model.h:67] Model initialization: 31.27 ms
INFO: [benchmark_litert_model.h:68] Warmup (first):       4.21 ms
INFO: [benchmark_litert_model.h:70] Warmup (avg):         4.21 ms (1 runs)
INFO: [benchmark_litert_model.h:72] Inference (avg):      2.05 ms (20 runs)
INFO: [benchmark_litert_model.h:76] Inference (min):      2.05 ms
INFO: [benchmark_litert_model.h:97] Init footprint:       4.00 MB
INFO: [benchmark_litert_model.h:99] Overall footprint:    8.00 MB
"""

# tensorflow/core/util/stats_calculator.cc, as CSV; the kind of an XNNPACK operator holds commas.
PROFILE = """Operator-wise Profiling Info for Regular Benchmark Runs:
============================== Run Order ==============================
node type, first, avg_ms, %, cdf%, mem KB, times called, name
CONV_2D, 0.42, 0.4105, 41.05%, 41.05%, 0, 1, [a;b/Conv2D\tc]:0
Fully Connected (NC, F32) GEMM, 0.55, 0.5, 50%, 91.05%, 0, 2, Delegate/Fully Connected (NC\t F32) GEMM:3

============================== Top by Computation Time ==============================
node type, first, avg_ms, %, cdf%, mem KB, times called, name
CONV_2D, 0.42, 0.4105, 41.05%, 41.05%, 0, 1, [a]:0
"""
# TensorFlow 2.6 and before told when each operator had started, too.
OLD_PROFILE = PROFILE.replace("type, first", "type, start, first").replace(", 0.42,", ", 0.001, 0.42,")
OLD_PROFILE = OLD_PROFILE.replace(", 0.55,", ", 0.5, 0.55,")

# proto/benchmark_result.proto: message, then field names in the order of their numbers with their types.
LATENCIES = ["avg_ms", "min_ms", "max_ms", "stddev_ms", "median_ms", "p5_ms", "p95_ms"]
LATENCIES += ["init_ms", "first_inference_ms", "average_warm_up_ms"]
MESSAGES = {
    "LatencyMetrics": dict.fromkeys(LATENCIES, "float"),
    "MemoryMetrics": {"init_footprint_kb": "int64", "overall_footprint_kb": "int64", "peak_mem_mb": "float"},
    "MiscMetrics": {"model_size_mb": "float", "num_runs": "int32", "num_warmup_runs": "int32", "throughput": "float"},
    "BenchmarkResult": {
        "name": "string",
        "latency": "LatencyMetrics",
        "memory": "MemoryMetrics",
        "misc": "MiscMetrics",
    },
}


def result_class() -> Callable[..., object]:
    """Makes protobuf's own class of the message, whose bytes are the reference."""
    kinds = descriptor_pb2.FieldDescriptorProto
    scalars = {"float": kinds.TYPE_FLOAT, "int64": kinds.TYPE_INT64, "int32": kinds.TYPE_INT32}
    scalars["string"] = kinds.TYPE_STRING
    file = descriptor_pb2.FileDescriptorProto(name="result.proto", package="t", syntax="proto2")
    for message, fields in MESSAGES.items():
        described = file.message_type.add(name=message)
        for number, (name, kind) in enumerate(fields.items(), 1):
            field = described.field.add(name=name, number=number, label=kinds.LABEL_OPTIONAL)
            field.type = scalars.get(kind, kinds.TYPE_MESSAGE)
            if kind not in scalars:
                field.type_name = f".t.{kind}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("t.BenchmarkResult"))


def encoded() -> bytes:
    return result_class()(
        name="a name",
        latency={
            "min_ms": 14.431,
            "median_ms": 14.542,
            "p95_ms": 14.812,
            "init_ms": 9.316,
            "first_inference_ms": 18.535,
        },
        memory={"init_footprint_kb": -4, "overall_footprint_kb": 10240, "peak_mem_mb": 12.5},
        misc={"model_size_mb": 2.55, "num_runs": 69, "num_warmup_runs": 34},
    ).SerializeToString()  # type: ignore[attr-defined]


def test_the_log_of_tflites_tool() -> None:
    found = read_log(TFLITE)
    assert (found.runs, found.warmup, found.partitions) == (69, 34, 3)
    assert (found.median_ms, found.p95_ms, found.min_ms) == (14.542, 14.812, 14.431)
    assert (found.init_ms, found.first_ms) == (9.316, 18.535)
    assert found.peak_memory_mb == 12.5 * 1.048576


def test_the_log_of_litert_s_tool() -> None:
    found = read_log(LITERT)
    assert (found.runs, found.warmup, found.partitions) == (20, 1, None)
    assert (found.median_ms, found.p95_ms, found.min_ms) == (2.05, 2.05, 2.05)
    assert (found.init_ms, found.first_ms, found.peak_memory_mb) == (31.27, 4.21, 8 * 1.048576)


def test_windows_line_ends_change_nothing() -> None:
    assert read_log(TFLITE.replace("\n", "\r\n")) == read_log(TFLITE)
    assert read_profile(PROFILE.replace("\n", "\r\n")) == read_profile(PROFILE)


@pytest.mark.parametrize(
    ("log", "told"),
    [
        ("", "it wrote nothing"),
        ("INFO: STARTING!\nERROR: Failed to load model /x\nBenchmarking failed.", "Failed to load model"),
        (TFLITE[: TFLITE.index("INFO: Inference timings")], "did not finish"),
        (TFLITE.replace(" p5=", " p6="), "did not finish"),
        ("INFO: count=3 first=1 curr=2 min=1 max=2 avg=1.5 std=0\n", "so old"),
        (TFLITE.replace("count=69", "count=0"), "no inference"),
        (TFLITE.replace("median=14542", "median=99999"), "fall"),
    ],
)
def test_logs_that_tell_nothing(log: str, told: str) -> None:
    with pytest.raises(RequestError, match=told):
        read_log(log)


def test_the_result_protobuf() -> None:
    found = read_result(encoded())
    assert (found.runs, found.warmup, found.partitions) == (69, 34, None)
    wanted = (14.542, 14.812, 14.431, 9.316, 18.535)
    assert (found.median_ms, found.p95_ms, found.min_ms, found.init_ms, found.first_ms) == pytest.approx(wanted)
    assert found.peak_memory_mb == 12.5 * 1.048576


def test_every_cut_protobuf_is_refused() -> None:
    whole = encoded()
    for size in range(len(whole)):
        with pytest.raises(RequestError):
            read_result(whole[:size])


def test_a_number_that_is_none_is_refused() -> None:
    whole = encoded()
    for wrong in (float("nan"), float("inf"), -1.0):
        damaged = whole.replace(struct.pack("<f", 14.542), struct.pack("<f", wrong))
        with pytest.raises(RequestError, match="damaged"):
            read_result(damaged)


@pytest.mark.parametrize("text", [PROFILE, OLD_PROFILE])
def test_the_operator_profile(text: str) -> None:
    assert read_profile(text) == [
        ProfiledOperator("CONV_2D", "[a;b/Conv2D\tc]:0", 0.4105, pytest.approx(0.4105), 1),
        ProfiledOperator(
            "Fully Connected (NC, F32) GEMM", "Delegate/Fully Connected (NC\t F32) GEMM:3", 0.5, pytest.approx(0.5), 2
        ),
    ]


@pytest.mark.parametrize("text", ["", "a,b", PROFILE.replace("0.4105,", "x,"), PROFILE.replace("avg_ms", "mean")])
def test_profiles_that_tell_nothing(text: str) -> None:
    with pytest.raises(RequestError):
        read_profile(text)


def only_our_error(read: Callable[..., object], content: object) -> None:
    try:
        read(content)
    except RequestError as error:
        assert "\n" not in str(error)


@settings(deadline=None, max_examples=150)
@given(st.data())
def test_damaged_texts_raise_nothing_else(data: st.DataObject) -> None:
    text = data.draw(st.sampled_from([TFLITE, LITERT, PROFILE, OLD_PROFILE]))
    start = data.draw(st.integers(0, len(text)))
    stop = data.draw(st.integers(start, len(text)))
    filling = st.text(max_size=40) | st.sampled_from(["e99", "9" * 400, ",", "-", ".", "nan", "\0", "count=", '"'])
    damaged = text[:start] + data.draw(filling) + text[stop:]
    only_our_error(read_log, damaged)
    only_our_error(read_profile, damaged)


@settings(deadline=None, max_examples=150)
@given(st.data())
def test_damaged_protobufs_raise_nothing_else(data: st.DataObject) -> None:
    whole = encoded()
    start = data.draw(st.integers(0, len(whole)))
    stop = data.draw(st.integers(start, len(whole)))
    only_our_error(read_result, whole[:start] + data.draw(st.binary(max_size=20)) + whole[stop:])
    only_our_error(read_result, data.draw(st.binary(max_size=200)))


def test_the_unit_of_memory() -> None:
    assert benchmark_model.MIB == 1024 * 1024 / 1e6
