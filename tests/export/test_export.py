from pathlib import Path

import numpy as np
import pytest

from tfkd import recipe
from tfkd.export import FORMATS, ExportedFile, export, exported_files

from .conftest import CARD, Exported


def test_every_file_is_written_and_told(exported: Exported) -> None:
    assert [file.path for file in exported.files] == exported.told
    assert exported.told == [
        "android/tiny_fp32.tflite",
        "android/tiny_fp16.tflite",
        "android/tiny_dynamic.tflite",
        "android/tiny_int8.tflite",
        "ios/tiny.mlmodel",
        "ios/tiny.mlpackage",
    ]
    found = sorted(path.relative_to(exported.folder).as_posix() for path in exported.folder.glob("*/*"))
    assert found == sorted(exported.told), "nothing half-written stays beside the files"


def test_only_what_the_recipe_names() -> None:
    asked = recipe.Export(tflite=["int8"], coreml=[])
    assert exported_files(asked, "n") == [ExportedFile("android/n_int8.tflite", "tflite", "int8")]
    assert {file.format for file in exported_files(recipe.Export(), "n")} == set(FORMATS)


def test_nothing_reaches_the_terminal(
    exported: Exported, tmp_path: Path, images: np.ndarray, capfd: pytest.CaptureFixture[str]
) -> None:
    asked = recipe.Export(tflite=["int8"], coreml=["mlmodel"])
    export(exported.model, asked, CARD, images, tmp_path, lambda path: None)
    assert capfd.readouterr() == ("", "")
