"""Results of other settings in a run's folder, and `tfkd clean`."""

from collections.abc import Collection
from pathlib import Path

import pytest

from tests.data.photos import fill
from tests.pipeline.test_run import RECIPE
from tfkd.errors import RequestError
from tfkd.pipeline.context import RunContext
from tfkd.pipeline.folders import RunFolder
from tfkd.pipeline.run import open_run
from tfkd.pipeline.stage import Stage, locked
from tfkd.pipeline.storage import StoredResult, clean, stored_results
from tfkd.progress import Lines
from tfkd.recipe import Recipe
from tfkd.recipe.files import load

OTHER = "distill.label_weight=0.9"


class Quiet(Lines):
    """Records the messages."""

    def __init__(self) -> None:
        self.messages: list[str] = []

    def say(self, text: str) -> None:
        self.messages.append(text)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    fill(tmp_path / "photos", {"a": 12, "b": 12})
    (tmp_path / "recipe.py").write_text(RECIPE)
    return tmp_path


def recipe(*overrides: str) -> Recipe:
    return load(Path("recipe.py"), list(overrides))


def run(*overrides: str) -> RunContext:
    return open_run(recipe(*overrides), RunFolder(Path("runs/tiny")), Lines())


def finish(stage: Stage, seconds: float) -> None:
    stage.begin()
    (stage.folder / "weights.bin").write_bytes(bytes(500_000))
    stage.finish({}, seconds)


@pytest.fixture
def trained(home: Path) -> None:
    """A teacher, a student of other settings, the present student, unfinished, and a training of a sweep."""
    finish(run().stages["teacher"], 60.0)
    finish(run(OTHER).stages["student"], 120.0)
    run().stages["student"].begin()
    finish(Stage(Path("runs/tiny/sweep/0123"), "0123", {"x": 1}, name="sweep: student, seed 1"), 6.0)


def names(found: Collection[StoredResult]) -> list[tuple[str, bool, bool]]:
    return [(each.name, each.finished, each.current) for each in found]


def test_results_of_other_settings_are_listed_with_cost_and_difference(trained: None) -> None:
    found = stored_results(run())
    assert names(found) == [
        ("teacher", True, True),
        ("student", False, True),
        ("student", True, False),
        ("sweep: student, seed 1", True, False),
    ]
    assert str(found[2]) == "student: 0.5 MB, cost 2.0 minutes (other distill.label_weight)"
    assert str(found[1]).endswith("unfinished")


def test_results_of_another_machine_are_listed_as_such(trained: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tfkd.machine.cores", lambda: 64)
    assert str(stored_results(run())[0]).endswith("(created with other cores)")
    assert run().stages["teacher"].result() is not None


@pytest.mark.parametrize(
    ("keep", "left"),
    [
        (("current",), ["teacher", "student"]),
        (("current", "sweep"), ["teacher", "student", "sweep: student, seed 1"]),
        (("student",), ["student", "student"]),
        (("nothing",), []),
    ],
    ids=str,
)
def test_clean_removes_other_results_after_printing_their_cost(
    trained: None, keep: tuple[str, ...], left: list[str]
) -> None:
    progress = Quiet()
    removed = clean(recipe(), progress, Path("runs"), keep)
    assert [each.name for each in stored_results(run())] == left
    assert [line for line in progress.messages if line.startswith("removing")] == [
        f"removing {each}" for each in removed
    ]
    assert len(removed) + len(left) == 4


def test_clean_refuses_unknown_names_and_a_running_run(trained: None) -> None:
    with pytest.raises(RequestError, match=r"--keep studnet.*Did you mean 'student'"):
        clean(recipe(), Lines(), Path("runs"), ("studnet",))
    with pytest.raises(RequestError, match="There is no run in elsewhere/tiny"):
        clean(recipe(), Lines(), Path("elsewhere"))
    with locked(Path("runs/tiny")), pytest.raises(RequestError, match="Another run"):
        clean(recipe(), Lines(), Path("runs"))
    assert len(stored_results(run())) == 4
