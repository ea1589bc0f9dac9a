"""`tfkd.load_bundle`: a bundle as Python objects, whole and of one version."""

import multiprocessing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tfkd
from tests.tools.bundles import CLASSES, IMAGES, SIZE, write_bundle
from tfkd.bundle.publishing import publish
from tfkd.bundle.seal import seal
from tfkd.errors import RequestError
from tfkd.files import content_digest

TFLITE, PACKAGE = "android/a_fp32.tflite", "ios/a.mlpackage"


def make(folder: Path, *paths: str) -> Path:
    write_bundle(folder, *paths)
    seal(folder)
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make(tmp_path / "tiny", TFLITE, PACKAGE)


def test_a_bundle_is_read_whole(folder: Path, tmp_path: Path) -> None:
    loaded = tfkd.load_bundle(str(folder))
    assert loaded.labels == tuple(CLASSES) and loaded.manifest.name == "tiny" and loaded.measurements == ()
    assert loaded.golden.images.shape == (IMAGES, SIZE, SIZE, 3)
    assert loaded.golden.expected[TFLITE].shape == (IMAGES, len(CLASSES))
    assert loaded.content("a_fp32.tflite") == loaded.content(TFLITE) == (folder / TFLITE).read_bytes()
    assert loaded.artifact("a.mlpackage").path == PACKAGE
    saved = loaded.save("a.mlpackage", tmp_path / "app" / "models")
    assert saved == tmp_path / "app" / "models" / "a.mlpackage"
    assert content_digest(saved) == content_digest(folder / PACKAGE)
    assert loaded.save(TFLITE, tmp_path / "app").read_bytes() == loaded.files[TFLITE]


def test_it_is_shown_in_one_line(folder: Path) -> None:
    shown = repr(tfkd.load_bundle(folder))
    assert shown.startswith(f"Bundle({str(folder)!r}: tiny, 2 files, {len(CLASSES)} classes, ") and len(shown) < 400


def test_what_is_not_there_is_named(folder: Path) -> None:
    loaded = tfkd.load_bundle(folder)
    with pytest.raises(RequestError, match=r"has no file 'a_fp16.tflite'\. Did you mean 'android/a_fp32.tflite'"):
        loaded.content("a_fp16.tflite")
    with pytest.raises(RequestError, match=r"is a package of several files; write it to a folder with save"):
        loaded.content("a.mlpackage")


def spoil(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"x")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: spoil(folder / TFLITE), "a_fp32.tflite: is not the file that the manifest describes"),
        (lambda folder: (folder / TFLITE).unlink(), "android/a_fp32.tflite: is missing"),
        (lambda folder: spoil(folder / "labels.txt"), "labels.txt: does not hold the classes"),
        (lambda folder: (folder / "golden" / "000.png").unlink(), "golden/000.png: cannot be read"),
        (lambda folder: (folder / "manifest.json").unlink(), "is no bundle"),
        (lambda folder: (folder / "more").symlink_to("/etc"), "more: is a link or a device"),
    ],
)
def test_a_damaged_bundle_is_refused_in_one_line(folder: Path, damage: Any, message: str) -> None:
    damage(folder)
    with pytest.raises(RequestError) as raised:
        tfkd.load_bundle(folder)
    assert message in str(raised.value) and str(folder) in str(raised.value)
    assert "\n" not in str(raised.value) and "/proc/" not in str(raised.value)


def test_it_outlives_its_folder(folder: Path) -> None:
    loaded = tfkd.load_bundle(folder)
    content = (folder / TFLITE).read_bytes()
    folder.rename(folder.with_name("gone"))
    assert loaded.content(TFLITE) == content and np.ptp(loaded.golden.images) > 0


def accept(folder: Path) -> None:
    """Checks nothing."""


def publish_in_turn(versions: list[Path], destination: Path, stop: Any) -> None:
    while not stop.is_set():
        for version in versions:
            publish(version, destination, accept)


def test_a_bundle_is_of_one_version_while_others_are_published(tmp_path: Path) -> None:
    versions = [make(tmp_path / f"runs/{name}", f"android/{name}_fp32.tflite") for name in "ab"]
    destination = tmp_path / "exported_models" / "tiny"
    publish(versions[0], destination, accept)
    forked = multiprocessing.get_context("fork")
    stop = forked.Event()
    publisher = forked.Process(target=publish_in_turn, args=(versions, destination, stop))
    publisher.start()
    try:
        folders = set()
        while len(folders) < 2:
            for _ in range(20):
                loaded = tfkd.load_bundle(destination)
                (path,) = loaded.files
                assert (
                    [artifact.path for artifact in loaded.manifest.artifacts] == [path] == list(loaded.golden.expected)
                )
                folders.add(path)
    finally:
        stop.set()
        publisher.join()
