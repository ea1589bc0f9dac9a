"""Child processes of child processes."""

import os
import subprocess
import sys
from pathlib import Path

from tfkd.errors import RequestError
from tfkd.processes import FORKSERVER
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
