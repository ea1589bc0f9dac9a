"""Child processes of child processes."""

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
