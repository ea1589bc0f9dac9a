"""Files of trees: LiteRT, the evaluator of Core ML and onnxruntime send each row where Keras does."""

from pathlib import Path

import numpy as np
import pytest

from tests.tables import CLASSES, COLUMNS, SIGNATURE
from tests.training.test_trees import EDGES, STUDENTS, at_thresholds, found
from tfkd.errors import RequestError
from tfkd.inputs.table.tensors import columns_text
from tfkd.models.trees import network_of
from tfkd.recipe import Export
from tfkd.signature import Column
from tfkd.verification import NotVerifiedError, VerifyError, coreml, feeding, onnx, tflite
from tfkd.verification.coreml.specification import read
from tfkd.writers import Card, Exported, export

CARD = Card("loans", CLASSES, "tfkd", "none", "1", "Rules", {"teacher": "mlp"})
NONE = np.zeros((0, 3), np.float32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("trees")


@pytest.fixture(scope="module", params=STUDENTS)
def files(request: pytest.FixtureRequest, folder: Path) -> tuple[str, Path, Exported]:
    """A student's name, the folder of its files, and what was written."""
    student = network_of(found(request.param), COLUMNS, request.param)
    wanted = Export(tflite=["fp32", "int8"], coreml=["mlmodel", "mlpackage"], onnx=True)
    place = folder / request.param
    return request.param, place, export(student, wanted, CARD, EDGES[:10], place, lambda path: None)


RUNTIMES = {"android/loans_fp32.tflite": tflite, "ios/loans.mlmodel": coreml, "onnx/loans.onnx": onnx}


@pytest.mark.parametrize("path", RUNTIMES)
def test_each_file_predicts_what_the_arrays_do_also_at_thresholds(path: str, files: tuple[str, Path, Exported]) -> None:
    name, folder, _ = files
    trees = found(name)
    rows = np.concatenate([EDGES[:300], at_thresholds(trees)[:300]])
    rows[:, 1] = np.rint(rows[:, 1])
    probabilities = RUNTIMES[path].predict(folder / path, [rows[:200], rows[200:]])
    np.testing.assert_allclose(probabilities, trees.probabilities(rows), atol=2e-6)


@pytest.mark.parametrize("path", RUNTIMES)
def test_each_file_says_what_it_takes(path: str, files: tuple[str, Path, Exported]) -> None:
    _, folder, _ = files
    found = RUNTIMES[path].check(folder / path, CARD, SIGNATURE)
    assert (found.input.name, found.input.shape, found.input.dtype) == ("row", [1, 3], "float32")
    assert found.output.shape == [1, 3]


def test_forms_that_would_be_other_rules_are_missing_with_the_reason(files: tuple[str, Path, Exported]) -> None:
    _, _, written = files
    assert [(each.precision, each.format) for each in written.missing] == [("int8", "tflite"), ("fp16", "mlpackage")]
    assert all("which rounds" in each.reason or "rounded" in each.reason for each in written.missing)


def test_a_tflite_file_has_built_in_operators_alone_and_its_columns_inside(files: tuple[str, Path, Exported]) -> None:
    _, folder, _ = files
    path = folder / "android/loans_fp32.tflite"
    known = {"GATHER", "LESS_EQUAL", "GREATER", "LOGICAL_AND", "LOGICAL_NOT", "LESS", "CAST", "ADD", "MUL", "MEAN"}
    known |= {"LOG", "SOFTMAX", "MAXIMUM", "SUB", "RESHAPE", "DIV", "SUM", "GREATER_EQUAL", "GATHER_ND", "RELU"}
    assert set(tflite.operator_versions(path)) <= known
    assert feeding.signature(path) == SIGNATURE
    other = (*COLUMNS[:2], Column("wealth"))
    with pytest.raises(VerifyError, match="columns packed into it are not those of the student"):
        tflite.check(path, CARD, type(SIGNATURE)("table", SIGNATURE.tensors, columns=other))


def damaged(path: Path, folder: Path, change) -> Path:
    """Writes the file with a change of its specification."""
    specification = read(path)
    change(specification.treeEnsembleClassifier, specification)
    target = folder / "damaged.mlmodel"
    target.write_bytes(specification.SerializeToString())
    return target


def leaf_of(model):
    return next(node for node in model.treeEnsemble.nodes if not node.trueChildNodeId and not node.falseChildNodeId)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda model, whole: model.treeEnsemble.nodes[0].__setattr__("trueChildNodeId", 9999), "leads to a node"),
        (lambda model, whole: model.treeEnsemble.nodes[0].__setattr__("trueChildNodeId", 0), "has not one root"),
        (lambda model, whole: model.treeEnsemble.nodes[0].__setattr__("branchFeatureIndex", 3), "compares a column"),
        (lambda model, whole: model.treeEnsemble.nodes.add().CopyFrom(model.treeEnsemble.nodes[0]), "a node of a tree"),
        (lambda model, whole: model.treeEnsemble.__setattr__("numPredictionDimensions", 1), "has 1 classes"),
        (lambda model, whole: model.treeEnsemble.__setattr__("numPredictionDimensions", 2), "has 3 base values"),
        (lambda model, whole: leaf_of(model).evaluationInfo.add(evaluationIndex=3), "to a class that does not"),
        (lambda model, whole: model.treeEnsemble.basePredictionValue.append(1.0), "has 4 base values"),
        (lambda model, whole: whole.description.input.add(name="more"), "does not take one row"),
        (lambda model, whole: whole.description.input[0].type.multiArrayType.shape.append(2), "does not take one row"),
    ],
)
def test_a_damaged_core_ml_file_is_refused(
    change, message: str, files: tuple[str, Path, Exported], tmp_path: Path
) -> None:
    path = damaged(files[1] / "ios/loans.mlmodel", tmp_path, change)
    with pytest.raises(VerifyError, match=message):
        coreml.predict(path, [EDGES[:2]])


def test_a_transform_that_is_not_known_is_not_verified(files: tuple[str, Path, Exported], tmp_path: Path) -> None:
    path = damaged(
        files[1] / "ios/loans.mlmodel", tmp_path, lambda model, whole: model.__setattr__("postEvaluationTransform", 1)
    )
    with pytest.raises(NotVerifiedError, match="a transform of the sums"):
        coreml.predict(path, [EDGES[:2]])


def test_core_ml_files_state_their_columns(files: tuple[str, Path, Exported], tmp_path: Path) -> None:
    path = files[1] / "ios/loans.mlmodel"
    assert read(path).description.metadata.userDefined["columns"] == columns_text(COLUMNS)
    other = damaged(path, tmp_path, lambda model, whole: whole.description.metadata.userDefined.pop("columns"))
    with pytest.raises(VerifyError, match="its columns is None"):
        coreml.check(other, CARD, SIGNATURE)


def test_equal_trees_give_equal_bytes(folder: Path) -> None:
    student = network_of(found("tree"), COLUMNS, "tree")
    wanted = Export(tflite=["fp32"], coreml=["mlmodel"])
    contents = []
    for name in ("one", "two"):
        export(student, wanted, CARD, NONE, folder / name, lambda path: None)
        contents.append([(folder / name / path).read_bytes() for path in list(RUNTIMES)[:2]])
    assert contents[0] == contents[1]


def test_nothing_is_written_where_no_timed_file_can_be_made(folder: Path) -> None:
    student = network_of(found("tree"), COLUMNS, "tree")
    with pytest.raises(RequestError, match="Trees are not written in fp16, which rounds what they compare with"):
        export(student, Export(tflite=["fp16"], coreml=[]), CARD, NONE, folder / "none", lambda path: None)
