"""The account of a stage: every call that worked on it, with its child processes."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from tests.test_sandbox import spin
from tfkd.errors import RequestError
from tfkd.files import read_sealed
from tfkd.pipeline import kept_trainings, spending
from tfkd.pipeline.spending import Spending, begin_call, metered, spent, spent_in_this_call
from tfkd.pipeline.stage import Stage, WorkResult, run_together
from tfkd.processes import FORKSERVER, ReportedTime
from tfkd.progress import Lines
from tfkd.sandbox import Sandbox
from tfkd.training.job import StudentResult

BURN = "import time\nwhile time.process_time() < {}: pass"


def burn(seconds: float) -> None:
    """Uses the processor in a child process and waits for it."""
    subprocess.run([sys.executable, "-c", BURN.format(seconds)], check=True)


def work(stage: Stage, seconds: float, finish: bool = True) -> None:
    """Runs a stage that uses the processor in a child process; or begins it and is interrupted."""

    def works(stages: list[Stage]) -> list[WorkResult]:
        burn(seconds)
        if not finish:
            raise KeyboardInterrupt
        return [WorkResult({}) for _ in stages]

    run_together([stage], works, Lines())


def processor_seconds(folder: Path) -> float:
    found = spent(folder)
    assert found is not None
    return found.processor_seconds


@pytest.mark.parametrize("by", ["waited for", "forked"])
def test_the_time_of_child_processes_is_counted(tmp_path: Path, by: str) -> None:
    stage = Stage(tmp_path / "s", "a")

    def works(stages: list[Stage]) -> list[WorkResult]:
        if by == "waited for":
            burn(0.6)
        else:
            with Sandbox(RequestError, context=FORKSERVER) as sandbox:
                sandbox.call(Path("x"), spin, 0.6)
        return [WorkResult({}) for _ in stages]

    run_together([stage], works, Lines())
    found = spent(stage.folder)
    assert found is not None and 0.6 <= found.processor_seconds < 1.6 and found.seconds >= 0.5


def test_an_interrupted_call_and_the_one_that_continues_add_up(tmp_path: Path) -> None:
    stage = Stage(tmp_path / "s", "a")
    with pytest.raises(KeyboardInterrupt):
        work(stage, 0.4, finish=False)
    first = processor_seconds(stage.folder)
    begin_call()
    assert spent_in_this_call(stage.folder) is None
    work(stage, 0.3)
    total, now = processor_seconds(stage.folder), spent_in_this_call(stage.folder)
    assert now is not None and first >= 0.4 and now.processor_seconds >= 0.3
    assert total == pytest.approx(first + now.processor_seconds)
    begin_call()
    work(stage, 9.0)  # is reused
    assert processor_seconds(stage.folder) == total and spent_in_this_call(stage.folder) is None


KILLED = """
import sys, time
from pathlib import Path
from tfkd.pipeline import spending
from tfkd.pipeline.stage import Stage, run_together
from tfkd.progress import Lines

def works(stages):
    while True: pass

