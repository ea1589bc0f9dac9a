import numpy as np
import pytest

from tfkd.export.ranges import best_range


def squared_error(values: np.ndarray, low: float, high: float, levels: int) -> float:
    """Of a uniform quantization with a level at zero, on the values themselves, not on a histogram."""
    step = (high - low) / (levels - 1)
    lowest = np.rint(low / step)
    quantized = np.clip(np.rint(values / step), lowest, lowest + levels - 1) * step
    return float(np.square(values - quantized).mean())


def counted(values: np.ndarray) -> tuple[np.ndarray, float, float]:
    low, high = min(0.0, values.min()), max(0.0, values.max())
    counts, _ = np.histogram(values, 2048, (low, high))
    return counts.astype(np.float64), low, high


@pytest.mark.parametrize("levels", [16, 256])
@pytest.mark.parametrize("kind", ["normal", "laplace", "relu", "outlier", "negative"])
def test_no_other_range_is_much_better(kind: str, levels: int) -> None:
    rng = np.random.default_rng(0)
    values = {
        "normal": rng.normal(0.3, 1, 20_000),
        "laplace": rng.laplace(0, 1, 20_000),
        "relu": np.maximum(rng.normal(0, 2, 20_000), 0),
        "outlier": np.append(rng.uniform(0, 1, 20_000), 3.0),
        "negative": -np.abs(rng.normal(0, 1, 20_000)),
    }[kind]
    counts, low, high = counted(values)
    chosen = squared_error(values, *best_range(counts, low, high, levels), levels)
    assert chosen <= squared_error(values, low, high, levels)
    tried = [
        squared_error(values, low * left, high * right, levels)
        for left in np.linspace(0.05, 1, 25)
        for right in np.linspace(0.05, 1, 25)
    ]
    assert chosen <= 1.1 * min(tried)


def test_few_levels_clip_and_many_do_not() -> None:
    values = np.random.default_rng(1).laplace(0, 1, 50_000)
    counts, low, high = counted(values)
    widths = [np.ptp(best_range(counts, low, high, levels)) for levels in (16, 256, 65_536)]
    assert widths[0] < widths[1] < widths[2]
    assert widths[2] == pytest.approx(high - low, rel=0.03)


def test_evenly_spread_values_keep_their_range() -> None:
    assert best_range(np.ones(2048), -1.0, 3.0, 256) == pytest.approx((-1.0, 3.0), abs=0.05)


@pytest.mark.parametrize("limits", [(0.0, 0.0), (-2.0, 0.0), (0.0, 5.0)])
def test_zero_stays_inside(limits: tuple[float, float]) -> None:
    low, high = best_range(np.random.default_rng(2).random(2048), *limits, 256)
    assert limits[0] <= low <= 0 <= high <= limits[1]
