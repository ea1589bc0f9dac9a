import io
import xml.etree.ElementTree as ET

from rich.console import Console

from tests.benchmark.conftest import counted, result
from tfkd.benchmark import outputs
from tfkd.bundle import results
from tfkd.errors import MachineError, RequestError
from tfkd.verification.records import Gate

GATES = [
    Gate(name="max_p90_ms/a", value=3.0, limit=2.0, passed=False),
    Gate(name="golden/a", value=0, limit=1, passed=True),
]


def shown(table):
    console = Console(width=200, file=io.StringIO())
    console.print(table)
    return console.file.getvalue()


def test_the_table_shows_every_result_and_what_is_special_about_it():
    golden = results.GoldenCheck(checked=1, max_abs_error=1, tolerance=0, top1_equal=0, passed=False)
    slowing = [1 + 0.01 * number for number in range(100)]
    fields = {"golden": golden, "partitions": 9, "init_ms": 5.5, "first_inference_ms": 7.7, "peak_memory_mb": 8.8}
    text = shown(outputs.table([result(**fields), result(slowing, threads=4)]))
    for text_of_cell in ("a_int8.tflite", "1.1", "differs 1", "9 partitions", "throttled", "Fast 9", "evidence level"):
        assert text_of_cell in text
    assert all(f"{column} " in text for column in ("p90", "p95", "init", "first", "MB"))
    assert all(f" {value} " in text for value in ("5.5", "7.7", "8.8"))
    assert "instructions" not in text, "a column without values"


def test_the_table_names_the_runtime_family_and_what_is_wrong_with_predictions():
    golden = results.GoldenCheck(
        checked=1, max_abs_error=0.001, tolerance=0.01, top1_equal=1, passed=True, family="litert_kernels"
    )
    zeros = golden.model_copy(update={"passed": False, "fault": "are all zero"})
    text = shown(outputs.table([result(golden=golden), result(golden=zeros, threads=4)]))
    assert "equal 0.001 litert_kernels" in text and "wrong: are all zero" in text


def test_a_count_is_shown_as_none_but_a_count():
    text = shown(outputs.table([counted(1234567)]))
    assert "1,234,567" in text and "level: arm64 emulated" in text and "emulated" in text.partition("1,234,567")[2]
    assert "a count, and no time" in text and "milliseconds" not in text and "median" not in text


def test_gates_table_counts_what_passed():
    text = shown(outputs.gates_table(GATES))
    assert "1 of 2 gates passed" in text and "≤ 2" in text and "failed" in text


def test_junit_counts_failures(tmp_path):
    path = tmp_path / "out" / "j.xml"
    skipped = [results.Skipped(path="a", delegate="npu", reason="It is of floats.")]
    outputs.write_junit(path, "host", [result()], skipped, GATES, 12.5)
    suite = ET.parse(path).getroot().find("testsuite")
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("4", "1", "0")
    assert suite.get("skipped") == "1" and suite.get("time") == "12.500" and suite.get("timestamp")
    assert [case.find("skipped").get("message") for case in suite if case.find("skipped") is not None] == [
        "It is of floats."
    ]
    failed = [case.get("name") for case in suite if case.find("failure") is not None]
    assert failed == ["max_p90_ms/a"]


def test_junit_carries_values_and_times(tmp_path):
    outputs.write_junit(tmp_path / "j.xml", "host", [result([1.0, 2.0, 3.0]), counted(10)], [], GATES, 1.0)
    suite = ET.parse(tmp_path / "j.xml").getroot().find("testsuite")
    timed, counts, limited, _ = suite
    values = [{each.get("name"): each.get("value") for each in case.find("properties")} for case in suite]
    assert timed.get("time") == "0.006000" and values[0]["median_ms"] == "2" and values[0]["min_ms"] == "1"
    assert counts.get("time") == "0.000000" and values[1] == {"instructions": "10"}
    assert limited.get("name") == "max_p90_ms/a" and values[2] == {"value": "3", "limit": "2"}


def test_junit_of_a_benchmark_that_could_not_run_is_an_error(tmp_path):
    path = tmp_path / "j.xml"
    outputs.write_junit_error(path, "ssh://pi", RequestError("cannot <reach> \x00 & \x1b[31m it"))
    suite = ET.parse(path).getroot().find("testsuite")
    assert (suite.get("tests"), suite.get("errors")) == ("1", "1")
    assert "cannot <reach>" in suite.find("testcase/error").get("message")
    assert suite.find("testcase/error").get("type") == "error"
    outputs.write_junit_error(path, "ssh://pi", MachineError("too hot"))
    assert ET.parse(path).getroot().find("testsuite/testcase/error").get("type") == "not measured"
