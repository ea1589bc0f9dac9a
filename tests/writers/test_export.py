from pathlib import Path

import numpy as np
import pytest

from tests.writers.conftest import CARD, DATA, RECIPE, Exported
from tfkd.errors import RequestError
from tfkd.formats import FORMATS
from tfkd.recipe import Export, files
from tfkd.writers import ExportedFile, card_of, export, exported_files


def test_every_file_is_written_and_reported(exported: Exported) -> None:
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
    asked = Export(tflite=["int8"], coreml=[])
    assert exported_files(asked, "n") == [ExportedFile("android/n_int8.tflite", "tflite", "int8")]
    assert {file.format for file in exported_files(Export(onnx=True), "n")} == set(FORMATS)


def test_nothing_reaches_the_terminal(
    exported: Exported, tmp_path: Path, images: np.ndarray, capfd: pytest.CaptureFixture[str]
) -> None:
    asked = Export(tflite=["int8"], coreml=["mlmodel"])
    export(exported.model, asked, CARD, images, tmp_path, lambda path: None)
    assert capfd.readouterr() == ("", "")


def test_forms_of_core_ml_files() -> None:
    asked = Export(tflite=[], coreml=["mlmodel", "mlmodel_int8", "mlpackage", "mlpackage_palette4"])
    assert exported_files(asked, "n") == [
        ExportedFile("ios/n.mlmodel", "mlmodel", "fp32", 13),
        ExportedFile("ios/n_int8.mlmodel", "mlmodel", "int8", 13),
        ExportedFile("ios/n.mlpackage", "mlpackage", "fp16", 15),
        ExportedFile("ios/n_palette4.mlpackage", "mlpackage", "palette4", 16),
    ]
    newer = exported_files(asked.model_copy(update={"ios_target": 17}), "n")
    assert [file.ios for file in newer] == [14, 14, 17, 17]


def test_a_form_that_is_too_new_is_refused_beforehand() -> None:
    values = {"name": "n", "data": {"source": "folder:x"}, "teachers": [{"model": "resnet50"}]}
    values["export"] = {"coreml": ["mlpackage_int8"], "ios_target": 15}
    with pytest.raises(RequestError, match=r"ios_target = 15, but mlpackage_int8 needs iOS 16; raise it or remove"):
        files.parse(values, "r.py")


def test_the_card_has_all_fields_that_change_the_files_and_no_others() -> None:
    def origin(**changes: object) -> str:
        return card_of(RECIPE | changes, CARD.classes, DATA).origin["recipe_fingerprint"]

    same = CARD.origin["recipe_fingerprint"]
    assert origin(gates={"min_agreement": 0.9}, bench={"runs": 7}) == same
    assert origin(data={"source": "folder:here", "image_size": 96}) == origin(
        data={"source": "folder:there", "image_size": 96}
    )
    assert origin(data={"source": "folder:here", "image_size": 64}) != same
    assert origin(seed=2) != same
    assert card_of(RECIPE | {"teachers": []}, CARD.classes, DATA).origin["teacher"] == "none"
