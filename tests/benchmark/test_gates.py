import pytest

from tests.benchmark.conftest import counted, result
from tfkd.benchmark.gates import Limits, judge, parse_fraction, unclear
from tfkd.bundle import results
from tfkd.errors import MachineError, RequestError

STEADY = [1.0 + 0.001 * (number % 7) for number in range(100)]


def timed(factor=1.0, **changes):
    return result([factor * value for value in STEADY], processes=10, **changes)


def test_a_limit_passes_at_its_value_and_fails_beyond():
    measured = result([1.0, 2.0, 3.0], peak_memory_mb=7.0)
    limits = Limits(max_median_ms=2.0, max_p90_ms=2.5, max_memory_mb=7.0)
    verdicts = {gate.name.partition("/")[0]: gate.passed for gate in judge(limits, [measured], [])}
    assert verdicts == {"max_median_ms": True, "max_p90_ms": False, "max_memory_mb": True}


def test_a_percentile_is_not_judged_by_another():
    entry = result(samples_ms=[], latency_ms=results.Latency(median=2.0, p95=4.0, min=1.0))
    assert [gate.passed for gate in judge(Limits(max_p95_ms=4.0), [entry], [])] == [True]
    assert [gate.passed for gate in judge(Limits(max_p95_ms=3.9), [entry], [])] == [False]
    with pytest.raises(RequestError, match="--max-p90-ms: host does not measure that"):
        judge(Limits(max_p90_ms=5.0), [entry], [])


def test_every_file_is_judged():
    other = result([9.0], artifact=results.File(path="android/b.tflite", sha256="0" * 64))
    verdicts = [gate.passed for gate in judge(Limits(max_median_ms=2.0), [result(), other], [])]
    assert verdicts == [True, False]


def test_instructions_have_a_limit_and_no_latency():
    assert judge(Limits(max_instructions=10), [counted(10)], [])[0].passed
    assert not judge(Limits(max_instructions=9), [counted(10)], [])[0].passed
    with pytest.raises(RequestError, match=r"--max-median-ms: arm64 does not measure that of android/a_int8\.tflite"):
        judge(Limits(max_median_ms=1.0), [counted(10)], [])


def test_nothing_measured_is_no_pass():
    with pytest.raises(MachineError, match="Nothing was measured"):
        judge(Limits(), [], [])


def test_golden_predictions_are_always_judged():
    golden = results.GoldenCheck(checked=2, max_abs_error=0.5, tolerance=0.1, top1_equal=0.5, passed=False)
    (gate,) = judge(Limits(), [result(golden=golden)], [])
    assert gate.name.startswith("golden/") and (gate.value, gate.limit, gate.passed) == (0.5, 0.1, False)


def test_a_fault_of_the_predictions_is_the_gates_reason():
    golden = results.GoldenCheck(
        checked=2, max_abs_error=0.01, tolerance=0.1, top1_equal=0.5, passed=False, fault="are all zero"
    )
    (gate,) = judge(Limits(), [result(golden=golden)], [])
    assert (gate.passed, gate.reason) == (False, "its predictions are all zero")


def test_regression_is_judged_against_the_same_file_on_the_same_device(tmp_path):
    limits = Limits(baseline=tmp_path, max_regression=0.05)
    baseline = [timed(9.0, threads=2), timed()]
    assert judge(limits, [timed(1.01)], baseline)[0].passed
    slower = judge(limits, [timed(1.1)], baseline)[0]
    assert not slower.passed and slower.value == pytest.approx(0.1)
    elsewhere = timed(device=results.Device(soc="Slow 1", os="Linux", abi="x86_64"))
    with pytest.raises(RequestError, match="on Slow 1 by host"):
        judge(limits, [elsewhere], baseline)


def test_a_change_lost_in_noise_is_an_error_and_no_pass(tmp_path):
    limits = Limits(baseline=tmp_path, max_regression=0.05)
    few = result([1.0, 1.0, 1.0])
    assert unclear(limits, [few], [few]) == [few] and unclear(Limits(), [few], []) == []
    with pytest.raises(MachineError, match="too noisy to tell 5 %") as caught:
        judge(limits, [few], [few])
    assert caught.value.exit_code == 4


def test_instructions_regress_without_noise(tmp_path):
    limits = Limits(baseline=tmp_path, max_regression=0.05)
    assert [judge(limits, [counted(total)], [counted(100)])[0].passed for total in (100, 105, 106)] == [
        True,
        True,
        False,
    ]


def test_baseline_and_its_limit_go_together(tmp_path):
    for half in ({"baseline": tmp_path}, {"max_regression": 0.05}):
        with pytest.raises(RequestError, match="give both"):
            Limits(**half)


@pytest.mark.parametrize(
    ("text", "value"), [("5%", 0.05), (" 0.5 % ", 0.005), ("0.05", 0.05), ("20%", 0.2), ("500%", 5.0), ("0.99", 0.99)]
)
def test_fractions_and_percentages_are_parsed(text, value):
    assert parse_fraction(text) == pytest.approx(value)


@pytest.mark.parametrize("text", ["", "%", "five", "0", "-5%", "nan", "inf%", "1000%"])
def test_other_texts_are_not_fractions(text):
    with pytest.raises(RequestError, match="Write a fraction"):
        parse_fraction(text)


@pytest.mark.parametrize("text", ["5", "1", "9.5"])
def test_a_number_that_would_be_hundreds_of_percent_is_refused(text):
    with pytest.raises(RequestError, match=f"{text} would be .* % of change. Write {text}%, or"):
        parse_fraction(text)
