"""The probability below which a file gives no label: chosen on the validation split, checked on the test split.

Both promises are kept by one order statistic of n validation examples, whatever the distribution of the examples, as
long as validation, test and later examples are drawn alike:

- max_error (conformal risk control, Angelopoulos et al. 2022, arXiv:2208.02814). The loss of an example is 1 where it
  gets a wrong label, which a higher threshold can only lower. k wrong labels are allowed on the validation split with
  (k + 1) / (n + 1) <= max_error; the threshold is just above the (k + 1)-th largest probability of a wrong label.
- coverage (split conformal prediction; Angelopoulos and Bates 2021, arXiv:2107.07511). The threshold is the j-th
  largest probability, with the smallest j / (n + 1) >= coverage.

The fraction of later examples beyond the r-th largest of n values follows the beta distribution (r, n + 1 - r) where
values are continuous, so that counts on m test examples follow the beta-binomial distribution. Equal probabilities, as
in int8 files, which give multiples of 1/256, are accepted or rejected together: max_error rejects all that are equal
to the (k + 1)-th, coverage accepts all that are equal to the j-th. Both make the promise conservative; nothing is drawn
at random.
"""

import math
from collections.abc import Iterator

import numpy as np

from tfkd.errors import RequestError, counted
from tfkd.recipe import Gates, Reject
from tfkd.verification.interval_rule import LostFraction, judged
from tfkd.verification.intervals import proportion
from tfkd.verification.records import AcceptedExamples, Artifact, CoveragePoint, Gate, Rejection
from tfkd.verification.truth import ALPHA, significant
from tfkd.verification.verdict import decided, file_name, not_judged, percent

VERSION = 1  # of the choice; increase it when the code chooses other thresholds
REJECT = "reject"
_ROUNDING = 1e-9
_POINTS = 50  # of a curve


def require_supported(reject: Reject | None, examples: int) -> None:
    """Refuses a promise that the validation split is too small for, before anything is trained.

    Args:
        reject: the block of the recipe; None promises nothing.
        examples: of the validation split.

    Raises:
        RequestError: no threshold can keep the promise.
    """
    if reject is None:
        return
    if not examples:
        raise RequestError(
            "export.reject needs a validation split to choose its threshold, and there is none; add one."
        )
    if reject.max_error is not None and _allowed(reject.max_error, examples) < 0:
        needed = math.ceil(1 / reject.max_error - _ROUNDING) - 1
        raise RequestError(
            f"export.reject.max_error = {reject.max_error:g} needs {counted(needed, 'validation example')}, and there "
            f"are {examples:,}; raise it to {1 / (examples + 1):.2g} or more, or add validation examples."
        )


def choose(labels: np.ndarray, probabilities: np.ndarray, reject: Reject, step: float | None) -> Rejection:
    """Returns the threshold of a file that keeps the promise, by its predictions for the validation split.

    Args:
        labels: int [n], the true classes.
        probabilities: float32 [n, classes], of the file.
        reject: the promise.
        step: between the probabilities of a quantized output, or of leaves of trees; None for floats of networks.

    Raises:
        RequestError: n is too small for the promise.
    """
    require_supported(reject, len(labels))
    if reject.max_error is not None:
        return _with_max_error(labels, probabilities, reject.max_error, step)
    assert reject.coverage is not None
    rank, confidence = _accepted(reject.coverage, len(labels)), np.sort(_confidence(probabilities))[::-1]
    threshold = 0.0 if rank > len(labels) else max(float(confidence[rank - 1]) - (step or 0) / 2, 0.0)
    found = counts(probabilities, labels, threshold)
    return Rejection(promise="coverage", limit=reject.coverage, threshold=threshold, validation=found)


