"""The files around the exported ones, written and sealed."""

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.bundle.manifests import tiny_manifest
from tests.writers.conftest import CARD, Exported
from tfkd.bundle.golden import Golden
from tfkd.bundle.manifest import SCHEMA, Manifest
from tfkd.bundle.seal import seal
from tfkd.bundle.writing import assemble


@pytest.fixture
def folder(exported: Exported, tmp_path: Path) -> Path:
    folder = tmp_path / "run" / "bundle"
    shutil.copytree(exported.folder, folder)
    golden = Golden(exported.images[:3], np.array([0, 2, -1]), {"keras": exported.probabilities[:3]})
    assemble(folder, tiny_manifest(list(CARD.classes)), golden)
    seal(folder)
    return folder


def check_sums(folder: Path) -> subprocess.CompletedProcess[str]:
    command = ["sha256sum", "--check", "--strict", "SHA256SUMS"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


def test_sha256sum_accepts_every_file(folder: Path) -> None:
    checked = check_sums(folder)
    assert checked.returncode == 0, checked.stderr
    files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    listed = [line.removesuffix(": OK") for line in checked.stdout.splitlines()]
    assert sorted([*listed, "SHA256SUMS"]) == files
    assert listed == sorted(listed)
    assert "ios/tiny.mlpackage/Manifest.json" in listed


def test_sha256sum_finds_a_changed_file(folder: Path) -> None:
    (folder / "labels.txt").write_text("dog\n")
    assert check_sums(folder).returncode != 0


def test_golden_images_come_back_as_they_were(exported: Exported, folder: Path) -> None:
    golden = json.loads((folder / "golden" / "golden.json").read_text(encoding="utf-8"))
    assert golden["classes"] == list(CARD.classes)
    assert [entry["label"] for entry in golden["images"]] == ["cat", "größerer Hund", None]
    for entry, image, answer in zip(golden["images"], exported.images, exported.probabilities, strict=False):
        np.testing.assert_array_equal(np.asarray(Image.open(folder / "golden" / entry["file"])), image)
        np.testing.assert_array_equal(np.float32(entry["probabilities"]["keras"]), answer)


def test_manifest_reads_back(folder: Path) -> None:
    text = (folder / "manifest.json").read_text(encoding="utf-8")
    assert json.loads(text)["schema"] == SCHEMA
    assert Manifest.model_validate_json(text) == tiny_manifest(list(CARD.classes))
    assert (folder / "labels.txt").read_text(encoding="utf-8") == "cat\ndog\ngrößerer Hund\n"
