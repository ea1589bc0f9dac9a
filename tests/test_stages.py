"""A run's folder: locked, reused, resumed."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tfkd import comparison, own_model, pipeline, sweep
from tfkd.errors import RequestError
from tfkd.progress import Lines
from tfkd.recipe import Data, Recipe, Teacher
from tfkd.stages import Stage, locked, run_together


def counted(work: list[str], result: Any) -> Any:
    def do(stages: list[Stage]) -> list[Any]:
        work.extend(stage.name for stage in stages)
        return [result for _ in stages]

    return do


def test_a_finished_stage_is_reused_until_its_fingerprint_changes(tmp_path: Path) -> None:
    work: list[str] = []
    for digits in ("a", "a", "b"):
        results = run_together([Stage(tmp_path / "teacher", digits)], counted(work, {"x": [1.5]}), Lines())
        assert results == [{"x": [1.5]}]
    assert work == ["teacher", "teacher"]


def test_only_the_unfinished_of_two_stages_is_done(tmp_path: Path) -> None:
    work: list[str] = []
    first, second = Stage(tmp_path / "control", "a"), Stage(tmp_path / "student", "a")
    run_together([first], counted(work, {}), Lines())
    run_together([first, second], counted(work, {}), Lines())
    assert work == ["control", "student"]


def test_an_interrupted_stage_finds_its_files_a_changed_one_does_not(tmp_path: Path) -> None:
    def killed(stages: list[Stage]) -> list[Any]:
        (stages[0].folder / "checkpoint").write_text("half way")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_together([Stage(tmp_path / "s", "a")], killed, Lines())
    for digits, kept in (("a", True), ("b", False)):
        stage = Stage(tmp_path / "s", digits)
        stage.begin()
        assert (stage.folder / "checkpoint").exists() is kept


def test_damaged_results_are_made_again(tmp_path: Path) -> None:
    stage = Stage(tmp_path / "s", "a")
    run_together([stage], counted([], {"x": 1}), Lines())
    (stage.folder / "stage.json").write_text('{"fingerprint": "a", "res')
    work: list[str] = []
    run_together([stage], counted(work, {"x": 2}), Lines())
    assert work == ["s"]


def test_a_second_process_is_refused_and_the_lock_dies_with_its_holder(tmp_path: Path) -> None:
    holder = (
        "import sys, time; from pathlib import Path; from tfkd.stages import locked\n"
        "with locked(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", holder, str(tmp_path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        with pytest.raises(RequestError, match=f"process {process.pid}"), locked(tmp_path):
            pass
        process.kill()
        process.wait()
    with locked(tmp_path):
        pass


@pytest.mark.parametrize("command", ["run", "compare", "sweep", "export"])
def test_every_command_refuses_a_folder_in_which_another_one_works(tmp_path: Path, command: str) -> None:
    recipe = Recipe(name="busy", data=Data(source="folder:nowhere"), teachers=[Teacher(model="resnet50")])
    (tmp_path / "labels.txt").write_text("a\nb\n")
    given = {"name": "busy", "model": "m.keras", "labels": str(tmp_path / "labels.txt"), "data": "folder:nowhere"}
    asked = own_model.request({**given, "normalization": "none", "allow_code": False}, {}, [])
    places = (Lines(), tmp_path, tmp_path / "bundles")
    commands = {
        "run": lambda: pipeline.run(recipe, *places),
        "compare": lambda: comparison.compare(recipe, *places),
        "sweep": lambda: sweep.sweep({"only": recipe}, *places[:2]),
        "export": lambda: own_model.publish_own(asked, *places),
    }
    with locked(tmp_path / "busy"), pytest.raises(RequestError, match="Another run"):
        commands[command]()
