"""Successive halving: who goes on, what is recorded, and what happens when the time is short."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tfkd.files import read_sealed
from tfkd.pipeline.fitting import cost, halving
from tfkd.pipeline.fitting.candidates import Candidate
from tfkd.pipeline.fitting.cost import Speeds
from tfkd.pipeline.fitting.files import Untrained
from tfkd.pipeline.fitting.halving import Clock, Halving
from tfkd.pipeline.folders import RunFolder
from tfkd.progress import Silent
from tfkd.recipe import Data, Distill, Fit, Recipe, Student, Teacher, Training
from tfkd.training.job import StudentResult

EPOCHS, IMAGES = 18, 100


@dataclass
class School:
    """Trainings that end at once: the accuracy of a candidate is its width, and grows with the epochs."""

    done: dict[tuple[str, int], StudentResult] = field(default_factory=dict)
    trained: list[list[tuple[str, int]]] = field(default_factory=list)
    time_is_up_after: int = 1000

    def of(self, context: Any, recipe: Recipe, command: str, name: str) -> list[Any]:
        assert not recipe.distill.control and recipe.distill.repeats == 1
        return [_Training(self, name, recipe.distill.training.epochs, recipe.student.width)]

    def train(
        self, context: Any, trainings: Sequence[Any], command: str, total: int, on_finished: Callable[[], None]
    ) -> None:
        assert command == "fit"
        due = [training for training in trainings if training.result() is None]
        self.trained.append([(training.name, training.epochs) for training in due])
        for training in due:
            accuracy = training.width * (1 - 1 / (1 + training.epochs))
            self.done[training.name, training.epochs] = StudentResult(
                "student", 1, 1, accuracy, accuracy, training.epochs, float(training.epochs)
            )
            on_finished()


@dataclass(frozen=True)
class _Training:
    school: School
    name: str
    epochs: int
    width: float

    def result(self) -> StudentResult | None:
        return self.school.done.get((self.name, self.epochs))


@dataclass
class Context:
    """What halving reads of the context of a run."""

    recipe: Recipe
    folder: RunFolder
    progress: Silent = field(default_factory=Silent)


@pytest.fixture
def school(monkeypatch: pytest.MonkeyPatch) -> School:
    found = School()
    monkeypatch.setattr(halving, "trainings_of", found.of)
    monkeypatch.setattr(halving, "train", found.train)
    monkeypatch.setattr(cost, "images_in_transfer_set", lambda data: IMAGES)
    monkeypatch.setattr(cost.machine, "cores", lambda: 2)
    Context.data = None  # type: ignore[attr-defined]
    return found


def search(folder: Path, hours: float | None = None, speeds: Speeds | None = None, **fields: Any) -> Halving:
    recipe = Recipe(
        name="r",
        data=Data(source="folder:x"),
        teachers=[Teacher(model="a:b")],
        student=Student(weights="none"),
        distill=Distill(training=Training(epochs=EPOCHS, warmup_epochs=9.0), repeats=3),
    )
    context: Any = Context(recipe, RunFolder(folder))
    settings = Fit(max_ms=1, hours=hours, **fields)
    return Halving(context, settings, speeds or Speeds(0.0, 0.0), Clock(hours))


def candidates(count: int) -> list[Untrained]:
    """Candidates of rising width, and of rising cost."""
    found = []
    for number in range(1, count + 1):
        candidate = Candidate(Student(model="mobilenet_v2", width=number / 10, weights="none"), 32)
        found.append(Untrained(f"c{number}", Path(), candidate, number))
    return found


def names(files: list[Untrained]) -> list[str]:
    return [file.name for file in files]


def test_the_best_third_goes_on_to_three_times_as_many_epochs(school: School, tmp_path: Path) -> None:
    found = search(tmp_path, keep=1 / 3, rounds=2, finalists=1)
    ranked = found.ranked(candidates(9))
    assert names(ranked[:3]) == ["c9", "c8", "c7"] and len(ranked) == 9
    assert [sorted(each) for each in school.trained] == [
        [(f"c{number}", 2) for number in range(1, 10)],
        [("c7", 6), ("c8", 6), ("c9", 6)],
    ]
    assert (found.standings["c9"].epochs, found.standings["c1"].epochs, found.cut) == (6, 2, [])
    first, second = (read_sealed(tmp_path / f"fit/round-{number}.json") for number in (1, 2))
    assert first["kept"] == ["c9", "c8", "c7"] and list(second["accuracies"]) == ["c9", "c8", "c7"]
    assert second["epochs"] == 6 and second["kept"] == ["c9"]


def test_a_repeated_search_trains_nothing_and_ends_the_same(school: School, tmp_path: Path) -> None:
    first = names(search(tmp_path, finalists=1).ranked(candidates(9)))
    school.trained.clear()
    assert names(search(tmp_path, finalists=1).ranked(candidates(9)[::-1])) == first
    assert not any(school.trained)


def test_a_training_of_a_round_has_its_share_of_the_warm_up() -> None:
    recipe = Recipe(
        name="r",
        data=Data(source="folder:x"),
        teachers=[Teacher(model="a:b")],
        distill=Distill(training=Training(epochs=30, warmup_epochs=6.0), repeats=3),
    )
    short = halving.shortened(recipe, 10).distill
    assert (short.training.epochs, short.training.warmup_epochs, short.control, short.repeats) == (10, 2.0, False, 1)
    assert recipe.distill.training.epochs == 30


def test_few_candidates_need_no_round(school: School, tmp_path: Path) -> None:
    assert names(search(tmp_path, finalists=2).ranked(candidates(2))) == ["c2", "c1"]
    assert school.trained == []


def test_equal_candidates_are_ranked_by_their_cost(school: School, tmp_path: Path) -> None:
    same = [Untrained(f"s{number}", Path(), candidates(1)[0].candidate, number) for number in (3, 1, 2)]
    assert names(search(tmp_path, finalists=1, rounds=1).ranked(same))[0] == "s1"


def test_a_round_is_cut_so_that_the_final_trainings_fit_in(school: School, tmp_path: Path) -> None:
    speeds = Speeds(slope=0.0, start=0.1)  # 30 s for a round's training of 2 epochs, 1,140 s for the finals
    seconds = 3 * 30 + cost.final_seconds(search(tmp_path).context, candidates(1), speeds)
    found = search(tmp_path, hours=(seconds + 5) / 3600, speeds=speeds, finalists=1, rounds=2)
    ranked = found.ranked(candidates(9))
    assert sorted(school.trained[0]) == [(f"c{number}", 2) for number in range(4, 10)]
    assert names(ranked)[0] == "c9" and len(ranked) == 9
    assert "round 1 of 2 was cut to 6 of 9 candidates" in found.cut[0] and "within 0.185 hours" in found.cut[0]


def test_without_time_for_a_round_the_largest_are_final(school: School, tmp_path: Path) -> None:
    found = search(tmp_path, hours=0.001, speeds=Speeds(0.0, 0.1), finalists=2)
    assert names(found.ranked(candidates(5)))[:2] == ["c5", "c4"]
    assert school.trained == [] and "round 1 of 2 was left out" in found.cut[0]


def test_a_round_ends_when_its_time_is_up(school: School, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = search(tmp_path, hours=10, finalists=1, rounds=1)
    left = iter([36000.0, 1000.0, 1000.0])
    monkeypatch.setattr(Clock, "left", property(lambda clock: next(left, -1.0)))
    ranked = found.ranked(candidates(5))
    assert len(school.done) == 3 and set(names(ranked)) == {f"c{number}" for number in range(1, 6)}
    assert names(ranked)[0] == "c5" and "cut to 3 of 5" in found.cut[0]
