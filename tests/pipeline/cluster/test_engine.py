"""Work on a real cluster: results, errors, and workers and nodes that are killed."""

import os
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.pipeline.cluster import works
from tests.pipeline.cluster.works import work
from tfkd.errors import MachineError, RequestError, TfkdError
from tfkd.pipeline.cluster import nodes
from tfkd.pipeline.cluster.engine import Engine, connected

pytestmark = pytest.mark.slow


class Heard:
    """What a caller hears of the work."""

    def __init__(self) -> None:
        self.steps, self.lines, self.finished = 0, list[str](), dict[int, Any]()

    def advance(self, steps: int) -> None:
        """Counts steps."""
        self.steps += steps

    def run(self, engine: Engine, *tasks: Any) -> list[Any]:
        """Does some work."""
        return engine.run(tasks, 1, self.advance, self.lines.append, self.finished.__setitem__)


@pytest.fixture
def cluster(started: Callable[[int], Any]) -> Any:
    """A cluster of two nodes."""
    return started(2)


@pytest.fixture
def engine(cluster: Any, tmp_path: Path) -> Iterator[Engine]:
    """The connection to it."""
    (tmp_path / "run").mkdir()
    with connected(cluster.address, tmp_path / "run", lambda line: None) as engine:
        yield engine


def test_results_come_in_order_with_steps_and_lines(engine: Engine, tmp_path: Path) -> None:
    heard = Heard()
    tasks = [work(works.squared, tmp_path / f"w{number}", number) for number in range(5)]
    assert heard.run(engine, *tasks) == [0, 1, 4, 9, 16]
    assert heard.steps == 50 and heard.finished == {number: number**2 for number in range(5)}
    assert sorted(heard.lines) == [f"squared {number}" for number in range(5)]
    assert not list(tmp_path.glob("w*/.working"))


def test_an_error_comes_as_it_is_and_ends_the_other_work(engine: Engine, tmp_path: Path) -> None:
    other = tmp_path / "other"
    with pytest.raises(RequestError, match=r"^no such class$"):
        Heard().run(engine, work(works.waiting, other), _after(other, tmp_path / "wrong"))
    (process,) = other.glob("pid-*")
    assert _ends(int(process.name.removeprefix("pid-")))


def _after(other: Path, folder: Path) -> Any:
    """Returns work that is refused once other work has begun."""
    return work(_refused_after, folder, other)


def _refused_after(folder: Path, other: Path, advance: Any, say: Any) -> None:
    for _ in range(6000):
        if list(other.glob("pid-*")):
            break
        time.sleep(0.1)
    works.refused(folder, advance, say)


def test_an_error_of_a_library_names_the_work(engine: Engine, tmp_path: Path) -> None:
    with pytest.raises(TfkdError, match="The work in w: ValueError: shapes differ"):
        Heard().run(engine, work(works.broken, tmp_path / "w"))


def test_a_killed_process_is_started_again(engine: Engine, tmp_path: Path) -> None:
    heard = Heard()
    assert heard.run(engine, work(works.dying, tmp_path / "w", 2)) == ["done"]
    assert heard.steps == 10
    assert [bool(re.search("worker on node .* was lost; done again", line)) for line in heard.lines] == [True, True]


def test_work_whose_processes_always_die_is_given_up(engine: Engine, tmp_path: Path) -> None:
    heard = Heard()
    with pytest.raises(MachineError, match=r"The work in w lost 4 workers, the last one on node .*: .*memory"):
        heard.run(engine, work(works.dying, tmp_path / "w", 9))
    assert len(list((tmp_path / "w").glob("mark-*"))) == 4


def test_the_work_of_a_lost_node_is_done_elsewhere(cluster: Any, engine: Engine, tmp_path: Path) -> None:
    tasks = [work(works.waiting, tmp_path / f"w{number}") for number in range(2)]

    def lose_a_node() -> None:
        for task in tasks:
            _wait_for(task.folder, 1)
        cluster.remove_node(next(iter(cluster.worker_nodes)), allow_graceful=False)
        _wait_for(tmp_path, 3, "w*/pid-*")
        for task in tasks:
            (task.folder / "go").touch()

    thread = threading.Thread(target=lose_a_node)
    thread.start()
    heard = Heard()
    assert heard.run(engine, *tasks) == ["went", "went"]
    thread.join()
    assert len(heard.lines) == 1 and "was lost; done again from its checkpoint" in heard.lines[0]


def _wait_for(folder: Path, processes: int, names: str = "pid-*") -> None:
    for _ in range(6000):
        if len(list(folder.glob(names))) >= processes:
            return
        time.sleep(0.1)
    raise TimeoutError(f"nothing works in {folder}")


def _ends(process: int) -> bool:
    for _ in range(600):
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.1)
    os.kill(process, signal.SIGKILL)
    return False


def test_nodes_with_other_code_are_refused(cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nodes, "code_digest", lambda: "another")  # of this process alone
    expected = "Nodes have other software than .* has tfkd's code .* instead of another"
    with pytest.raises(TfkdError, match=expected), connected(cluster.address, tmp_path, lambda line: None):
        pytest.fail("a node with other code was taken")
