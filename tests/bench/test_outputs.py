import io
import json
import subprocess
import xml.etree.ElementTree as ET

import pytest
from rich.console import Console

from tests.bench.conftest import counted, result
from tfkd.bench import outputs, results
from tfkd.bench.subject import manifest_of
from tfkd.errors import RequestError
from tfkd.export.manifest import Gate

GATES = [
    Gate(name="max_p90_ms/a", value=3.0, limit=2.0, passed=False),
    Gate(name="golden/a", value=0, limit=1, passed=True),
]


def shown(table):
    console = Console(width=200, file=io.StringIO())
    console.print(table)
    return console.file.getvalue()


def test_the_table_shows_every_result_and_what_is_special_about_it():
    golden = results.Golden(checked=1, max_abs_error=1, tolerance=0, top1_equal=0, passed=False)
    slowing = [1 + 0.01 * number for number in range(100)]
    told = {"golden": golden, "partitions": 9, "init_ms": 5.5, "first_inference_ms": 7.7, "peak_memory_mb": 8.8}
    text = shown(outputs.table([result(**told), result(slowing, threads=4)]))
    for wanted in ("a_int8.tflite", "1.1", "differs 1", "9 partitions", "throttled", "Fast 9", "rung: x86"):
        assert wanted in text
    assert all(f"{column} " in text for column in ("p90", "p95", "init", "first", "MB"))
    assert all(f" {value} " in text for value in ("5.5", "7.7", "8.8"))
    assert "instructions" not in text, "a column without values"


def test_the_table_names_the_runtime_family_and_what_is_wrong_with_answers():
    golden = results.Golden(
        checked=1, max_abs_error=0.001, tolerance=0.01, top1_equal=1, passed=True, family="litert_kernels"
    )
    zeros = golden.model_copy(update={"passed": False, "fault": "are all zero"})
    text = shown(outputs.table([result(golden=golden), result(golden=zeros, threads=4)]))
    assert "equal 0.001 litert_kernels" in text and "wrong: are all zero" in text


def test_a_count_is_shown_as_none_but_a_count():
    text = shown(outputs.table([counted(1234567)]))
    assert "1,234,567" in text and "rung: arm64 emulated" in text and "emulated" in text.partition("1,234,567")[2]
    assert "a count, and no time" in text and "milliseconds" not in text and "median" not in text


def test_gates_table_counts_what_passed():
    text = shown(outputs.gates_table(GATES))
    assert "1 of 2 gates passed" in text and "≤ 2" in text and "failed" in text


def test_junit_counts_failures(tmp_path):
    path = tmp_path / "out" / "j.xml"
    outputs.write_junit(path, "host", [result()], GATES)
    suite = ET.parse(path).getroot().find("testsuite")
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("3", "1", "0")
    failed = [case.get("name") for case in suite if case.find("failure") is not None]
    assert failed == ["max_p90_ms/a"]


def test_junit_of_a_benchmark_that_could_not_run_is_an_error(tmp_path):
    path = tmp_path / "j.xml"
    outputs.write_junit_error(path, "ssh://pi", "cannot <reach> \x00 & \x1b[31m it")
    suite = ET.parse(path).getroot().find("testsuite")
    assert (suite.get("tests"), suite.get("errors")) == ("1", "1")
    assert "cannot <reach>" in suite.find("testcase/error").get("message")


def test_results_are_appended_to_the_manifest_and_its_checksum_is_set_right(shipped):
    before = (shipped / "SHA256SUMS").read_text().splitlines()
    outputs.record(shipped, [result()])
    outputs.record(shipped, [result(threads=2)])
    assert [entry.threads for entry in manifest_of(shipped).bench] == [1, 2]
    assert subprocess.run(["sha256sum", "-c", "--quiet", "SHA256SUMS"], cwd=shipped, check=False).returncode == 0
    after = (shipped / "SHA256SUMS").read_text().splitlines()
    assert [line for line in before if line not in after] == [line for line in before if "manifest.json" in line]


def test_a_file_that_was_changed_is_not_sealed_anew(shipped):
    (shipped / "labels.txt").write_text("changed\n")
    outputs.record(shipped, [result()])
    checked = subprocess.run(
        ["sha256sum", "-c", "--quiet", "SHA256SUMS"], cwd=shipped, capture_output=True, text=True, check=False
    )
    assert checked.returncode == 1 and "labels.txt" in checked.stdout and "manifest.json" not in checked.stdout


def test_a_folder_without_a_manifest_gets_none(tmp_path):
    with pytest.raises(RequestError, match="is no bundle"):
        outputs.record(tmp_path, [result()])
    (tmp_path / "manifest.json").write_text(json.dumps({"schema": "x"}))
    with pytest.raises(RequestError, match=r"manifest\.json: name: Field required"):
        outputs.record(tmp_path, [result()])