def _with_max_error(labels: np.ndarray, probabilities: np.ndarray, limit: float, step: float | None) -> Rejection:
    confidence, allowed, threshold = _confidence(probabilities), _allowed(limit, len(labels)), 0.0
    of_wrong = np.sort(confidence[probabilities.argmax(axis=1) != labels])[::-1]
    if allowed < len(of_wrong):
        threshold = _above(of_wrong[allowed], step)
        if not (confidence >= threshold).any():
            reason = (
                "no validation example would get a label, because the wrong ones among them reach the largest "
                f"probability, {of_wrong[allowed]:.6g}"
            )
            found = counts(probabilities, labels, 0.0)
            return Rejection(promise="max_error", limit=limit, threshold=None, validation=found, reason=reason)
    found = counts(probabilities, labels, threshold)
    return Rejection(promise="max_error", limit=limit, threshold=threshold, validation=found)


def counts(probabilities: np.ndarray, labels: np.ndarray | None, threshold: float) -> AcceptedExamples:
    """Returns how many examples get a label.

    Args:
        probabilities: float32 [n, classes].
        labels: int [n]; None for examples of no class.
        threshold: the least probability of a label.
    """
    accepted = _confidence(probabilities) >= threshold
    wrong = None if labels is None else int((accepted & (probabilities.argmax(axis=1) != labels)).sum())
    return AcceptedExamples(examples=len(probabilities), accepted=int(accepted.sum()), wrong=wrong)


def measured(
    found: Rejection, probabilities: np.ndarray, labels: np.ndarray, outside: np.ndarray | None = None
) -> Rejection:
    """Returns a rejection with what it does on the test split, and on examples of no class.

    Args:
        found: as it was chosen.
        probabilities: float32 [n, classes], of the file on the test split.
        labels: int [n].
        outside: float32 [m, classes], of the file on examples of no class; None without any.
    """
    threshold = found.threshold or 0.0
    more = {
        "test": counts(probabilities, labels, threshold),
        "outside": None if outside is None else counts(outside, None, threshold),
        "curve": list(_curve(probabilities, labels)),
    }
    return found.model_copy(update=more)


def p_value(found: Rejection, test: AcceptedExamples) -> float:
    """Returns how probable counts on a test split are that break the promise as far or further.

    The counts are those of an app: wrong labels for max_error, labels for coverage. By the beta-binomial distribution,
    given that the threshold was chosen on exchangeable validation examples.
    """
    from scipy.stats import betabinom

    n, m = found.validation.examples, test.examples
    if found.promise == "max_error":
        rank = _allowed(found.limit, n) + 1
        return float(betabinom.sf((test.wrong or 0) - 1, m, rank, n + 1 - rank))
    rank = _accepted(found.limit, n)
    return 1.0 if rank > n else float(betabinom.cdf(test.accepted, m, rank, n + 1 - rank))


def judge_file(gates: Gates, artifact: Artifact) -> Iterator[Gate]:
    """Yields the verdicts on the labels that a file withholds; nothing without export.reject."""
    found = artifact.rejection
    if found is None or found.test is None:
        return
    yield from judge_counts(gates, file_name(artifact.path), found, found.test)
    if gates.max_outside_accepted is not None:
        yield _outside(f"max_outside_accepted/{file_name(artifact.path)}", gates.max_outside_accepted, found)


def judge_counts(gates: Gates, file: str, found: Rejection, test: AcceptedExamples) -> Iterator[Gate]:
    """Yields the verdicts that need labelled examples alone.

    Args:
        gates: the limits.
        file: the name of the file.
        found: the promise and its threshold.
        test: what the file does with it on the examples to judge.
    """
    yield _kept(f"{REJECT}/{file}", found, test)
    if gates.max_error_when_confident is not None:
        yield _when_confident(f"max_error_when_confident/{file}", gates.max_error_when_confident, found, test)


def described(found: Rejection) -> str:
    """Returns the promise and its threshold in words, without a full stop."""
    exact = 100 * found.limit
    limit = percent(found.limit) if round(exact, 1) == round(exact, 9) else f"{exact:.9g} %"
    if found.promise == "max_error":
        promised = f"at most {limit} of all examples are to get a wrong label"
    else:
        promised = f"at least {limit} of all examples are to get a label"
    if found.threshold is None:
        return f"{promised}; no threshold: {found.reason}"
    if not found.threshold:
        return f"{promised}; the promise is kept without a threshold, so that every example gets its label"
    return f"{promised}; labels are given from the probability {found.threshold:.8g} on"


