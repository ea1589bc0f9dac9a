"""The benchmark of trees: its recipes, and what it keeps of a bundle."""

from tests.tools.benchmark import ROOT
from tools.benchmarks.trees import files_of, recipes


def test_the_students_of_a_seed_share_data_and_teacher() -> None:
    tree, forest = recipes(3).values()
    assert (tree.data, tree.teachers, tree.seed, tree.name) == (forest.data, forest.teachers, 3, "digits-3")
    assert (tree.student.model, tree.student.depth) == ("tree", 6)
    assert (forest.student.model, forest.student.depth, forest.student.min_leaf) == ("forest", 12, 8)


def test_gates_that_did_not_pass_are_kept_by_name() -> None:
    found = files_of(ROOT / "tests/fixtures/0.1.0/bundle")
    assert found["gates"] > len(found["not passed"]) and all(file["bytes"] > 0 for file in found["files"].values())
