"""`tfkd store` and the trainings of a sweep, each in processes of their own: the bytes of one command."""

import os
import shlex
import signal
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests import running
from tests.data.photos import fill_tinted
from tests.pipeline.test_run import CLASSES, RECIPE
from tfkd.errors import RequestError
from tfkd.files import write_sealed
from tfkd.pipeline.cluster.nodes import this_node
from tfkd.pipeline.store_parts import part_of

RUN = "recipe.py"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with photos, the recipe, and a run on one process up to its store."""
    home = tmp_path_factory.mktemp("home")
    fill_tinted(home / "photos", dict.fromkeys(CLASSES, 40))
    (home / RUN).write_text(RECIPE.replace("views=2", "views=6"))
    finish(home, "run", RUN, "--until", "soft_labels", "--runs", "alone")
    return home


def finish(home: Path, *arguments: str) -> str:
    code, output, errors = running.run(home, *arguments)
    assert code == 0, output + errors
    return output


def fails(home: Path, *arguments: str) -> str:
    code, _, errors = running.run(home, *arguments)
    assert code == 2 and errors.count("\n") == 1, errors
    return errors


def store(home: Path, runs: str) -> Path:
    """Returns the only store of a run."""
    (folder,) = (home / runs / "tiny/soft_labels").iterdir()
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    """Returns the files of a store, without the account and the times of its stage."""
    own = {"spent.json", "stage.json", "begun.json"}
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name not in own}


@pytest.fixture
def teachers(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], str]:
    """Makes a folder of runs whose teacher is finished."""

    def make() -> str:
        runs = str(tmp_path_factory.mktemp("runs"))
        finish(home, "run", RUN, "--until", "teacher", "--runs", runs)
        return runs

    return make


@pytest.mark.slow
def test_parts_of_processes_that_are_killed_give_the_store_of_one(home: Path, teachers: Callable[[], str]) -> None:
    runs = teachers()
    for number in (1, 3):
        process = running.start(home, "store", RUN, "--part", f"{number}/3", "--runs", runs)
        while not list(Path(runs).glob("tiny/soft_labels/*/view-*.npy")) and process.is_alive():
            time.sleep(0.01)
        assert process.pid
        os.kill(process.pid, signal.SIGKILL)
        process.join()
    missing = fails(home, "store", RUN, "--join", "--runs", runs)
    assert "is not complete" in missing and "Run the commands of all parts again" in missing
    together = [running.start(home, "store", RUN, "--part", f"{number}/3", "--runs", runs) for number in (3, 2, 1)]
    for process in together:
        process.join(running.SECONDS)
        assert process.exitcode == 0
    assert "soft_labels: joined" in finish(home, "store", RUN, "--join", "--runs", runs)
    assert contents(store(home, runs)) == contents(store(home, "alone"))
    assert not (store(home, runs) / ".parts").exists()
    assert "soft_labels: reused" in finish(home, "run", RUN, "--until", "soft_labels", "--runs", runs)
    assert "soft_labels: finished" in finish(home, "store", RUN, "--part", "1/3", "--runs", runs)


@pytest.mark.slow
def test_what_does_not_fit_a_part_is_refused(home: Path, teachers: Callable[[], str]) -> None:
    assert "teacher not finished in none/tiny; run tfkd run --runs none RECIPE --until teacher first" in fails(
        home, "store", RUN, "--part", "1/2", "--runs", "none"
    )
    runs = teachers()
    assert "No part of soft_labels was begun" in fails(home, "store", RUN, "--join", "--runs", runs)
    finish(home, "store", RUN, "--part", "1/2", "--runs", runs)
    (common,) = Path(runs).glob("tiny/soft_labels/*/.parts/common.json")
    here = this_node()
    other = {"name": "n7", "processor": here.processor, "clock": 0.0, "software": {**here.software, "keras": "3.0.0"}}
    write_sealed(common, other)
    found = fails(home, "store", RUN, "--part", "2/2", "--runs", runs)
    assert f"has keras {here.software['keras']} instead of 3.0.0. Install the same there as on n7" in found
    common.unlink()
    changed = fails(home, "store", RUN, "data.augment.flip=false", "--join", "--runs", runs)
    assert "teacher not finished" in changed
    with (Path(runs) / "tiny/.lock").open() as stream:
        import fcntl

        fcntl.flock(stream, fcntl.LOCK_SH)
        for arguments in (("run", RUN), ("store", RUN, "--join"), ("clean", RUN)):
            assert "works in" in fails(home, *arguments, "--runs", runs)
        finish(home, "store", RUN, "--part", "2/2", "--runs", runs)
    finish(home, "store", RUN, "--join", "--runs", runs)


@pytest.mark.slow
def test_trainings_of_a_sweep_run_alone_and_are_compared_afterwards(home: Path, tmp_path: Path) -> None:
    axes = ["distill.views=3,6", "distill.label_weight=0,0.3"]
    finish(home, "sweep", RUN, *axes, "--runs", str(tmp_path / "together"))
    runs = str(tmp_path / "alone")
    assert "run the sweep with --list first" in fails(home, "sweep", RUN, *axes, "--runs", runs, "--training", "1/5")
    lines = finish(home, "sweep", RUN, *axes, "--runs", runs, "--list").splitlines()
    assert [line.rpartition(" ")[2] for line in lines] == [f"{number}/5" for number in range(1, 6)]
    assert "no training 1/6; run it with --list again" in fails(
        home, "sweep", RUN, *axes, "--runs", runs, "--training", "1/6"
    )
    for line in reversed(lines):
        name, *arguments = shlex.split(line)
        assert name == "tfkd"
        finish(home, *arguments)
    assert "5 trainings, 5 of them already finished" in finish(home, "sweep", RUN, *axes, "--runs", runs)
    paths = sorted(path.relative_to(runs) for path in Path(runs).glob("tiny/sweep/*/test_logits.npy"))
    assert len(paths) == 5
    for path in paths:
        one, other = np.load(Path(runs) / path), np.load(tmp_path / "together" / path)
        assert np.array_equal(one, other)
    assert not list(Path(runs).rglob("*.working"))


@pytest.mark.parametrize("wrong", ["0/3", "4/3", "3", "a/b", "1/0", "-1/3", "1/99999", "1/3/4", "²/3", ""])
def test_a_part_must_be_one_of_several(wrong: str) -> None:
    with pytest.raises(RequestError, match="is not of the form 2/8"):
        part_of(wrong)


def test_a_part_is_read() -> None:
    assert part_of("2/8") == (2, 8) and str(part_of("02/8")) == "2/8"


def test_a_store_needs_a_part_or_a_join(home_of_nothing: Path) -> None:
    for arguments in ([], ["--part", "1/2", "--join"]):
        assert "Give either --part" in fails(home_of_nothing, "store", RUN, *arguments)
    found = fails(home_of_nothing, "sweep", RUN, "distill.views=2", "--list", "--training", "1/2")
    assert "exclude each other" in found


def test_folds_are_left_to_a_run(home_of_nothing: Path) -> None:
    for arguments in (["--part", "1/2"], ["--join"]):
        found = fails(home_of_nothing, "store", RUN, "data.folds=5", *arguments)
        assert "data.folds=5 has a store for every fold, which tfkd run fills" in found


@pytest.fixture
def home_of_nothing(tmp_path: Path) -> Path:
    """A folder with a recipe alone."""
    (tmp_path / RUN).write_text(RECIPE)
    return tmp_path