def stated(found: AcceptedExamples) -> str:
    """Returns counts in words: how many examples get a label, and how many of these labels are wrong."""
    text = f"{percent(found.accepted / found.examples)} of {counted(found.examples, 'example')} get a label"
    if found.wrong is None:
        low, high = proportion(found.accepted, found.examples)
        return f"{text} (95 % interval {100 * low:.1f} to {percent(high)})"
    if not found.accepted:
        return text
    return (
        f"{text}, {percent(found.wrong / found.examples)} a wrong one ({percent(found.wrong / found.accepted)} of the "
        "labels)"
    )


def _confidence(probabilities: np.ndarray) -> np.ndarray:
    return probabilities.max(axis=1).astype(np.float32)


def _allowed(max_error: float, examples: int) -> int:
    """Returns k, how many validation examples may get a wrong label; -1 where there are too few."""
    return math.floor(max_error * (examples + 1) + _ROUNDING) - 1


def _accepted(coverage: float, examples: int) -> int:
    """Returns j, how many validation examples get a label; one more than there are for all."""
    return math.ceil(coverage * (examples + 1) - _ROUNDING)


def _above(value: np.float32, step: float | None) -> float:
    """Returns a probability above a value and not above the next one; of a quantized file between two of its steps."""
    return float(np.nextafter(value, np.float32(2))) if step is None else float(value) + step / 2


def _curve(probabilities: np.ndarray, labels: np.ndarray) -> Iterator[CoveragePoint]:
    confidence, wrong = _confidence(probabilities), probabilities.argmax(axis=1) != labels
    order = np.argsort(-confidence, kind="stable")
    places = np.unique(np.linspace(1, len(order), min(len(order), _POINTS)).round().astype(int))
    for threshold in sorted({float(confidence[order[place - 1]]) for place in places}, reverse=True):
        accepted = confidence >= threshold
        yield CoveragePoint(
            threshold=min(threshold, 1.0), accepted=int(accepted.sum()), wrong=int((accepted & wrong).sum())
        )


def _kept(name: str, found: Rejection, test: AcceptedExamples) -> Gate:
    if found.threshold is None:
        return decided(name, 0.0, ALPHA, False, described(found))
    worst = AcceptedExamples(examples=test.examples, accepted=0, wrong=0)
    if found.promise == "max_error":
        worst = AcceptedExamples(examples=test.examples, accepted=test.examples, wrong=test.examples)
    value, reason = p_value(found, test), f"{described(found)}; on the test split {stated(test)}"
    if found.threshold and not significant(p_value(found, worst)):
        return not_judged(name, f"the test split is too small to refute the promise: {reason}", value)
    return decided(name, value, ALPHA, not significant(value), reason)


def _when_confident(name: str, limit: float, found: Rejection, test: AcceptedExamples) -> Gate:
    if found.threshold is None:
        return not_judged(name, described(found))
    if not test.accepted:
        return not_judged(name, "no test example gets a label")
    wrong = test.wrong or 0
    return _at_most(name, limit, wrong, test.accepted, "wrong labels", "test examples with a label")


def _outside(name: str, limit: float, found: Rejection) -> Gate:
    if found.threshold is None:
        return not_judged(name, described(found))
    if found.outside is None:
        raise RequestError(f"A gate needs examples of no class for {name.partition('/')[2]}; set data.outside.")
    strangers = found.outside
    return _at_most(name, limit, strangers.accepted, strangers.examples, "labels", "examples of data.outside")


def _at_most(name: str, limit: float, lost: int, of: int, what: str, examples: str) -> Gate:
    low, high = proportion(lost, of)
    reason = (
        f"{what} for {percent(lost / of)} of {of:,} {examples} (95 % interval {100 * low:.1f} to {percent(high)}), "
    )
    return judged(name, LostFraction(lost, of), limit, f"{reason}{percent(limit)} is the limit", lost / of, examples)
