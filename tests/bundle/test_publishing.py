"""Publishing: a reader sees the old bundle or the new one, whole, at every moment."""

import fcntl
import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tfkd import files
from tfkd.bundle import publishing
from tfkd.bundle.publishing import claimed, opened, publish, require_writable
from tfkd.bundle.seal import same, seal
from tfkd.errors import RequestError, TfkdError
from tools.benchmarks import publishing as harness

EXCHANGING = pytest.mark.parametrize("exchanging", [True, False], ids=["exchange", "without exchange"])


def accept(folder: Path) -> None:
    """Checks nothing."""


@pytest.fixture
def new_bundle(tmp_path: Path) -> Callable[[str], Path]:
    """Makes a sealed folder with these words in it."""

    def make(words: str) -> Path:
        folder = tmp_path / "runs" / words
        folder.mkdir(parents=True)
        (folder / "labels.txt").write_text(words)
        seal(folder)
        return folder

    return make


@pytest.fixture
def destination(tmp_path: Path) -> Path:
    return tmp_path / "exported_models" / "tiny"


def system(monkeypatch: pytest.MonkeyPatch, exchanging: bool) -> None:
    if not exchanging:
        monkeypatch.setattr(files, "_renameat2", lambda: None)


def hidden(destination: Path, kind: str) -> list[Path]:
    return sorted(destination.parent.glob(f".tiny.{kind}"))


@EXCHANGING
def test_the_old_bundle_is_retired_until_a_later_publishing(
    new_bundle: Callable[[str], Path], destination: Path, monkeypatch: pytest.MonkeyPatch, exchanging: bool
) -> None:
    system(monkeypatch, exchanging)
    for words in ("one", "two", "three"):
        publish(new_bundle(words), destination, accept)
    assert (destination / "labels.txt").read_text() == "three"
    assert {(old / "labels.txt").read_text() for old in hidden(destination, "retired-*")} == {"one", "two"}
    monkeypatch.setattr(publishing, "READING", 0.0)
    time.sleep(0.01)
    publish(new_bundle("four"), destination, accept)
    assert [(old / "labels.txt").read_text() for old in hidden(destination, "retired-*")] == ["three"]
    assert hidden(destination, "*.partial") == []


@EXCHANGING
def test_a_reader_keeps_its_bundle(
    new_bundle: Callable[[str], Path], destination: Path, monkeypatch: pytest.MonkeyPatch, exchanging: bool
) -> None:
    system(monkeypatch, exchanging)
    monkeypatch.setattr(publishing, "READING", 0.0)
    publish(new_bundle("one"), destination, accept)
    with opened(destination) as here:
        for words in ("two", "three", "four"):
            publish(new_bundle(words), destination, accept)
            time.sleep(0.01)
        assert (here / "labels.txt").read_text() == "one"
        seen = subprocess.run(["cat", here / "labels.txt"], capture_output=True, text=True, check=True)
        assert seen.stdout == "one"
    publish(new_bundle("five"), destination, accept)
    assert [(old / "labels.txt").read_text() for old in hidden(destination, "retired-*")] == ["four"]


def test_the_copy_is_checked_before_it_is_published(new_bundle: Callable[[str], Path], destination: Path) -> None:
    publish(new_bundle("one"), destination, accept)
    checked = []

    def refuse(folder: Path) -> None:
        checked.append((folder / "labels.txt").read_text())
        raise TfkdError("not that one")

    with pytest.raises(TfkdError, match="not that one"):
        publish(new_bundle("two"), destination, refuse)
    assert checked == ["two"]
    assert [entry.name for entry in destination.parent.iterdir() if entry.name != ".tiny.lock"] == ["tiny"]
    assert (destination / "labels.txt").read_text() == "one"


def test_measurements_are_kept_and_do_not_change_a_bundles_identity(
    new_bundle: Callable[[str], Path], destination: Path
) -> None:
    one = new_bundle("one")
    publish(one, destination, accept)
    (destination / "measurements").mkdir()
    (destination / "measurements" / "phone.json").write_text("{}")
    assert same(one, destination)
    publish(new_bundle("two"), destination, accept)
    assert (destination / "measurements" / "phone.json").read_text() == "{}"


