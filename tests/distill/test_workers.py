"""Trainings in processes of their own: what is said when one of them is gone."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tfkd.distill.workers import _meaning

UNGUARDED = """
from pathlib import Path
from tfkd.distill.job import Job
from tfkd.distill.workers import run_jobs
from tfkd.progress import Lines
from tfkd.recipe import Data, Recipe, Student, Teacher

here = Path()
recipe = Recipe(name="r", data=Data(source="folder:photos"), teachers=[Teacher(model="resnet50")])
run_jobs([Job("control", 1, recipe, Student(), here, here, 64, ())], 1, 1, Lines())
"""


@pytest.mark.slow
def test_a_script_without_a_guard_is_told_what_to_do(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(UNGUARDED)
    done = subprocess.run([sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "The training of control (seed 1) ended with exit code 1" in done.stderr
    assert 'if __name__ == "__main__":' in done.stderr.splitlines()[-1]


def test_the_way_a_process_ended_is_told_apart() -> None:
    assert "memory" in _meaning(-signal.SIGKILL)
    assert "SIGSEGV" in _meaning(-signal.SIGSEGV)
    assert "memory" not in _meaning(1)
