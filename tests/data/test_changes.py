"""Photos that change during a run are noticed."""

import os
from pathlib import Path

import pytest

from tests.data.photos import encoded, fill, picture
from tfkd.data import open_same, open_source
from tfkd.data.batches import example_errors, plain_batches
from tfkd.data.joined import joined
from tfkd.errors import RequestError
from tfkd.inputs.image.tensors import signature
from tfkd.pipeline.folders import RunFolder
from tfkd.pipeline.run import open_run, run_stages
from tfkd.progress import Lines
from tfkd.recipe import Data, Recipe, Student, Teacher


def test_an_overwritten_photo_is_named_and_not_trained_on(tmp_path: Path) -> None:
    root = fill(tmp_path, {"a": 6, "b": 6})
    data = open_source(Data(source=f"folder:{root}"), 1)
    path = root / data.train.name(0)
    path.write_bytes(encoded(picture(99), "JPEG"))
    with pytest.raises(RequestError, match=r"can no longer be read \(its content has changed since it was checked\)"):
        data.train.load(0)
    both = joined(data.train, data.test)
    with pytest.raises(RequestError, match="changed since"):
        both.load(0)
    assert both.load(len(data.train)).size == (24, 16)
    with pytest.raises(RequestError, match="changed since"), example_errors():
        list(plain_batches(data.train, signature(32), 4))


def test_a_photo_of_the_same_size_and_time_is_noticed_too(tmp_path: Path) -> None:
    root, kept = fill(tmp_path / "set", {"a": 6, "b": 6}), tmp_path / "kept"
    data = open_source(Data(source=f"folder:{root}"), 1, checked=kept)
    path = root / data.train.name(0)
    status, content = path.stat(), bytearray(path.read_bytes())
    content[-20] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    with pytest.raises(RequestError, match="changed since"):
        data.train.load(0)
    again = open_source(Data(source=f"folder:{root}"), 1, checked=kept)
    assert again.fingerprint != data.fingerprint
    again.train.load(0)


def test_a_touched_photo_is_the_same_photo(tmp_path: Path) -> None:
    root = fill(tmp_path, {"a": 6, "b": 6})
    data = open_source(Data(source=f"folder:{root}"), 1)
    os.utime(root / data.train.name(0), (1, 1))
    data.train.load(0)


def test_another_process_of_the_run_refuses_other_photos(tmp_path: Path) -> None:
    root = fill(tmp_path, {"a": 6, "b": 6})
    settings = Data(source=f"folder:{root}")
    first = open_source(settings, 1)
    assert open_same(settings, 1, None, first.fingerprint).fingerprint == first.fingerprint
    (root / "a" / "new.jpg").write_bytes(encoded(picture(99), "JPEG"))
    with pytest.raises(RequestError, match="have changed since this run opened them"):
        open_same(settings, 1, None, first.fingerprint)


def test_a_change_of_a_cached_photo_is_noticed(tmp_path: Path) -> None:
    root = fill(tmp_path, {"a": 6, "b": 6})
    data = open_source(Data(source=f"folder:{root}"), 1)
    data.require_unchanged()
    os.utime(root / data.train.name(1), (1, 1))
    (root / "a" / "new.jpg").write_bytes(encoded(picture(98), "JPEG"))
    data.require_unchanged()
    for split in (data.test, data.train):
        (root / split.name(0)).write_bytes(encoded(picture(99), "JPEG"))
        with pytest.raises(RequestError, match=f"{split.name(0)} can no longer be read .its content has changed"):
            data.require_unchanged()
    (root / data.train.name(0)).unlink()
    with pytest.raises(RequestError, match=f"{data.train.name(0)} can no longer be read"):
        data.require_unchanged()


def test_a_run_stops_when_a_cached_photo_changed(tmp_path: Path) -> None:
    recipe = Recipe(
        name="changing",
        data=Data(source=f"folder:{fill(tmp_path / 'set', {'a': 6, 'b': 6})}", image_size=32),
        teachers=[Teacher(model="tests.tiny:build_teacher")],
        student=Student(model="tests.tiny:build_student"),
    )
    run = open_run(recipe, RunFolder(tmp_path / "run"), Lines())
    run_stages(run, "data", tmp_path / "out")
    (tmp_path / "set" / run.data.train.name(0)).write_bytes(encoded(picture(99), "JPEG"))
    with pytest.raises(RequestError, match=f"{run.data.train.name(0)} can no longer be read"):
        run_stages(run, "data", tmp_path / "out")
