"""When a hypothesis about a classifier is refuted by what it reaches."""

import numpy as np
import pytest

from tfkd.verification.hypotheses import LEAST_SKILL, Hypothesis, balanced_accuracy, is_refuted, skill


@pytest.mark.parametrize(("per_class", "refuted"), [(10, False), (1_000, True)])
def test_few_images_refute_less_than_many(per_class: int, refuted: bool) -> None:
    labels = np.repeat([0, 1], per_class)
    share = (1 + LEAST_SKILL) / 2 - 0.15  # of two classes, that are 0.3 of skill too few
    right = np.tile(np.arange(per_class) < share * per_class, 2)
    hypothesis = Hypothesis(None, None, "", np.where(right, labels, 1 - labels), 0.0)
    assert hypothesis.least_skill == LEAST_SKILL > skill(balanced_accuracy(labels, hypothesis.classes), labels)
    assert is_refuted(hypothesis, labels) is refuted
