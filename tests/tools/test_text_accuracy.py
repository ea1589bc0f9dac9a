"""The benchmark of students of texts: its recipes, and what it counts."""

import pytest

from tools.benchmarks.text_accuracy import ARMS, recipes, summary


@pytest.mark.parametrize("group", ARMS)
def test_the_recipes_of_a_group_share_their_teachers_and_data(group: str) -> None:
    found = recipes(group, 3, ["distill.training.epochs=2"])
    first = next(iter(found.values()))
    assert found.keys() == ARMS[group].keys()
    for name, recipe in found.items():
        assert (recipe.data, recipe.teachers, recipe.distill.features) == (
            first.data,
            first.teachers,
            first.distill.features,
        )
        assert recipe.distill.repeats == 3 and recipe.distill.training.epochs == 2 and recipe.distill.control
        assert recipe.student.model == ("text_transformer" if "transformer" in name else "word_average")
        assert ("hidden_states" in [loss.kind for loss in recipe.distill.losses]) == ("hidden states" in name)


def test_means_are_over_seeds_and_relative_to_the_teacher() -> None:
    found = summary({"accuracies": [0.7, 0.9], "control_accuracies": [0.5, 0.7], "teacher_accuracy": 0.8})
    assert found == pytest.approx({"student": 0.8, "control": 0.6, "relative": 1.0, "gain": 0.2})
