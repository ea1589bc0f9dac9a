"""Child processes of child processes."""

import importlib
import os
import runpy
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.traps import set_traps
from tfkd.errors import RequestError
from tfkd.processes import FORKSERVER, ReportedTime, processor_seconds, reported_seconds
from tfkd.sandbox import Sandbox

HERE = Path(__file__)


def _parent_of_a_grandchild() -> tuple[int, int]:
    """Returns the process that forked this one, and the process that forks a child of this one."""
    with Sandbox(RequestError, context=FORKSERVER) as sandbox:
        return _parent(), sandbox.call(HERE, _parent)


def _parent() -> int:
    """Returns the process that this one was forked from; `os.getppid` is another's once that has ended."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("PPid:")[1].split()[0])


def test_children_of_children_are_forked_from_the_same_server() -> None:
    with Sandbox(RequestError, context=FORKSERVER) as sandbox:
        server, same = sandbox.call(HERE, _parent_of_a_grandchild)
    assert server == same


def test_children_import_nothing_from_the_current_folder(tmp_path: Path) -> None:
    """`multiprocessing` starts its server and its tracker with `python -c`, whose import path begins with it."""
    for name in ("types", "html", "traceback", "socket"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('imported from the current folder')")
    script = tmp_path / "elsewhere" / "script.py"
    script.parent.mkdir()
    script.write_text(
        "from pathlib import Path\n"
        "from tfkd.errors import RequestError\n"
        "from tfkd.processes import FORKSERVER\n"
        "from tfkd.sandbox import Sandbox\n"
        "with Sandbox(RequestError, context=FORKSERVER) as sandbox:\n"
        "    print(sandbox.call(Path('x'), len, 'four'))\n"
    )
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"}
    done = subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.returncode) == ("4\n", 0), done.stderr


def modules_of_a_child() -> list[str]:
    """Imports two installed packages as installed code does, and a module of the user's; returns their files."""
    found = runpy.run_path("site-packages/asking.py")
    own = importlib.import_module("own_module")
    return [found["google"].protobuf.__file__, found["flatbuffers"].__file__, str(own.__file__)]


@pytest.mark.parametrize("arguments", [("script.py",), ("-c", "import runpy; runpy.run_path('script.py')")])
def test_modules_of_the_current_folder_replace_no_installed_ones_in_a_child(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    mark = set_traps(tmp_path, "google", "flatbuffers")
    (tmp_path / "own_module.py").touch()
    (tmp_path / "site-packages").mkdir()
    (tmp_path / "site-packages" / "asking.py").write_text("import google.protobuf, flatbuffers")
    (tmp_path / "script.py").write_text(
        "import sys\n"
        "path, sys.path[:] = sys.path[:], [entry for entry in sys.path if entry not in ('', sys.argv[1])]\n"
        "from pathlib import Path\n"
        "from tests.test_processes import modules_of_a_child\n"
        "from tfkd.errors import RequestError\n"
        "from tfkd.sandbox import Sandbox\n"
        "sys.path[:] = path\n"
        "with Sandbox(RequestError) as sandbox:\n"
        "    print(*sandbox.call(Path('x'), modules_of_a_child), sep='\\n')\n"
    )
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"}
    environment["PYTHONPATH"] = str(HERE.parents[1])
    command = [sys.executable, *arguments, str(tmp_path)]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    protobuf, flatbuffers, own = done.stdout.splitlines()
    assert "site-packages" in protobuf and "site-packages" in flatbuffers and own == str(tmp_path / "own_module.py")
    assert not mark.exists()


def test_the_time_that_a_child_reports_is_believed_within_what_the_cores_can_do(tmp_path: Path) -> None:
    time_of_child = ReportedTime(tmp_path / "student" / "seed-1")
    for wrong in (float("nan"), -1.0, "9", None, [1.0], 10**9):
        time_of_child.report(wrong)
    assert reported_seconds(tmp_path) == 0
    before = processor_seconds()
    time.sleep(0.05)
    time_of_child.report(1e9)
    found = reported_seconds(tmp_path / "student")
    assert 0.05 <= found < 60 and reported_seconds(tmp_path / "control") == 0
    assert processor_seconds() - before >= found
    time_of_child.report(0.01)
    assert reported_seconds(tmp_path) == found


def test_a_child_begins_without_the_times_of_its_parent(tmp_path: Path) -> None:
    time_of_child = ReportedTime(tmp_path)
    time.sleep(0.05)
    time_of_child.report(0.05)
    with Sandbox(RequestError, context=FORKSERVER) as sandbox:
        assert sandbox.call(HERE, reported_seconds, tmp_path) == 0