spending.INTERVAL = 0.2
run_together([Stage(Path(sys.argv[1]), "a")], works, Lines())
"""


def test_a_killed_call_is_in_the_account_up_to_its_last_entry(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    with subprocess.Popen([sys.executable, "-c", KILLED, str(folder)]) as process:
        end = time.monotonic() + 60
        while (time.monotonic() < end and (found := spent(folder)) is None) or found.processor_seconds < 0.5:
            time.sleep(0.05)
        os.kill(process.pid, signal.SIGKILL)
    killed = processor_seconds(folder)
    assert killed >= 0.5
    work(Stage(folder, "a"), 0.2)
    assert processor_seconds(folder) >= killed + 0.2


@pytest.mark.parametrize("damage", ["missing", "damaged"])
def test_a_lost_account_is_not_known_and_never_zero(tmp_path: Path, damage: str) -> None:
    stage = Stage(tmp_path / "s", "a")
    with pytest.raises(KeyboardInterrupt):
        work(stage, 0.0, finish=False)
    file = stage.folder / "spent.json"
    if damage == "missing":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes().replace(b"seconds", b"sekonds"))
    assert spent(stage.folder) is None
    work(stage, 0.2)
    assert spent(stage.folder) is None
    now = spent_in_this_call(stage.folder)
    assert now is not None and now.processor_seconds >= 0.2


def test_an_account_is_no_part_of_the_result(tmp_path: Path) -> None:
    stage = Stage(tmp_path / "s", "a")
    work(stage, 0.0)
    done = read_sealed(stage.folder / "stage.json")
    assert done is not None and not done["files"]
    (stage.folder / "spent.json").unlink()
    stage.mend(print, thorough=True)
    assert stage.result() == {} and spent(stage.folder) is None


def test_stages_that_nobody_measured_have_no_account_of_zero(tmp_path: Path) -> None:
    stage = Stage(tmp_path / "s", "a")
    stage.begin()
    stage.finish({})
    assert spent(stage.folder) is None


def test_other_settings_begin_an_account_of_their_own(tmp_path: Path) -> None:
    work(Stage(tmp_path / "s", "a"), 0.5)
    work(Stage(tmp_path / "s", "b"), 0.0)
    assert processor_seconds(tmp_path / "s") < 0.5


def opened(tmp_path: Path, *names: str) -> list[Path]:
    stages = [Stage(tmp_path / name, "a") for name in names]
    for stage in stages:
        stage.begin()
    return [stage.folder for stage in stages]


def test_stages_side_by_side_share_the_time_of_the_machine_by_their_processor_time(tmp_path: Path) -> None:
    student, control, late = opened(tmp_path, "student", "control", "late")
    start = time.perf_counter()
    with metered([student, control, late]) as meter:
        times = {folder: ReportedTime(folder / "seed-1") for folder in (student, control)}
        time.sleep(0.5)
        times[student].report(0.3)
        times[control].report(0.1)
        meter.note()
        passed = time.perf_counter() - start
        first, second, third = (spent(folder) for folder in (student, control, late))
        assert first is not None and second is not None and third == Spending()
        assert 0.5 <= first.seconds + second.seconds <= passed
        assert first.seconds == pytest.approx(3 * second.seconds)
        assert 0.3 <= first.processor_seconds < 0.5 and 0.1 <= second.processor_seconds < 0.2
        meter.finish(control)
        before = spent(control)
        times[student].report(0.4)
    assert spent(control) == before and processor_seconds(student) >= first.processor_seconds + 0.1


def test_a_stage_within_another_is_counted_once(tmp_path: Path) -> None:
    outer, inner = opened(tmp_path, "folds", "fold/1/student")
    with metered([outer]):
        burn(0.3)
        with metered([inner]):
            burn(0.6)
        burn(0.1)
    assert 0.4 <= processor_seconds(outer) < 0.8
    assert processor_seconds(inner) >= 0.6


def test_each_training_of_a_sweep_has_its_own_account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_trainings, "note_recipe", lambda *arguments: None)
    stages = [Stage(tmp_path / "sweep" / name, name) for name in ("0a", "0b", "0c")]
    trainings = [SimpleNamespace(stage=each, job=SimpleNamespace(recipe=None), result=each.result) for each in stages]

    def train(jobs: list[Any], total: int, progress: Any, finished: Any) -> None:
        for number, seconds in enumerate((0.1, 0.4)):
            time_of_training = ReportedTime(stages[number].folder)
            time.sleep(seconds)
            time_of_training.report(seconds)
            finished(number, StudentResult("student", 1, 10, 0.5, 0.5, 2, 1.0))
        raise KeyboardInterrupt

    context = SimpleNamespace(
        folder=None,
        data=None,
        progress=Lines(),
        start_tensorflow=lambda: None,
        executor=SimpleNamespace(train=train),
    )
    with pytest.raises(KeyboardInterrupt):
        kept_trainings.train(cast(Any, context), cast(Any, trainings), "sweep")
    first, second = (spent(each.folder) for each in stages[:2])
    assert first is not None and first.seconds >= 0.1 and 0.1 <= first.processor_seconds < 0.35
    assert second is not None and second.seconds >= 0.4 and 0.4 <= second.processor_seconds < 0.65
    assert [each.result() is None for each in stages] == [False, False, True]


def test_a_full_disk_or_a_removed_folder_ends_no_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (gone,) = opened(tmp_path, "gone")
    with metered([gone]):
        for file in gone.iterdir():
            file.unlink()
        gone.rmdir()
    assert not gone.exists()

    def full(path: Path, value: object) -> None:
        raise RequestError("Cannot write: no space left on device.")

    (kept,) = opened(tmp_path, "kept")
    monkeypatch.setattr(spending, "write_sealed", full)
    with metered([kept]):
        pass
    assert spent(kept) is None


def test_no_thread_is_left(tmp_path: Path) -> None:
    (folder,) = opened(tmp_path, "s")
    with metered([folder]):
        assert "account" in [thread.name for thread in threading.enumerate()]
    assert "account" not in [thread.name for thread in threading.enumerate()]


def test_calls_are_told_apart_in_the_file(tmp_path: Path) -> None:
    stage = Stage(tmp_path / "s", "a")
    for _ in range(2):
        begin_call()
        with pytest.raises(KeyboardInterrupt):
            work(stage, 0.0, finish=False)
    account = json.loads((stage.folder / "spent.json").read_text())
    text = json.dumps(account)
    assert text.count("processor_seconds") == 2


def test_a_folder_with_nothing_but_an_account_is_new(tmp_path: Path) -> None:
    """A call may be killed before it has noted its inputs."""
    spending.open_account(tmp_path / "s", is_new=True)
    said: list[str] = []
    Stage(tmp_path / "s", "s", conditions={"cores": "2"}).begin(said.append)
    assert said == [] and not list(tmp_path.glob("s~*"))
