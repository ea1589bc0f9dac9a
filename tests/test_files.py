"""Files are written whole or not at all."""

import errno
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tfkd.errors import RequestError
from tfkd.files import (
    append_hash,
    content_digest,
    content_size,
    described,
    exchanged,
    fingerprint,
    has_own_hash,
    is_as_described,
    read_sealed,
    remove_partial,
    replacing,
    scratch,
    sha256,
    write_json,
    write_sealed,
    write_text,
)


def test_a_block_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "old")

    def fail() -> None:
        with replacing(path) as partial:
            partial.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.txt"]


def test_a_folder_is_replaced_whole(tmp_path: Path) -> None:
    target = tmp_path / "bundle"
    for content in ("one", "two"):
        with replacing(target) as partial:
            partial.mkdir()
            (partial / content).write_text(content)
    assert [entry.name for entry in target.iterdir()] == ["two"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["bundle"]


def test_files_of_killed_processes_are_removed_and_those_of_running_ones_are_not(tmp_path: Path) -> None:
    writer = (
        "import sys, time; from pathlib import Path; from tfkd.files import replacing\n"
        "with replacing(Path(sys.argv[1])) as partial:\n"
        "    partial.write_text('half'); print('begun', flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", writer, str(tmp_path / "a.txt")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "begun\n"
        write_text(tmp_path / "a.txt", "whole")
        assert len(list(tmp_path.glob(".a.txt.*.partial/a.txt"))) == 1
        process.kill()
    write_text(tmp_path / "a.txt", "whole")
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.txt"]


def test_folders_are_exchanged_in_one_step(tmp_path: Path) -> None:
    for name in ("one", "other"):
        (tmp_path / name / f"was {name}").mkdir(parents=True)
    assert exchanged(tmp_path / "one", tmp_path / "other")
    assert [path.name for path in (tmp_path / "other").iterdir()] == ["was one"]
    with pytest.raises(FileNotFoundError):
        exchanged(tmp_path / "one", tmp_path / "missing")


def test_a_full_disk_is_one_line(tmp_path: Path) -> None:
    def fill() -> None:
        with replacing(tmp_path / "a.bin"):
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(RequestError, match=r"Cannot write .*a\.bin: No space left"):
        fill()
    assert not list(tmp_path.iterdir())


def test_a_folder_that_was_copied_in_part_is_one_short_line(tmp_path: Path) -> None:
    def full(source: str, target: str) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", source, None, target)

    def copy() -> None:
        with replacing(tmp_path / "copy") as partial:
            shutil.copytree(tmp_path / "folder", partial, copy_function=full)

    (tmp_path / "folder").mkdir()
    for name in ("a", "b"):
        (tmp_path / "folder" / name).write_text(name)
    with pytest.raises(RequestError, match=r"copy: No space left on device\. Free"):
        copy()


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(RequestError, match="Cannot write"):
        write_json(tmp_path / "file" / "a.json", {})


@pytest.mark.parametrize("size", [0, 1, 5_000_000])
def test_a_file_with_its_own_hash_reveals_every_change(tmp_path: Path, size: int) -> None:
    path = tmp_path / "a"
    path.write_bytes(bytes(size))
    append_hash(path)
    whole = path.read_bytes()
    assert has_own_hash(path)
    for changed in (b"", whole[:-1], whole + b"x", b"x" + whole, b"\1" + whole[1:], whole[:-1] + b"\1"):
        path.write_bytes(changed)
        assert not has_own_hash(path)


@pytest.mark.parametrize("damage", [None, "content", "size", "gone", "no description"])
def test_a_file_is_compared_with_its_description(tmp_path: Path, damage: str | None) -> None:
    path, changed = tmp_path / "a", {"content": "two", "size": "three"}
    path.write_text("one")
    description: Any = described(path)
    if damage in changed:
        path.write_text(changed[damage])
    elif damage == "gone":
        path.unlink()
    elif damage:
        description = "one"
    assert is_as_described(path, description) is (damage is None)


def test_sealed_values_come_back_and_changed_ones_do_not(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_sealed(path, {"accuracy": 0.81, "names": ("é", None)})
    assert read_sealed(path) == {"accuracy": 0.81, "names": ["é", None]}
    text = path.read_text()
    for changed in (text.replace("0.81", "0.91"), text[:20], "", "[]", '{"value": 1}', "[" * 100_000):
        path.write_text(changed)
        assert read_sealed(path) is None
    path.write_bytes(b"\xff" + text.encode())
    assert read_sealed(path) is None


def test_fingerprints_depend_on_values_and_not_on_their_order() -> None:
    assert fingerprint({"a": 1, "b": [2, 3]}) == fingerprint({"b": [2, 3], "a": 1})
    assert fingerprint({"a": 1, "b": [2, 3]}) != fingerprint({"a": 1, "b": [3, 2]})


def test_sha256_of_known_content(tmp_path: Path) -> None:
    write_text(tmp_path / "abc", "abc")
    assert sha256(tmp_path / "abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_folders_of_killed_processes_are_removed_and_those_of_others_are_not(tmp_path: Path) -> None:
    left = tmp_path / ".a.npz.0123.partial"
    left.mkdir()
    (left / "a.npz").write_text("half")
    with scratch(tmp_path / "b.npz") as held:
        remove_partial(tmp_path)
        assert held.is_dir() and not left.exists()


def test_the_digest_of_a_folder_is_that_of_the_lines_that_sha256sum_prints(tmp_path: Path) -> None:
    for name, text in {"b": "two", "a/x.bin": "one", "a/y/z": "three"}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    command = "find * -type f | LC_ALL=C sort | xargs sha256sum | sha256sum | cut -d' ' -f1"
    printed = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=True)
    (tmp_path / "a" / ".DS_Store").write_text("left by macOS")
    assert content_digest(tmp_path) == printed.stdout.strip()
    assert content_size(tmp_path) == len("one" + "two" + "three")
    assert content_digest(tmp_path / "b") == sha256(tmp_path / "b")
