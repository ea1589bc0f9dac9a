"""Trainings in separate processes, and the error when one of them dies."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tfkd.training.children import _meaning

UNGUARDED = """
from pathlib import Path
from tfkd.training.job import Job
from tfkd.training.workers import run_jobs
from tfkd.progress import Lines
from tfkd.recipe import Data, Recipe, Student, Teacher

print("the script")
here = Path()
recipe = Recipe(name="r", data=Data(source="folder:photos"), teachers=[Teacher(model="resnet50")])
places = {"folder": here, "checked": here, "stores": ()}
job = Job(kind="control", seed=1, recipe=recipe, student=Student(), rendering="rgb", images=64, labelled=64, **places)
run_jobs([job], 1, 1, Lines())
"""


ORPHAN = """
import multiprocessing, os, time
from tfkd.processes import begin_child

def work(messages):
    begin_child()
    messages.put(os.getpid())
    time.sleep(120)

if __name__ == "__main__":
    context = multiprocessing.get_context("spawn")
    messages = context.Queue()
    context.Process(target=work, args=(messages,)).start()
    print(messages.get(), flush=True)
    time.sleep(120)
"""


def test_a_training_ends_with_its_killed_parent(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(ORPHAN)
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        process.kill()
        process.wait()
    for _ in range(100):
        if not _is_running(child):
            return
        time.sleep(0.1)
    os.kill(child, signal.SIGKILL)
    pytest.fail("the training goes on without its parent")


def _is_running(process: int) -> bool:
    """Returns whether a process runs; an orphan for which nobody waits remains as a zombie."""
    try:
        return " Z " not in Path(f"/proc/{process}/stat").read_text().rpartition(")")[2][:4]
    except OSError:
        return False


@pytest.mark.slow
def test_a_script_without_a_guard_is_not_run_again_by_its_trainings(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(UNGUARDED)
    done = subprocess.run([sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout == "the script\n"
    assert done.stderr.splitlines()[-1].startswith("tfkd.errors.RequestError: There is no photos.")


def test_an_error_names_how_a_process_ended() -> None:
    assert "memory" in _meaning(-signal.SIGKILL)
    assert "SIGSEGV" in _meaning(-signal.SIGSEGV)
    assert "memory" not in _meaning(1)


@pytest.mark.slow
def test_trainings_need_no_shared_memory(tmp_path: Path) -> None:
    """The child's own error arrives without /dev/shm, which queues and locks need."""
    if subprocess.run(["unshare", "-Urm", "true"], capture_output=True, check=False).returncode:
        pytest.skip("needs unshare -Urm: namespaces without root")
    script = tmp_path / "script.py"
    script.write_text(UNGUARDED.replace("run_jobs([", 'if __name__ == "__main__":\n    run_jobs(['))
    without = "umount -l /dev/shm; mount -t tmpfs -o ro tmpfs /dev/shm"
    command = ["unshare", "-Urm", "bash", "-c", f'{without}; "$@"', "bash", sys.executable, str(script)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "photos" in done.stderr.splitlines()[-1]
    assert "tfkd.errors.RequestError" in done.stderr.splitlines()[-1]
