"""Trees: what is fitted, and that every form of them sends each row to the same leaf."""

import numpy as np
import pytest
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.tree import DecisionTreeRegressor

from tests.tables import CLASSES, COLUMNS, SIGNATURE, labels, rows
from tfkd.bundle.rules import Rules, rules_of
from tfkd.errors import RequestError
from tfkd.inputs.image.tensors import signature as image
from tfkd.models import build_student, require_kind
from tfkd.models.tree_arrays import Trees
from tfkd.models.trees import network_of, trees_of
from tfkd.recipe import Forest, Student, Tree
from tfkd.report import rules as report
from tfkd.training.saving import load_model, save_model
from tfkd.training.trees import _encoded, _rounded_down, fitted

ROWS = rows(600)
TARGETS = 0.9 * np.eye(3)[labels(ROWS)] + 0.1 / 3
STUDENTS = {"tree": Tree(max_depth=5), "forest": Forest(trees=7, max_depth=6)}
EDGES = rows(2000, seed=2)


def found(name: str) -> Trees:
    return fitted(STUDENTS[name], ROWS, TARGETS, COLUMNS, seed=3)


def at_thresholds(trees: Trees) -> np.ndarray:
    """Returns rows whose numbers are bounds of the trees, or the float32 numbers beside them."""
    taken = EDGES[: trees.comparisons].copy()
    numbers = trees.column != 1
    places = np.arange(len(taken))
    taken[places[numbers[: len(taken)]], trees.column[: len(taken)][numbers[: len(taken)]]] = trees.lower[: len(taken)][
        numbers[: len(taken)]
    ]
    return np.concatenate([taken, np.nextafter(taken, np.float32(np.inf)), np.nextafter(taken, np.float32(-np.inf))])


@pytest.mark.parametrize("name", STUDENTS)
def test_the_arrays_predict_what_scikit_learn_does(name: str) -> None:
    trees, student = found(name), STUDENTS[name]
    settings = {"max_depth": student.depth, "min_samples_leaf": 1, "random_state": 3}
    kinds = {"tree": DecisionTreeRegressor(**settings)}
    kinds["forest"] = ExtraTreesRegressor(7, max_features="sqrt", **settings)
    model = kinds[name].fit(_encoded(ROWS, COLUMNS)[0], TARGETS)
    taken = np.concatenate([EDGES, at_thresholds(trees)])
    # scikit-learn sees categories as 0 and 1, so that those beside a whole number do not occur.
    taken[:, 1] = np.rint(taken[:, 1])
    np.testing.assert_allclose(trees.probabilities(taken), model.predict(_encoded(taken, COLUMNS)[0]), atol=1e-6)


@pytest.mark.parametrize("name", STUDENTS)
def test_the_layer_predicts_what_the_arrays_do_also_at_thresholds(name: str) -> None:
    trees = found(name)
    taken = np.concatenate([EDGES[:200], at_thresholds(trees), np.float32([[np.nan, 1, 2], [1e38, 3, -1e38]])])
    logits = network_of(trees, COLUMNS, name).predict(taken, verbose=0)
    expected = trees.probabilities(taken)
    np.testing.assert_allclose(np.exp(logits), np.maximum(expected, 1e-7), rtol=1e-5)


def test_thresholds_are_rounded_so_that_float32_rows_compare_alike() -> None:
    draw = np.random.default_rng(1)
    exact = np.concatenate([draw.normal(size=500), [0.1, -0.1, 2.5, 1 / 3]])
    near = _rounded_down(exact)
    assert near.dtype == np.float32
    for beside in (near, np.nextafter(near, np.float32(np.inf)), np.nextafter(near, np.float32(-np.inf))):
        np.testing.assert_array_equal(beside <= near, beside.astype(np.float64) <= exact)


