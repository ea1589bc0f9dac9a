"""The benchmark of small sets: which photos it draws, and how it judges claims."""

import importlib
from collections import Counter
from typing import Any

import pytest

from tests.tools.benchmark import ROOT
from tools.benchmarks.auto_accuracy import FIVE, FORTY

PHOTOS = {
    (split, label): [f"clothing/{split}/{label}/{number}.jpg" for number in range(count)]
    for split, count in (("train", 60), ("validation", 5), ("test", 7))
    for label in (*FIVE, "skirt")
}


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module, which imports its neighbours as a script does."""
    monkeypatch.syspath_prepend(ROOT / "tools/benchmarks")
    return importlib.import_module("small_sets")


def test_a_draw_takes_forty_photos_per_class_and_leaves_all_others_as_the_truth(benchmark: Any) -> None:
    parts = benchmark.drawn(PHOTOS, 1)
    for label in FIVE:
        own, others = parts[f"set/{label}"], parts[f"others/{label}"]
        assert len(own) == FORTY and len(others) == 72 - FORTY
        assert Counter(own + others) == Counter(
            name for (_, each), names in PHOTOS.items() if each == label for name in names
        )
    assert len(parts) == 2 * len(FIVE) and benchmark.drawn(PHOTOS, 1) == parts != benchmark.drawn(PHOTOS, 2)


def draw(accuracy: float, interval: tuple[float, float], truth: float) -> dict[str, Any]:
    low, high = interval
    figures = {"accuracy": accuracy, "interval": interval, "accuracy_on_others": truth, "holds": low <= truth <= high}
    return figures | {"gain_interval": (0.0, 0.1)}


def test_a_split_has_its_draws_and_their_summary_in_points(benchmark: Any) -> None:
    draws = [draw(0.8, (0.6, 0.9), 0.85), draw(0.7, (0.65, 0.75), 0.8)]
    found = benchmark.splits({"plain split": draws})["plain split"]
    assert found["width"] == pytest.approx(20) and found["gain_width"] == pytest.approx(10)
    assert found["error"] == pytest.approx(7.5)
    assert (found["holding"], found["draws"]) == (1, draws)
