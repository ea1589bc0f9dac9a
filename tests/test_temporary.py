"""The folder of a command's temporary files."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import os, sys, tempfile
from tfkd import temporary
temporary.kept_together()
made = tempfile.mkdtemp()
open(f"{made}/left", "w").close()
{then}
"""
TELL = "print(made, os.environ['TMPDIR'], flush=True)"


def start(folder: Path, then: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM.replace("{then}", f"{TELL}; {then}")],
        env={**os.environ, "TMPDIR": str(folder)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("then", ["pass", "sys.exit(2)", "1 / 0", "os.fork() and os.wait()"])
def test_nothing_is_left_when_python_ends(tmp_path: Path, then: str) -> None:
    output, errors = start(tmp_path, then).communicate(timeout=60)
    assert all(path.startswith(f"{tmp_path}/.tfkd-") for path in output.split())
    assert list(tmp_path.iterdir()) == [], errors


def test_multiprocessing_removes_its_folder_first(tmp_path: Path) -> None:
    _, errors = start(tmp_path, "from multiprocessing import util; util.get_temp_dir()").communicate(timeout=60)
    assert (list(tmp_path.iterdir()), errors) == ([], "")


def test_the_folder_of_a_killed_command_is_removed_and_that_of_a_running_one_is_not(tmp_path: Path) -> None:
    killed, living = start(tmp_path, "input()"), start(tmp_path, "input()")
    folders = [Path(process.stdout.readline().split()[1]) for process in (killed, living) if process.stdout]
    killed.kill()
    killed.communicate()
    assert sorted(tmp_path.iterdir()) == sorted(folders)
    start(tmp_path, "pass").communicate(timeout=60)
    assert list(tmp_path.iterdir()) == [folders[1]]
    living.communicate("\n", timeout=60)
    assert list(tmp_path.iterdir()) == []


def test_only_its_owner_may_read_it(tmp_path: Path) -> None:
    output, _ = start(tmp_path, "print(oct(os.stat(os.environ['TMPDIR']).st_mode))").communicate(timeout=60)
    assert output.endswith("700\n")


def test_a_full_disk_leaves_temporary_files_where_they_were(tmp_path: Path) -> None:
    full = "from tfkd import files\ndef full(*_): raise OSError(28, 'full')\nfiles.Path.mkdir = full\n"
    program = full + PROGRAM
    line = [sys.executable, "-c", program.replace("{then}", "print(made)")]
    done = subprocess.run(line, env={**os.environ, "TMPDIR": str(tmp_path)}, text=True, capture_output=True, check=True)
    assert Path(done.stdout.strip()).parent == tmp_path
