"""Runs and sweeps on a real cluster, by the command: the files of a run on one machine, whatever is killed."""

import os
import re
import signal
import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest

from tests import running
from tests.data.photos import fill_tinted
from tests.pipeline.test_run import CLASSES, RECIPE
from tfkd.pipeline.cluster.nodes import this_node

pytestmark = pytest.mark.slow

LONG = "distill.training.epochs=300"  # long enough to be killed in the middle


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with photos, the recipe, and a finished run on this machine."""
    home = tmp_path_factory.mktemp("home")
    fill_tinted(home / "photos", dict.fromkeys(CLASSES, 40))
    (home / "recipe.py").write_text(RECIPE)
    code, output, errors = running.run(home, "run", "recipe.py", LONG, "--runs", "here", "--out", "here-out")
    assert code == 0, output + errors
    return home


def files(home: Path, name: str) -> dict[str, bytes]:
    """Returns the contents of the stores, of the predictions and of the exported files of a run."""
    kept = [*(home / name).rglob("test_logits.npy"), *(home / name).rglob("view-*.npy")]
    kept += [*(home / f"{name}-out").rglob("*.tflite"), *(home / f"{name}-out").rglob("*.mlmodel")]
    found = {re.sub(rf"^{name}", "", path.relative_to(home).as_posix()): path.read_bytes() for path in kept}
    assert len(found) > 8
    return found


def start(home: Path, name: str, address: str, streams: list[Path]) -> BaseProcess:
    """Starts the run on a cluster."""
    arguments = ("run", "recipe.py", LONG, "--runs", name, "--out", f"{name}-out", "--cluster", address)
    return running.start(home, *arguments, streams=streams)


def working(home: Path, name: str, stage: str) -> list[int]:
    """Waits until a checkpoint of a stage is written, and returns the processes that work on it."""
    for _ in range(8000):
        checkpoints = list((home / name / "tiny" / stage).rglob("checkpoint.npz"))
        if checkpoints and (found := _holding(checkpoints[0].parent / ".working")):
            return found
        time.sleep(0.05)
    raise TimeoutError(f"{stage} does not begin")


def _holding(file: Path) -> list[int]:
    found = []
    for descriptor in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if descriptor.readlink() == file:
                found.append(int(descriptor.parts[2]))
        except OSError:
            continue
    return found


def test_a_run_on_a_cluster_gives_the_files_of_a_run_here(
    started: Callable[[int], Any], home: Path, tmp_path: Path
) -> None:
    streams = [tmp_path / "out", tmp_path / "err"]
    process = start(home, "there", started(2).address, streams)
    for each in working(home, "there", "student"):
        os.kill(each, signal.SIGKILL)
    process.join(running.SECONDS)
    output = streams[0].read_text()
    assert process.exitcode == 0, output + streams[1].read_text()
    assert ": 2 nodes, 4 cores" in output
    lost = rf"The training of student \(seed 1\): its worker on node {this_node().name} was lost; done again"
    assert len(re.findall(lost, output)) == 1
    assert files(home, "there") == files(home, "here")
    assert not list((home / "there").rglob(".working"))


def test_a_run_whose_head_is_lost_continues_on_another_cluster(
    started: Callable[[int], Any], home: Path, tmp_path: Path
) -> None:
    streams = [tmp_path / "out", tmp_path / "err"]
    cluster = started(1)
    process = start(home, "lost", cluster.address, streams)
    working(home, "lost", "student")
    cluster.head_node.kill_gcs_server()
    cluster.head_node.kill_raylet()
    process.join(running.SECONDS)
    errors = streams[1].read_text()
    assert process.exitcode == 4, errors
    assert "Start the cluster again and run the same command" in errors or "Start it again and run" in errors
    assert errors.count("\n") == 1
    again = start(home, "lost", started(1).address, streams)
    again.join(running.SECONDS)
    output = streams[0].read_text()
    assert again.exitcode == 0, output + streams[1].read_text()
    assert "teacher: reused" in output
    assert files(home, "lost") == files(home, "here")


def test_a_cluster_is_refused_where_there_is_none(home: Path) -> None:
    code, _, errors = running.run(home, "run", "recipe.py", "--runs", "none", "--cluster", "127.0.0.1:1")
    assert code == 2 and errors.count("\n") == 1
    assert "No Ray cluster answers at 127.0.0.1:1. Start one with ray start --head" in errors
