"""Files are written whole or not at all."""

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tfkd.errors import RequestError
from tfkd.files import (
    append_hash,
    cannot_write,
    content_digest,
    content_size,
    described,
    exchanged,
    fingerprint,
    has_own_hash,
    is_as_described,
    read_regular,
    read_sealed,
    remove_partial,
    replacing,
    require_different,
    require_outside,
    require_writable,
    resolved,
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


def test_of_a_regular_file_so_much_is_read_and_one_byte_more(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(b"0123456789")
    (tmp_path / "link").symlink_to(path)
    assert read_regular(path, 10) == read_regular(tmp_path / "link", 20) == b"0123456789"
    assert read_regular(path, 4) == b"01234"


def test_neither_pipes_nor_devices_nor_folders_are_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")  # nobody writes to it: opening it would wait for ever
    (tmp_path / "link").symlink_to("pipe")
    (tmp_path / "loop").symlink_to("loop")
    for path, message in {
        tmp_path / "pipe": "is a pipe or device; name a regular file",
        tmp_path / "link": "is a pipe or device",
        Path("/dev/zero"): "is a pipe or device",
        tmp_path: "is a folder; name a regular file",
        tmp_path / "gone": "cannot be read: No such file",
        tmp_path / "loop": "cannot be read: Too many levels of symbolic links",
    }.items():
        with pytest.raises(RequestError, match=message) as error:
            read_regular(path, 10)
        assert str(error.value).startswith(f"{path} ")


def test_two_files_to_write_are_different(tmp_path: Path) -> None:
    one, other = tmp_path / "a.json", tmp_path / "b.html"
    (tmp_path / "link").symlink_to("a.json")
    require_different(one, None, other, None)
    for same in (one, tmp_path / "x" / ".." / "a.json", tmp_path / "link"):
        with pytest.raises(RequestError, match=r"would replace .*a\.json, which is the same file\. Name another"):
            require_different(one, other, same)


def test_a_file_to_write_is_no_input_and_in_none(tmp_path: Path) -> None:
    lock, bundle = tmp_path / "a.lock", tmp_path / "bundle"
    lock.touch()
    bundle.mkdir()
    (tmp_path / "link").symlink_to("a.lock")
    require_outside(None, lock, bundle)
    require_outside(tmp_path / "a.json", lock, bundle)
    for path in (lock, tmp_path / "link"):
        with pytest.raises(RequestError, match=r"is one of the inputs, which would be replaced\. Name another"):
            require_outside(path, bundle, lock)
    with pytest.raises(RequestError, match=r"is in .*bundle, which is sealed\. Name a file outside"):
        require_outside(bundle / "new.json", lock, bundle)


def test_links_that_lead_to_themselves_are_refused(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "gone").symlink_to("target")
    assert resolved(tmp_path / "gone") == tmp_path.resolve() / "target"
    calls: list[Callable[[Path], Any]] = [resolved, require_different, lambda path: require_outside(path, tmp_path)]
    for path in (tmp_path / "loop", tmp_path / "loop" / "a.json"):
        for call in calls:
            with pytest.raises(RequestError, match=r"leads to itself by symbolic links\. Name a file"):
                call(path)


def test_a_file_that_cannot_be_written_is_refused_before_and_nothing_stays(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to("loop")
    before = sorted(tmp_path.iterdir())
    for path in (None, tmp_path / "new.json", tmp_path / "file", tmp_path / "new/deep.json"):
        require_writable(path)
    for path, message in {
        Path("/proc/x.lock"): "cannot be written: /proc: .*Name a file in a folder that can",  # root may do it by mode
        tmp_path / "pipe": "cannot be written: it is no regular file",
        Path("/dev/null"): "cannot be written: it is no regular file",
        tmp_path: "cannot be written: it is no regular file",
        tmp_path / "file" / "x.json": "cannot be written: .*file: Not a directory",
        tmp_path / "loop": "leads to itself",
    }.items():
        with pytest.raises(RequestError, match=message) as error:
            require_writable(path)
        assert "\n" not in str(error.value) and "Free some space" not in str(error.value)
    assert sorted(tmp_path.iterdir()) == before


def test_space_is_advised_where_it_is_missing(tmp_path: Path) -> None:
    for number, has in ((errno.ENOSPC, True), (errno.EDQUOT, True), (errno.EACCES, False)):
        with pytest.raises(RequestError) as error, cannot_write(tmp_path):
            raise OSError(number, os.strerror(number))
        assert ("Free some space" in str(error.value)) is has and "hoose another folder" in str(error.value)
