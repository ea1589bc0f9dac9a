"""Nodes that differ, nodes that see other folders, and folders in which lost work still runs."""

import dataclasses
import fcntl
import os
import sys
from pathlib import Path

import pytest

from tfkd import import_path
from tfkd.errors import RequestError
from tfkd.pipeline.cluster import nodes
from tfkd.pipeline.cluster.nodes import TOKEN, WORKING, Home, alone_with, code_digest, home_of, this_node


def test_a_node_with_the_same_software_is_taken() -> None:
    here = this_node()
    assert here.difference(dataclasses.replace(here, name="other", processor="another", clock=0.0)) == ""
    here.require_equal(here)


def test_a_node_with_other_software_is_refused_with_the_list() -> None:
    here = this_node()
    software = {**here.software, "keras": "3.0.0", "tfkd's code": "0123456789abcdef"}
    del software["numpy"]
    expected = (
        f"^Node other has keras 3.0.0 instead of {here.software['keras']}, numpy none instead of "
        f"{here.software['numpy']}, tfkd's code 0123456789abcdef instead of {code_digest()}. Install the same there"
    )
    with pytest.raises(RequestError, match=expected):
        here.require_equal(dataclasses.replace(here, name="other", software=software))


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a run; the current folder and the import path are put back."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path[:])
    monkeypatch.setattr(import_path, "_appended", [])
    (tmp_path / "run").mkdir()
    return tmp_path / "run"


def test_a_node_that_sees_the_run_works_in_the_folder_of_the_command(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = dataclasses.replace(home_of(Path("run")), imports=(str(tmp_path / "modules"),))
    monkeypatch.chdir("/")
    home.enter("n1")
    assert Path.cwd() == tmp_path and str(tmp_path / "modules") in sys.path


@pytest.mark.parametrize("change", ["missing", "another", "folder"])
def test_a_node_that_does_not_see_the_run_is_refused(place: Path, change: str) -> None:
    home = home_of(place)
    if change == "missing":
        (place / TOKEN).unlink()
    elif change == "another":
        home_of(place)
    else:
        home = Home(place / "nowhere", home.token, home.content, ())
    with pytest.raises(RequestError, match=f"Node n1 does not see {place}. Start in a folder that all nodes share"):
        home.enter("n1")


def test_a_folder_is_kept_from_a_second_process_until_the_first_has_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nodes, "_WAIT", 0.3)
    monkeypatch.setattr(nodes, "_BETWEEN", 0.05)
    with alone_with(tmp_path / "work" / WORKING):
        held = os.open(tmp_path / "work" / WORKING, os.O_RDONLY)
    assert not list((tmp_path / "work").iterdir())
    os.close(held)
    held = os.open(tmp_path / "work" / WORKING, os.O_CREAT | os.O_RDWR)
    fcntl.flock(held, fcntl.LOCK_EX)
    with (
        pytest.raises(RequestError, match=r"Another process holds .*/work/\.working and does this work. End it"),
        alone_with(tmp_path / "work" / WORKING),
    ):
        pytest.fail("two processes work there")
    os.close(held)
    with alone_with(tmp_path / "work" / WORKING):
        pass
