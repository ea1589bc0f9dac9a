"""`tfkd verify` on copies of a bundle that were damaged by accident or on purpose."""

import io
import os
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.bundle.changes import change_golden, change_manifest, described_anew, failures, refused
from tfkd.bundle.seal import seal
from tfkd.bundle.verification import verify
from tfkd.verification.apart import Apart

pytestmark = pytest.mark.slow


def flip(path: Path, place: int = 100) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


def pretend(path: str) -> Callable[[Path], None]:
    return lambda folder: change_manifest(folder, lambda manifest: manifest["artifacts"][0].update(path=path))


def relabel(text: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        (folder / "labels.txt").write_text(text)

    return change


def link(folder: Path) -> None:
    outside = folder.parent / "outside.txt"
    (folder / "labels.txt").rename(outside)
    (folder / "labels.txt").symlink_to(outside)


def link_to_a_folder(folder: Path) -> None:
    (folder / "more").symlink_to(folder.parent, target_is_directory=True)


def pipe(folder: Path) -> None:
    os.mkfifo(folder / "waits.forever")


@pytest.mark.parametrize(
    ("damage", "check", "message"),
    [
        (lambda folder: flip(folder / "android" / "tiny_int8.tflite"), "checksums", "tiny_int8.tflite: not as it was"),
        (lambda folder: flip(folder / "MANIFEST"), "checksums", "MANIFEST: not as it was"),
        (lambda folder: (folder / "golden" / "000.png").unlink(), "checksums", "golden/000.png: is missing"),
        (lambda folder: (folder / "more.txt").write_text("x"), "checksums", "more.txt: is not in SHA256SUMS"),
        (lambda folder: (folder / "SHA256SUMS").write_text("abc  x\n"), "checksums", "line 1: is no checksum"),
        (lambda folder: (folder / "SHA256SUMS").unlink(), "checksums", "SHA256SUMS: cannot be read: No such file"),
        (lambda folder: (folder / "SHA256SUMS").write_bytes(b"\xff\xfe"), "checksums", "is no text in UTF-8"),
        (link, "files", "labels.txt: is a link or a device"),
        (link_to_a_folder, "files", "more: is a link or a device"),
        (pipe, "files", "waits.forever: is a link or a device"),
    ],
)
def test_whatever_is_changed_is_named(
    copy: Path, apart: Apart, damage: Callable[[Path], None], check: str, message: str
) -> None:
    (copy / "MANIFEST").write_bytes(bytes(200))
    seal(copy)
    damage(copy)
    refused(verify(copy, apart=apart), check, message)


def loop(manifest: dict[str, Any]) -> None:
    manifest["recipe"]["export"] = []


@pytest.mark.parametrize(
    ("damage", "check", "message"),
    [
        (lambda folder: (folder / "manifest.json").unlink(), "manifest", "manifest.json: cannot be read"),
        (lambda folder: (folder / "manifest.json").write_text("{"), "manifest", "Invalid JSON"),
        (lambda folder: (folder / "manifest.json").write_text("[" * 10**6), "manifest", "Invalid JSON"),
        (pretend("../../outside.tflite"), "manifest", "'../../outside.tflite' is no tflite file of the bundle"),
        (pretend("/etc/passwd"), "manifest", "'/etc/passwd' is no tflite file"),
        (pretend("android/../android/tiny_fp32.tflite"), "manifest", "is no tflite file of the bundle"),
        (pretend("a\0b.tflite"), "manifest", "is no tflite file of the bundle"),
        (pretend("android/tiny_int8.tflite"), "manifest", "names no file, or one twice"),
        (
            lambda folder: change_manifest(folder, lambda manifest: manifest["artifacts"].pop()),
            "manifest",
            "ios/tiny.mlpackage: manifest.json does not know that model",
        ),
        (
            lambda folder: change_manifest(folder, lambda manifest: manifest.update(surprise=1)),
            "manifest",
            "surprise: Extra inputs are not permitted",
        ),
        (
            lambda folder: change_manifest(folder, lambda manifest: manifest.update(schema="tfkd-manifest-9")),
            "manifest",
            "has the schema 'tfkd-manifest-9'",
        ),
        (lambda folder: change_manifest(folder, loop), "manifest", "its recipe does not state name"),
        (
            lambda folder: flip(folder / "android" / "tiny_int8.tflite"),
            "android/tiny_int8.tflite",
            "is not the file that manifest",
        ),
        (relabel("cat\ndog\n"), "labels", "does not hold the classes"),
        (relabel('cat, "the best"\ndog\ngrößerer Hund\n'), "labels", "does not hold the classes"),
        (relabel("cat\r\ndog\r\ngrößerer Hund\r\n"), "labels", "labels.txt: has Windows line ends"),
        (relabel("\N{CAT FACE}\ndog\ngrößerer Hund\n"), "labels", "does not hold the classes"),
        (
            lambda folder: change_manifest(
                folder, lambda manifest: manifest["data"].update(classes=["cat", "dog", "cat"])
            ),
            "labels",
            "Two classes are named 'cat'",
        ),
        (lambda folder: (folder / "golden" / "000.png").unlink(), "golden examples", "golden/000.png: cannot be read"),
        (lambda folder: flip(folder / "golden" / "000.png", 20), "golden examples", "golden/000.png: is"),
        (
            lambda folder: Image.new("RGB", (8, 8)).save(folder / "golden" / "000.png"),
            "golden examples",
            "golden/000.png: is (8, 8) RGB, not (32, 32) RGB",
        ),
        (
            lambda folder: change_golden(folder, lambda golden: golden["images"][0].update(file="../manifest.json")),
            "golden examples",
            "images.0.file: String should match",
        ),
        (
            lambda folder: change_golden(folder, lambda golden: golden["classes"].reverse()),
            "golden examples",
            "names other classes",
        ),
    ],
)
def test_seals_do_not_make_a_bundle_right(
    copy: Path, apart: Apart, damage: Callable[[Path], None], check: str, message: str
) -> None:
    damage(copy)
    seal(copy)
    refused(verify(copy, apart=apart), check, message)


def cut(folder: Path) -> None:
    path = folder / "android" / "tiny_int8.tflite"
    path.write_bytes(path.read_bytes()[:-3000])


def other_archive(*names: str) -> Callable[[Path], None]:
    """Packs another archive behind the model."""

    def change(folder: Path) -> None:
        path = folder / "android" / "tiny_int8.tflite"
        stream = io.BytesIO(path.read_bytes())
        stream.seek(0, io.SEEK_END)
        with warnings.catch_warnings(action="ignore"), zipfile.ZipFile(stream, "a") as archive:
            for name in names:
                archive.writestr(name, "cat\ndog\ngrößerer Hund\n" * 1000)
        path.write_bytes(stream.getvalue())

    return change


def swap(folder: Path) -> None:
    first, second = (folder / "android" / f"tiny_{kind}.tflite" for kind in ("int8", "fp32"))
    content = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(content)


def rewrite_answers(folder: Path) -> None:
    def change(golden: dict[str, Any]) -> None:
        golden["images"][0]["probabilities"]["android/tiny_int8.tflite"].reverse()

    change_golden(folder, change)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (cut, "holds no readable labels.txt"),
        (other_archive("../../outside.txt"), "packs 'labels.txt', '../../outside.txt', not labels.txt alone"),
        (other_archive("labels.txt"), "packs 'labels.txt', 'labels.txt', not labels.txt alone"),
        (swap, "takes or gives something else than manifest.json says"),
        (rewrite_answers, "its predictions for the golden examples are"),
    ],
)
def test_a_model_that_contradicts_the_manifest_fails(
    copy: Path, apart: Apart, damage: Callable[[Path], None], message: str
) -> None:
    damage(copy)
    described_anew(copy)
    seal(copy)
    failed = failures(verify(copy, apart=apart))
    assert "android/tiny_int8.tflite" in [check.name for check in failed]
    assert any(message in check.found for check in failed)
    assert not any("\n" in check.found for check in failed)
    assert not (copy.parent / "outside.txt").exists() and not (copy.parents[1] / "outside.txt").exists()


def test_classes_that_only_the_models_contradict(copy: Path, apart: Apart) -> None:
    """Renamed in every text; each model still says what it was trained for."""

    def rename(manifest: dict[str, Any]) -> None:
        manifest["data"]["classes"][0] = "wolf"

    def rename_golden(golden: dict[str, Any]) -> None:
        golden["classes"][0] = "wolf"
        golden["images"][0]["label"] = "wolf"

    change_manifest(copy, rename)
    change_golden(copy, rename_golden)
    (copy / "labels.txt").write_text("wolf\ndog\ngrößerer Hund\n")
    seal(copy)
    failed = failures(verify(copy, apart=apart))
    assert len(failed) == 7 and "of other classes than the data" in failed[0].found


def test_a_package_without_its_list(copy: Path, apart: Apart) -> None:
    (copy / "ios" / "tiny.mlpackage" / "Manifest.json").unlink()
    described_anew(copy)
    seal(copy)
    refused(verify(copy, apart=apart), "ios/tiny.mlpackage", "its Manifest.json cannot be read")
