"""What a run cost, from the accounts of its stages, with folds and without."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.data.photos import fill
from tests.pipeline.test_folds import Pretending, finish, recipe
from tfkd.files import write_sealed
from tfkd.pipeline.context import RunContext
from tfkd.pipeline.costs import cost_of, spending_of
from tfkd.pipeline.folders import RunFolder
from tfkd.pipeline.run import open_run
from tfkd.pipeline.stages import teacher
from tfkd.progress import Lines
from tfkd.recipe import Cost, Data, Teacher
from tfkd.recipe.names import kind_of

PROCESSOR_SECONDS = {"teacher": 100.0, "soft_labels": 10.0, "folds": 5.0, "control": 20.0, "student": 40.0}
Made = Callable[..., RunContext]

pytestmark = pytest.mark.usefixtures("started_tensorflow")


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Made]:
    """Runs a recipe up to the student without training anything; each stage has an account of known times."""
    monkeypatch.setattr(teacher, "check_networks", lambda *arguments: None)
    photos = fill(tmp_path / "photos", {"a": 9, "b": 9})

    def make(**changes: object) -> RunContext:
        context = open_run(recipe(photos, **changes), RunFolder(tmp_path / "run"), Lines(), Pretending())
        finish(context)
        for run in (context, *context.parts()):
            for name, stage in run.stages.items():
                if stage.result() is not None:
                    times = {"seconds": 1.0, "processor_seconds": PROCESSOR_SECONDS[kind_of(name)]}
                    write_sealed(stage.folder / "spent.json", {"complete": True, "calls": {"earlier": times}})
        return context

    yield make


def without_folds(tmp_path: Path) -> dict[str, object]:
    return {"data": Data(source=f"folder:{tmp_path / 'photos'}", image_size=32), "cost": Cost(per_hour=3600.0)}


def processors(context: RunContext) -> dict[str, float | None]:
    cost = cost_of(context, 1.0, "report")
    return {each.stage: each.spent.processor_seconds if each.spent else None for each in cost.stages}


def test_one_student_is_compared_with_one_control_and_its_teacher(made: Made, tmp_path: Path) -> None:
    context = made(**without_folds(tmp_path))
    assert processors(context) == {"teacher": 100.0, "soft_labels": 10.0, "control": 20.0, "student": 40.0}
    cost = cost_of(context, 1.0, "report")
    found = cost.distillation
    assert (found.student, found.soft_labels, found.assistants, found.control) == (20.0, 10.0, 0.0, 10.0)
    assert (found.teacher, found.total, found.to_control, found.to_teacher) == (100.0, 30.0, 3.0, 0.3)
    assert cost.spent is not None and (cost.spent.seconds, cost.spent.price) == (4.0, 4.0)
    assert cost.this_call.seconds == 0 and all(each.this_call is None for each in cost.stages)
    assert cost.break_even is not None and cost.break_even.queries == 4000


def test_with_folds_the_parts_count_and_one_student_is_their_mean(made: Made) -> None:
    context = made()
    assert processors(context) == {
        "teacher": 700.0,  # that of the run, without each of three folds, without each pair of them
        "soft_labels": 40.0,
        "folds": 5.0,
        "student": 160.0,
        "control": 60.0,
    }
    found = cost_of(context, None, "report").distillation
    assert (found.student, found.soft_labels, found.control, found.teacher) == (20.0, 10.0, 10.0, 100.0)


def test_an_account_that_is_lost_is_not_known_and_neither_is_any_sum_of_it(made: Made, tmp_path: Path) -> None:
    context = made(**without_folds(tmp_path))
    (context.stages["soft_labels"].folder / "spent.json").unlink()
    cost = cost_of(context, 1.0, "report")
    assert processors(context)["soft_labels"] is None and processors(context)["student"] == 40.0
    assert cost.spent is None and cost.break_even is None
    assert cost.distillation.total is None and cost.distillation.control == 10.0
    (context.stages["teacher"].folder / "spent.json").write_text("{}")
    found = cost_of(context, 1.0, "report").distillation
    assert found.teacher is None and found.why_no_teacher == "the account of its training is not known"


def test_a_teacher_that_was_not_trained_here_has_no_cost(made: Made, tmp_path: Path) -> None:
    as_it_is = Teacher(model="tests.tiny:build_teacher", weights="none", fine_tune=None)
    found = cost_of(made(**without_folds(tmp_path), teachers=[as_it_is]), 1.0, "report").distillation
    assert found.teacher is None and found.to_teacher is None and found.to_control == 3.0
    assert found.why_no_teacher == f"{as_it_is.name} was not trained in this run"


def test_an_unfinished_stage_has_no_row(made: Made, tmp_path: Path) -> None:
    context = made(**without_folds(tmp_path))
    assert spending_of(context, "export") is None
    assert "student" not in [each.stage for each in cost_of(context, None, "student").stages]
