"""What a fit is predicted to cost."""

from pathlib import Path
from typing import Any

import pytest

from tests.pipeline.fitting.test_halving import School, candidates, school, search  # noqa: F401
from tfkd.pipeline.fitting import cost
from tfkd.pipeline.fitting.cost import Speeds


def test_rounds_are_geometric() -> None:
    found = search(Path(), rounds=2, keep=1 / 3)
    assert cost.epochs_of(found.context.recipe, found.settings) == [2, 6]
    short = found.context.recipe.with_("distill.training.epochs=2")
    assert cost.epochs_of(short, found.settings) == [1, 1]
    assert [cost.survivors(count, found.settings) for count in (1, 2, 9, 10)] == [1, 2, 3, 3]


@pytest.mark.usefixtures("school")
def test_a_prediction_counts_every_training(tmp_path: Path) -> None:
    found: Any = search(tmp_path, rounds=2, finalists=1)
    speeds = Speeds(slope=0.01, start=0.0)
    predicted = cost.predict(found.context, found.settings, candidates(9), 18, speeds)
    finals = 3 * 2  # seeds, each with its control
    assert (predicted.measurements, predicted.trainings) == (18, 9 + 3 + finals)
    assert predicted.steps == (9 * 2 + 3 * 6 + finals * 18) * (100 // 64)
    first = (sum(10 + 2 * 100 * 0.01 * number for number in range(1, 10))) / 2
    second = (sum(10 + 6 * 100 * 0.01 * number for number in (7, 8, 9))) / 2
    final = finals * (10 + 18 * 100 * 0.01 * 9) / 2
    assert predicted.seconds == pytest.approx(first + second + final)
    assert "18 measurements, at most 18 trainings of 144 steps together" in str(predicted)


@pytest.mark.usefixtures("school")
def test_finished_trainings_replace_the_estimate(tmp_path: Path) -> None:
    found: Any = search(tmp_path)
    speeds = Speeds(slope=1.0, start=1.0)
    cost.note(speeds, found.context, "c1", epochs=2, seconds=50.0)
    assert speeds.seconds(candidates(1)[0], images=400) == 10 + 400 * 0.25


def test_speeds_are_a_line_through_the_two_ends() -> None:
    line = cost._line({100: 1.0, 300: 2.0})
    assert (line.slope, line.start) == (0.005, 0.5)
    assert (cost._line({100: 2.0, 300: 1.0}).slope, cost._line({100: 2.0}).start) == (0.0, 2.0)
