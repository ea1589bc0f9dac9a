"""A run's folder: locked, reused, resumed."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tfkd import files, machine
from tfkd.errors import RequestError
from tfkd.files import sha256
from tfkd.pipeline import compare, own_model, own_request, run, sweep
from tfkd.pipeline.stage import Stage, WorkResult, locked, run_together
from tfkd.progress import Lines
from tfkd.recipe import Data, Recipe, Teacher
from tfkd.training.saving import save_arrays


def counted(work: list[str], result: Any) -> Any:
    def do(stages: list[Stage]) -> list[WorkResult]:
        work.extend(stage.name for stage in stages)
        return [WorkResult(result) for _ in stages]

    return do


def test_a_finished_stage_is_reused_until_its_fingerprint_changes(tmp_path: Path) -> None:
    work: list[str] = []
    for digits in ("a", "a", "b"):
        results = run_together([Stage(tmp_path / "teacher", digits)], counted(work, {"x": [1.5]}), Lines())
        assert results == [{"x": [1.5]}]
    assert work == ["teacher", "teacher"]


@pytest.mark.parametrize("stated", [3600.0, 0.0])
def test_seconds_that_work_states_count_before_those_of_this_call(tmp_path: Path, stated: float) -> None:
    run_together([Stage(tmp_path / "s", "a")], lambda stages: [WorkResult({}, stated)], Lines())
    kept = files.read_sealed(tmp_path / "s" / "stage.json")
    assert kept is not None and (kept["seconds"] == stated if stated else 0 < kept["seconds"] < 60)


def test_only_the_unfinished_of_two_stages_is_done(tmp_path: Path) -> None:
    work: list[str] = []
    first, second = Stage(tmp_path / "control", "a"), Stage(tmp_path / "student", "a")
    run_together([first], counted(work, {}), Lines())
    run_together([first, second], counted(work, {}), Lines())
    assert work == ["control", "student"]


def test_an_interrupted_stage_keeps_its_files_and_a_changed_one_does_not(tmp_path: Path) -> None:
    def killed(stages: list[Stage]) -> list[Any]:
        (stages[0].folder / "checkpoint").write_text("half way")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_together([Stage(tmp_path / "s", "a")], killed, Lines())
    for digits, kept in (("a", True), ("b", False)):
        stage = Stage(tmp_path / "s", digits)
        stage.begin()
        assert (stage.folder / "checkpoint").exists() is kept


def test_results_of_other_settings_are_kept_and_reused(tmp_path: Path) -> None:
    work: list[str] = []
    for digits in ("a", "b", "a"):
        stage = Stage(tmp_path / "student" / digits, digits, name="student")
        assert run_together([stage], counted(work, {"x": digits}), Lines()) == [{"x": digits}]
    assert work == ["student", "student"]


def test_the_change_from_the_nearest_earlier_result_is_named(tmp_path: Path) -> None:
    def stage(**inputs: Any) -> Stage:
        digits = "".join(map(str, inputs.values()))
        return Stage(tmp_path / "student" / digits, digits, inputs, "student", name="student")

    for inputs in ({"width": 1, "seed": 1}, {"width": 2, "seed": 2}):
        run_together([stage(**inputs)], counted([], {}), Lines())
    assert stage(width=2, seed=3).outdated() == "seed changed since the student was created"
    assert stage(width=2, seed=2).outdated() == ""


def test_a_larger_result_serves_a_smaller_request(tmp_path: Path) -> None:
    work: list[str] = []
    for views in (2, 3, 2):
        run_together([Stage(tmp_path / "s", "a", growing={"views": views})], counted(work, {}), Lines())
    assert work == ["s", "s"]


DAMAGES: dict[str, Callable[[Path], object]] = {
    "byte": lambda path: path.write_bytes(b"j" + path.read_bytes()[1:]),
    "half": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "empty": lambda path: path.write_bytes(b""),
    "gone": lambda path: path.unlink(),
    "not UTF-8": lambda path: path.write_bytes(b"\xff\xfe" + path.read_bytes()),
}


def written(stages: list[Stage]) -> list[WorkResult]:
    for stage in stages:
        (stage.folder / "model").mkdir(exist_ok=True)
        for name in ("weights.bin", "model/curve.json"):
            (stage.folder / name).write_text("half a million weights")
    return [WorkResult({"x": 1}) for _ in stages]


@pytest.mark.parametrize("name", ["stage.json", "weights.bin", "model/curve.json"])
@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_files_are_recreated_and_named_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, damage: str
) -> None:
    stage = Stage(tmp_path / "s", "a")
    run_together([stage], written, Lines())
    DAMAGES[damage](tmp_path / "s" / name)
    assert stage.result() is None
    capsys.readouterr()
    work: list[str] = []
    assert run_together([stage], lambda stages: [work.append(name), *written(stages)][1:], Lines()) == [{"x": 1}]
    assert work == [name]
    lines = [line for line in capsys.readouterr().out.splitlines() if "recreated" in line]
    lost = name == "stage.json" and damage == "gone"  # then nothing says that the stage was ever finished
    assert len(lines) == (not lost) and all(line.startswith(f"s: {name} ") for line in lines)
    assert (tmp_path / "s" / "weights.bin").read_text() == "half a million weights"


def test_damage_that_keeps_size_and_time_is_found_by_the_hashes(tmp_path: Path) -> None:
    stage, path = Stage(tmp_path / "s", "a"), tmp_path / "s" / "weights.bin"
    run_together([stage], written, Lines())
    status = path.stat()
    path.write_text("half a million weightS")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    messages: list[str] = []
    stage.mend(messages.append)
    assert messages == [] and stage.result() is not None
    stage.mend(messages.append, thorough=True)
    assert messages == ["s: weights.bin damaged or missing; recreated"] and stage.result() is None


def test_a_copied_folder_is_hashed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_together([Stage(tmp_path / "s", "a")], written, Lines())
    shutil.copytree(tmp_path / "s", tmp_path / "copy" / "s", copy_function=shutil.copyfile)
    hashed: list[Path] = []
    monkeypatch.setattr(files, "sha256", lambda path: hashed.append(path) or sha256(path))
    copy = Stage(tmp_path / "copy" / "s", "a")
    copy.mend(print)
    assert len(hashed) == 2
    assert copy.result() == {"x": 1} and len(hashed) == 2


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_is_not_resumed_from(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "s" / "seed-1" / "checkpoint.npz"
    stage = Stage(tmp_path / "s", "a")
    stage.begin()
    path.parent.mkdir()
    save_arrays([np.arange(1000)], path)
    messages: list[str] = []
    stage.begin(messages.append)
    assert path.is_file() and messages == []
    DAMAGES[damage](path)
    gone = not path.exists()
    stage.begin(messages.append)
    assert not path.exists()
    assert messages == ([] if gone else ["s: seed-1/checkpoint.npz is damaged; recreated"])


def test_a_finished_stage_is_valid_on_another_machine_and_its_origin_is_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for cores in ("2", "4"):
        stage = Stage(tmp_path / "s" / "a", "a", conditions={"cores": cores, "keras": "3"}, name="s")
        run_together([stage], written, Lines())
    assert capsys.readouterr().out.splitlines()[-1] == "s: reused (created with cores 2)"


def test_a_stage_prints_the_differences_of_the_machine_that_made_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = machine.environment()
    monkeypatch.setattr(machine, "environment", lambda: {**here, "cores": "64", "keras": "3.1"})
    stage = Stage(tmp_path / "s", "a")
    run_together([stage], written, Lines())
    assert stage.other_environment() == {}
    monkeypatch.setattr(machine, "environment", lambda: here)
    assert stage.other_environment() == {"cores": "64", "keras": "3.1"}
    assert Stage(tmp_path / "s", "b").other_environment() == {}


def test_an_unfinished_stage_is_resumed_only_with_the_same_number_of_cores(tmp_path: Path) -> None:
    messages: list[str] = []

    def begun(cores: str) -> Path:
        stage = Stage(tmp_path / "s" / "a", "a", conditions={"cores": cores}, name="s")
        stage.begin(messages.append)
        return stage.folder / "half.txt"

    begun("2").write_text("two")
    begun("4").write_text("four")
    assert begun("2").read_text() == "two"
    assert begun("4").read_text() == "four"
    assert messages[0] == "s: begun with other cores; recreated, and the unfinished one is kept"
    (tmp_path / "s" / "a" / "begun.json").write_text("{")
    assert not begun("4").exists()
    assert messages[-1] == "s: begun.json is missing or damaged; recreated, and the unfinished one is kept"


def test_a_second_process_is_refused_and_the_lock_ends_with_its_holder(tmp_path: Path) -> None:
    holder = (
        "import sys, time; from pathlib import Path; from tfkd.pipeline.stage import locked\n"
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
    arguments = {"name": "busy", "model": "m.keras", "labels": str(tmp_path / "labels.txt"), "data": "folder:nowhere"}
    request = own_request.request({**arguments, "normalization": "none", "allow_code": False}, {}, [])
    places = (Lines(), tmp_path, tmp_path / "bundles")
    commands = {
        "run": lambda: run.run(recipe, *places),
        "compare": lambda: compare.compare(recipe, *places),
        "sweep": lambda: sweep.sweep({"only": recipe}, *places[:2]),
        "export": lambda: own_model.publish_own(request, *places),
    }
    with locked(tmp_path / "busy"), pytest.raises(RequestError, match="Another run"):
        commands[command]()
