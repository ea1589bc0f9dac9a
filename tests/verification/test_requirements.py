"""What files need of a runtime, read from the files."""

from pathlib import Path

import pytest

from tests.verification.conftest import CARD, Exported
from tfkd import machine
from tfkd.recipe import Export
from tfkd.verification import requirements, tflite
from tfkd.verification.records import Artifact, Delegation
from tfkd.verification.requirements import Requirements
from tfkd.writers import export


@pytest.mark.slow
def test_the_precision_of_every_file_is_read_from_it(exported: Exported, tmp_path: Path) -> None:
    others = export(
        exported.model,
        Export(tflite=["16x8"], coreml=["mlpackage_fp32", "mlpackage_int8", "mlmodel_int8"]),
        CARD,
        exported.images,
        tmp_path,
        lambda path: None,
    )
    found = [(exported.folder, file) for file in exported.files] + [(tmp_path, file) for file in others.files]
    assert len(found) == 10
    for folder, file in found:
        needed = requirements.of(folder / file.path, file.format)
        assert file.precision in (needed.precisions or [file.precision]), file.path
        assert bool(needed.precisions) == (file.format != "mlmodel")
        assert needed.min_runtime and (file.ios is None or needed.min_runtime == f"iOS {file.ios}")
        if file.precision in ("fp32", "int8", "16x8") and file.format == "tflite":
            assert needed.precision == file.precision


def test_contradictions_are_named(exported: Exported) -> None:
    path = exported.path("_int8.tflite")
    needed = requirements.of(path, "tflite")
    stated = Artifact(
        path="a",
        format="tflite",
        precision="int8",
        bytes=1,
        sha256="0" * 64,
        io=tflite.io(path),
        min_runtime=needed.min_runtime,
        operator_versions=needed.operator_versions,
        delegation=needed.delegation,
    )
    here = machine.environment()
    assert list(needed.contradictions(stated, here)) == []
    changed = stated.model_copy(
        update={"precision": "fp32", "min_runtime": "TensorFlow Lite 9", "operator_versions": {}}
    )
    assert len(list(needed.contradictions(changed, here))) == 3
    in_two = Delegation(partitions=2, operators=1, outside=["MEAN"])
    (wrong,) = needed.contradictions(stated.model_copy(update={"delegation": in_two}), here)
    assert "XNNPACK runs it as 1 part" in wrong and wrong.endswith("says 2 parts of 1 operator, MEAN outside")
    elsewhere = here | {"ai-edge-litert": "9.0"}
    assert list(needed.contradictions(stated.model_copy(update={"delegation": in_two}), elsewhere)) == []
    assert list(needed.contradictions(stated.model_copy(update={"delegation": None}), elsewhere)) != []


@pytest.mark.parametrize("precision", ["fp32", "int8", "of_tomorrow"])
def test_formats_with_one_tolerance_have_no_precision(precision: str, exported: Exported) -> None:
    io = tflite.io(exported.path("_fp32.tflite"))
    stated = Artifact(path="a", format="onnx", precision=precision, bytes=1, sha256="0" * 64, io=io)
    assert list(Requirements().contradictions(stated, {})) == [] and Requirements().precision is None
