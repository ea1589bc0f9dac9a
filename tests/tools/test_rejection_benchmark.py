"""The benchmark of thresholds: its band, and splits of made-up predictions."""

import numpy as np
import pytest
from scipy.stats import norm

from tfkd.recipe import Reject
from tools.benchmarks.rejection import HeldOut, band, over_splits


def held_out(step: float | None = None) -> HeldOut:
    rng = np.random.default_rng(5)
    confidence = rng.uniform(0.5, 1, 900)
    confidence = np.floor(confidence / step) * step if step else confidence
    probabilities = np.stack([confidence, 1 - confidence], axis=1).astype(np.float32)
    return HeldOut((rng.uniform(size=900) > confidence).astype(int), probabilities, 399, step)


def test_the_band_is_that_of_the_mean_of_beta_binomial_draws() -> None:
    low, high = band(40, 399, 501, 10)
    spread = norm.ppf(0.995) * np.sqrt(0.1 * 0.9 / 501 * (400 + 501) / 401 / 10)
    assert (low, high) == (pytest.approx(0.1 - spread, abs=2e-3), pytest.approx(0.1 + spread, abs=2e-3))


@pytest.mark.parametrize("promise", [Reject(max_error=0.1), Reject(coverage=0.9)], ids=str)
def test_every_split_is_drawn_anew_and_the_mean_keeps_the_promise(promise: Reject) -> None:
    found = over_splits(held_out(), promise, range(1, 11))
    assert len({split["threshold"] for split in found["splits"]}) > 5
    assert found["within"] and all(split["examples"] == 501 for split in found["splits"])
    assert found["expected"] == pytest.approx(promise.max_error or promise.coverage, abs=0.0025)


def test_a_broken_promise_is_outside_of_the_band(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tfkd.verification.rejection._allowed", lambda limit, examples: int(1.3 * limit * examples))
    assert not over_splits(held_out(), Reject(max_error=0.1), range(1, 11))["within"]
