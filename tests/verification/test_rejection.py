"""The probability below which a file gives no label, and the gates on it."""

from typing import Any

import numpy as np
import pytest
from scipy.stats import betabinom, kstest

from tests.verification.test_gates import OFF, make_artifact, make_measured
from tfkd.errors import RequestError
from tfkd.recipe import Gates, Reject
from tfkd.verification.gates import judge
from tfkd.verification.records import AcceptedExamples, Gate, Rejection
from tfkd.verification.rejection import choose, counts, described, measured, p_value, require_supported

FILE = "n_int8.tflite"


def drawn(rng: np.random.Generator, examples: int, step: float | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Returns labels and probabilities of two classes; an overconfident classifier that is right in 80 % of cases."""
    confidence = rng.uniform(0.5, 1, examples)
    right = rng.uniform(size=examples) < 0.6 + 0.4 * (2 * confidence - 1)
    if step:
        confidence = np.minimum(np.round(confidence / step) * step, 1 - step)
    predicted = rng.integers(0, 2, examples)
    probabilities = np.where(np.arange(2) == predicted[:, None], confidence[:, None], 1 - confidence[:, None])
    return np.where(right, predicted, 1 - predicted), probabilities.astype(np.float32)


def of(confidences: list[float], right: list[bool]) -> tuple[np.ndarray, np.ndarray]:
    probabilities = np.array([[each, 1 - each] for each in confidences], np.float32)
    return np.array([0 if each else 1 for each in right]), probabilities


@pytest.mark.parametrize("reject", [Reject(max_error=0.1), Reject(coverage=0.7)], ids=str)
def test_counts_on_test_examples_follow_the_beta_binomial_distribution(reject: Reject) -> None:
    rng, n, m, p_values = np.random.default_rng(1), 59, 40, []
    observed = []
    for _ in range(4000):
        found = choose(*drawn(rng, n), reject, None)
        labels, probabilities = drawn(rng, m)
        test = counts(probabilities, labels, found.threshold or 0.0)
        observed.append(test.wrong if reject.max_error else test.accepted)
        p_values.append(p_value(found, test))
    rank = 6 if reject.max_error else 42  # of 60 places
    expected = betabinom(m, rank, n + 1 - rank)
    assert np.mean(observed) / m == pytest.approx(reject.max_error or reject.coverage, abs=4 * expected.std() / m / 60)
    cells = np.bincount(observed, minlength=m + 1) / len(observed)
    assert np.abs(cells.cumsum() - expected.cdf(np.arange(m + 1))).max() < 1.63 / np.sqrt(4000)  # Kolmogorov, 1 %
    assert np.mean(np.array(p_values) <= 0.01) <= 0.01 + 3 * np.sqrt(0.01 / 4000)
    assert (
        kstest(p_values, "uniform", alternative="less").statistic >= 0
    )  # p-values are valid: none too small too often
    assert np.mean(np.array(p_values) <= 0.1) > 0.05


@pytest.mark.parametrize("step", [1 / 256, 1 / 8])
def test_equal_probabilities_make_the_promises_conservative(step: float) -> None:
    rng = np.random.default_rng(2)
    errors, coverages = [], []
    for _ in range(500):
        validation, (labels, probabilities) = drawn(rng, 99, step), drawn(rng, 99, step)
        error, coverage = (
            counts(probabilities, labels, choose(*validation, reject, step).threshold or 0.0)
            for reject in (Reject(max_error=0.1), Reject(coverage=0.7))
        )
        errors.append((error.wrong or 0) / 99)
        coverages.append(coverage.accepted / 99)
    assert np.mean(errors) <= 0.1 + 0.005 and np.mean(coverages) >= 0.7 - 0.01
    assert np.mean(coverages) > 0.72 if step > 0.1 else np.mean(errors) > 0.09


def test_max_error_allows_k_wrong_labels_and_rejects_all_that_are_equal_to_the_next() -> None:
    confidences = [0.9, 0.8, 0.7, 0.7, 0.6, 0.95, 0.55, 0.7, 0.65]
    right = [False, False, False, True, True, True, True, True, True]
    found = choose(*of(confidences, right), Reject(max_error=0.3), None)  # (k + 1) / 10 <= 0.3: two
    assert found.threshold == float(np.nextafter(np.float32(0.7), np.float32(1)))
    assert found.validation == AcceptedExamples(examples=9, accepted=3, wrong=2)
    fewer = choose(*of(confidences, right), Reject(max_error=0.29), None)
    assert fewer.threshold == float(np.nextafter(np.float32(0.8), np.float32(1)))
    between = choose(*of(confidences, right), Reject(max_error=0.3), 1 / 256)
    assert between.threshold == pytest.approx(0.7 + 1 / 512) and between.validation == found.validation


def test_coverage_accepts_all_that_are_equal_to_the_last() -> None:
    labels, probabilities = of([0.9, 0.8, 0.75, 0.75, 0.6], [True] * 5)
    found = choose(labels, probabilities, Reject(coverage=0.5), None)  # j / 6 >= 0.5: three
    assert found.threshold == 0.75 and found.validation.accepted == 4
    assert choose(labels, probabilities, Reject(coverage=0.5), 1 / 256).threshold == 0.75 - 1 / 512
    everything = choose(labels, probabilities, Reject(coverage=0.9), None)
    assert (everything.threshold, everything.validation.accepted) == (0.0, 5)
    assert p_value(everything, everything.validation) == 1.0


def test_few_errors_need_no_threshold() -> None:
    found = choose(*of([0.9, 0.8, 0.7], [True, False, True]), Reject(max_error=0.6), None)
    assert (found.threshold, found.validation.accepted, found.reason) == (0.0, 3, "")


def test_a_promise_that_no_threshold_keeps_fails() -> None:
    labels, probabilities = of([255 / 256] * 4 + [0.5] * 5, [False] * 2 + [True] * 7)
    found = choose(labels, probabilities, Reject(max_error=0.2), 1 / 256)
    assert (
        found.threshold is None and "the wrong ones among them reach the largest probability, 0.996094" in found.reason
    )
    gate = only(measured(found, probabilities, labels))
    assert gate.verdict == "failed" and "no validation example would get a label" in gate.reason


def test_a_promise_is_shown_with_all_its_digits() -> None:
    labels, probabilities = of([0.9] * 999, [True] * 999)
    assert "at most 0.17 % of all examples" in described(choose(labels, probabilities, Reject(max_error=0.0017), None))


@pytest.mark.parametrize(
    ("reject", "examples", "message"),
    [
        (Reject(max_error=0.01), 98, "needs 99 validation examples, and there are 98; raise it to 0.01 or more"),
        (Reject(max_error=0.03), 20, "needs 33 validation examples, and there are 20; raise it to 0.048"),
        (Reject(coverage=0.9), 0, "needs a validation split"),
    ],
    ids=str,
)
def test_a_promise_that_so_few_examples_cannot_support_is_refused(reject: Reject, examples: int, message: str) -> None:
    with pytest.raises(RequestError, match=message):
        require_supported(reject, examples)


@pytest.mark.parametrize(("max_error", "examples"), [(0.01, 99), (0.03, 33), (0.05, 19), (0.1, 9), (1 / 3, 2)])
def test_the_fewest_examples_support_a_promise(max_error: float, examples: int) -> None:
    require_supported(Reject(max_error=max_error), examples)
    with pytest.raises(RequestError):
        require_supported(Reject(max_error=max_error), examples - 1)


def test_the_curve_rises_to_all_examples() -> None:
    labels, probabilities = drawn(np.random.default_rng(3), 500)
    found = measured(
        choose(labels, probabilities, Reject(coverage=0.5), None), probabilities, labels, probabilities[:9]
    )
    accepted = [point.accepted for point in found.curve]
    assert len(accepted) == 50 and accepted == sorted(accepted) and (accepted[0], accepted[-1]) == (1, 500)
    assert found.curve[-1].wrong == int((probabilities.argmax(axis=1) != labels).sum())
    assert found.outside and (found.outside.examples, found.outside.wrong) == (9, None)


def rejection(accepted: int, wrong: int, examples: int = 1000, **changes: Any) -> Rejection:
    values: dict[str, Any] = {
        "promise": "max_error",
        "limit": 0.05,
        "threshold": 0.75,
        "validation": AcceptedExamples(examples=999, accepted=800, wrong=49),
        "test": AcceptedExamples(examples=examples, accepted=accepted, wrong=wrong),
    }
    return Rejection(**{**values, **changes})


def verdicts(found: Rejection | None, **limits: Any) -> list[Gate]:
    gates = Gates(**{**OFF.model_dump(), **limits})
    artifact = make_artifact(rejection=found)
    return [gate for gate in judge(gates, make_measured(artifact)) if not gate.reason.startswith("switched off")]


def only(found: Rejection, **limits: Any) -> Gate:
    return verdicts(found, **limits)[-1]


@pytest.mark.parametrize(
    ("accepted", "wrong", "examples", "verdict"),
    [(800, 50, 1000, "passed"), (800, 72, 1000, "passed"), (800, 76, 1000, "failed"), (1, 1, 1, "not judged")],
)
def test_a_promise_that_the_test_split_refutes_fails(accepted: int, wrong: int, examples: int, verdict: str) -> None:
    gate = only(rejection(accepted, wrong, examples))
    assert (gate.name, gate.verdict) == (f"reject/{FILE}", verdict)
    expected = betabinom.sf(wrong - 1, examples, 50, 950)
    assert gate.value == pytest.approx(expected) and bool(expected <= 0.01) is (verdict == "failed")
    assert "at most 5.0 % of all examples are to get a wrong label; labels are given from" in gate.reason


@pytest.mark.parametrize(("accepted", "verdict"), [(700, "passed"), (640, "failed"), (1000, "passed")])
def test_fewer_labels_than_promised_fail(accepted: int, verdict: str) -> None:
    gate = only(rejection(accepted, 0, promise="coverage", limit=0.7))
    assert gate.verdict == verdict and "at least 70.0 % of all examples are to get a label" in gate.reason


@pytest.mark.parametrize(
    ("accepted", "wrong", "verdict", "reason"),
    [
        (800, 16, "passed", "wrong labels for 2.0 % of 800 test examples with a label (95 % interval 1.2 to 3.2 %)"),
        (800, 80, "failed", "5.0 % is the limit"),
        (10, 0, "not judged", "test examples with a label are needed"),
        (0, 0, "not judged", "no test example gets a label"),
    ],
)
def test_errors_among_the_labels(accepted: int, wrong: int, verdict: str, reason: str) -> None:
    gate = only(rejection(accepted, wrong, promise="coverage", limit=0.001), max_error_when_confident=0.05)
    assert (gate.name, gate.verdict) == (f"max_error_when_confident/{FILE}", verdict) and reason in gate.reason
    if verdict != "not judged":
        assert (gate.value, gate.limit) == (wrong / accepted, 0.05)


@pytest.mark.parametrize(("accepted", "verdict"), [(5, "passed"), (60, "failed"), (25, "not judged")])
def test_labels_of_strangers(accepted: int, verdict: str) -> None:
    outside = AcceptedExamples(examples=200, accepted=accepted)
    gate = only(rejection(800, 40, outside=outside), max_outside_accepted=0.12)
    assert (gate.name, gate.verdict) == (f"max_outside_accepted/{FILE}", verdict)
    assert f"labels for {accepted / 2:.1f} % of 200 examples of data.outside (95 % interval" in gate.reason


def test_strangers_that_were_not_measured_are_no_pass() -> None:
    with pytest.raises(RequestError, match=r"set data\.outside"):
        verdicts(rejection(800, 40), max_outside_accepted=0.1)


def test_without_a_promise_there_is_no_gate() -> None:
    assert verdicts(None) == []