def test_the_rules_are_learnt_and_the_seed_decides() -> None:
    tree = found("tree")
    right = tree.probabilities(EDGES).argmax(axis=1) == labels(EDGES)
    assert right.mean() > 0.98
    np.testing.assert_array_equal(tree.values.sum(axis=1).round(5), 1)
    assert tree.depth <= 5 and tree.support[tree.roots[0]] == len(ROWS)
    same, other = found("forest"), fitted(STUDENTS["forest"], ROWS, TARGETS, COLUMNS, seed=4)
    np.testing.assert_array_equal(same.lower, found("forest").lower)
    assert other.lower.shape != same.lower.shape or (other.lower != same.lower).any()


def test_a_student_keeps_its_trees_in_its_file(tmp_path) -> None:
    trees = found("forest")
    save_model(network_of(trees, COLUMNS, "forest"), tmp_path / "student.keras")
    read = trees_of(load_model(tmp_path / "student.keras"))
    assert read is not None
    for name, array in vars(trees).items():
        np.testing.assert_array_equal(getattr(read, name), array)


def test_a_student_is_one_leaf_before_it_is_fitted_and_not_for_others() -> None:
    model = build_student(Tree(max_depth=3), SIGNATURE, 3, seed=1)
    np.testing.assert_allclose(model.predict(ROWS[:2], verbose=0), np.log(np.full((2, 3), 1 / 3)), rtol=1e-5)
    with pytest.raises(RequestError, match="Not for images: tree compares single columns of a table"):
        require_kind(Tree(), "image", "folder:photos")
    with pytest.raises(
        RequestError, match="mobilenet_v2 takes images, the data are rows of tables; use tree or forest"
    ):
        build_student(Student(model="mobilenet_v2"), SIGNATURE, 3, seed=1)
    with pytest.raises(RequestError, match=r"tree does not read student\.trees"):
        build_student(Student(model="tree", trees=9), SIGNATURE, 3, seed=1)
    with pytest.raises(RequestError, match=r"tree does not read student\.width"):
        build_student(Student(model="tree", width=2.0), SIGNATURE, 3, seed=1)
    with pytest.raises(RequestError, match=r"mobilenet_v2 does not read student\.max_depth"):
        build_student(Student(model="mobilenet_v2", max_depth=2), image(32), 3, seed=1)


def test_rules_are_written_with_questions_classes_and_supports() -> None:
    hand = Trees(
        column=np.int32([1, 0]),
        lower=np.float32([1.5, 50]),
        upper=np.float32([2.5, np.finfo(np.float32).max]),
        children=np.int32([[1, 4], [2, 3]]),
        values=np.float32([[0.8, 0.2, 0], [0.1, 0.9, 0], [0, 0, 1]]),
        roots=np.int32([0]),
        support=np.float32([100, 80, 60, 20, 20]),
    )
    rules = rules_of(hand, COLUMNS, CLASSES)
    assert report.text(rules).splitlines() == [
        "job is pilot?  (no: 50 %; 100.0 % of the rows)",
        "    no: age > 50?  (no: 63 %; 80.0 % of the rows)",
        "        no: no: 80 %; 60.0 % of the rows",
        "        yes: perhaps: 90 %; 20.0 % of the rows",
        "    yes: yes: 100 %; 20.0 % of the rows",
    ]
    assert rules.columns == {"job": pytest.approx(100 / 180), "age": pytest.approx(80 / 180)}
    drawing = report.drawing(rules)
    assert drawing.count("<rect") == 5 and "job is pilot?" in drawing and drawing.count(">yes</text>") == 2
    assert report.says(rules).startswith("One tree, 3 leaves, at most 2 questions per row. Columns")
    with pytest.raises(ValueError, match="are no tree"):
        Rules(**{**rules.model_dump(), "nodes": rules.model_dump()["nodes"][:-1]})


def test_of_a_forest_the_first_levels_of_its_first_tree_are_written() -> None:
    rules = rules_of(found("forest"), COLUMNS, CLASSES)
    assert rules.trees == 7 and max(node.depth for node in rules.nodes) <= 4
    assert "Below is the first tree" in report.says(rules) and report.text(rules)