def test_a_copy_is_completed_before_it_is_visible(new_bundle: Callable[[str], Path], destination: Path) -> None:
    def list_measurements(copy: Path) -> None:
        seen.append((destination / "labels.txt").read_text())
        names = sorted(path.name for path in (copy / "measurements").iterdir())
        (copy / "measurements" / "index.md").write_text(" ".join(names))

    seen: list[str] = []
    publish(new_bundle("one"), destination, accept)
    (destination / "measurements").mkdir()
    (destination / "measurements" / "phone.json").write_text("{}")
    publish(new_bundle("two"), destination, accept, list_measurements)
    assert seen == ["one"]
    assert (destination / "measurements" / "index.md").read_text() == "phone.json"


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_other_folders_are_not_replaced(new_bundle: Callable[[str], Path], destination: Path, kind: str) -> None:
    destination.parent.mkdir(parents=True)
    if kind == "folder":
        (destination / "photos").mkdir(parents=True)
    else:
        destination.write_text("a thesis")
    for call in (lambda: publish(new_bundle("one"), destination, accept), lambda: require_writable(destination)):
        with pytest.raises(RequestError, match="is no bundle and would be replaced"):
            call()
    assert (destination / "photos").is_dir() or destination.read_text() == "a thesis"


def test_a_destination_that_cannot_be_written_is_found_before_the_work(tmp_path: Path, destination: Path) -> None:
    require_writable(destination)
    assert not destination.parent.exists()
    destination.parent.write_text("in the way")
    with pytest.raises(RequestError, match=r"Cannot write .*tiny: .*exported_models is no folder"):
        require_writable(destination)


def test_a_link_stays_a_link(new_bundle: Callable[[str], Path], destination: Path, tmp_path: Path) -> None:
    destination.parent.mkdir(parents=True)
    destination.symlink_to(tmp_path / "elsewhere" / "tiny")
    for words in ("one", "two"):
        publish(new_bundle(words), destination, accept)
    assert destination.is_symlink() and (tmp_path / "elsewhere" / "tiny" / "labels.txt").read_text() == "two"


def test_left_overs_of_killed_processes_are_removed_and_not_those_of_living_ones(
    new_bundle: Callable[[str], Path], destination: Path
) -> None:
    left = destination.with_name(".tiny.0123abcd.partial")
    living = destination.with_name(".tiny.4567abcd.partial")
    for folder in (left, living):
        (folder / "tiny").mkdir(parents=True)
    descriptor = os.open(living, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    publish(new_bundle("one"), destination, accept)
    assert hidden(destination, "*.partial") == [living]
    os.close(descriptor)
    publish(new_bundle("two"), destination, accept)
    assert hidden(destination, "*.partial") == []


def test_a_second_process_waits_for_the_lock_and_then_names_its_holder(
    new_bundle: Callable[[str], Path], destination: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    holder = (
        "import sys, time; from pathlib import Path; from tfkd.bundle.publishing import claimed\n"
        "with claimed(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", holder, str(destination)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "held\n"
        monkeypatch.setattr(publishing, "WAITING", 0.1)
        with pytest.raises(RequestError, match=r"Another process has been changing .*tiny"):
            publish(new_bundle("one"), destination, accept)
        process.kill()
    publish(new_bundle("two"), destination, accept)
    with claimed(destination):
        pass


def test_errors_name_a_bundle_by_the_callers_path(new_bundle: Callable[[str], Path], destination: Path) -> None:
    publish(new_bundle("one"), destination, accept)
    with pytest.raises(RequestError) as raised, opened(destination) as here:
        assert here != destination
        raise RequestError(f"{here}/labels.txt is damaged.")
    assert str(raised.value) == f"{destination}/labels.txt is damaged."


def test_the_current_folder_can_be_read_and_changed(
    new_bundle: Callable[[str], Path], destination: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(new_bundle("one"), destination, accept)
    monkeypatch.chdir(destination)
    with opened(Path()) as here, claimed(Path()):
        assert (here / "labels.txt").read_text() == "one"
    assert destination.with_name(".tiny.lock").is_file()


def test_a_missing_folder_is_left_to_the_reader(destination: Path) -> None:
    with opened(destination) as here:
        assert here == destination


@EXCHANGING
def test_concurrent_pairs_leave_no_gap_and_no_mixture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exchanging: bool
) -> None:
    system(monkeypatch, exchanging)
    found = harness.measure(tmp_path, pairs=6, polls=300, context=multiprocessing.get_context("fork"))
    assert found.published == 12 and found.polls >= 300
    assert found.mixtures == {"opened": 0, "descriptor": 0}
    assert found.gaps["opened"] == 0
    assert not exchanging or found.gaps["descriptor"] == 0
    assert found.versions > 2
