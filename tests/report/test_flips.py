"""Sentences about negative flips and about the order of the wrong classes, as page and card show them."""

from typing import Any

import pytest

from tfkd.bundle.evidence import Evidence
from tfkd.bundle.manifest import Manifest
from tfkd.report import flips, wrong_classes
from tfkd.verification.records import ClassFlips, NegativeFlips, OrderAgreement
from tfkd.verification.truth import exact_test

TWO = OrderAgreement(images=0, reason="with two classes there is one wrong class, which has no order")


@pytest.fixture
def with_flips(make_manifest: Any) -> Any:
    """Returns a manifest whose int8 file has these negative flips of 40 images per class."""

    def changed(*counts: int, right: int = 914) -> Manifest:
        manifest: Manifest = make_manifest()
        per_class = [
            ClassFlips(label=name, flips=count, right=40)
            for name, count in zip(manifest.data.classes, counts, strict=False)
        ]
        found = NegativeFlips(right=right, test=exact_test(0, sum(counts), 1000), per_class=per_class)
        for artifact in manifest.artifacts:
            artifact.negative_flips = found if artifact.path.endswith("int8.tflite") else None
        return manifest

    return changed


@pytest.mark.parametrize(
    ("counts", "right", "expected"),
    [
        ((), 914, "correctly, student int8 predicts 0 wrongly."),
        ((), 0, "Of the 0 test images that the teacher predicts correctly, student int8 predicts 0 wrongly."),
        ((2,), 914, "predicts 2 wrongly (0.2 %), the most in T-shirt (2 of 40)."),
        (
            (9, 8, 7, 6),
            914,
            "predicts 30 wrongly (3.3 %), the most in T-shirt (9 of 40), trouser (8 of 40) and pullover (7 of 40).",
        ),
    ],
)
def test_the_sentence_names_number_fraction_and_classes(
    with_flips: Any, counts: tuple[int, ...], right: int, expected: str
) -> None:
    assert flips.says(with_flips(*counts, right=right)).endswith(expected)


def test_a_teacher_that_is_never_right_has_no_fraction(with_flips: Any) -> None:
    assert [row.fraction for row in flips.rows(with_flips(right=0))][1:] == ["–"]


def test_photos_group_networks_by_the_class_that_they_predict(make_manifest: Any, make_evidence: Any) -> None:
    shown = make_evidence().flips
    for found, flip in zip(flips.images_of(shown, make_manifest()), shown, strict=True):
        labels = list(dict.fromkeys(each.label for each in flip.wrong.values()))
        assert found.wrong == [(labels[0], "Keras student 71 %, fp32 71 %"), (labels[1], "int8 71 %")]


def test_two_classes_have_a_reason_in_place_of_an_order(make_manifest: Any, make_evidence: Any) -> None:
    manifest = make_manifest()
    manifest.student.wrong_classes = manifest.student.control_wrong_classes = TWO
    assert wrong_classes.says(manifest).endswith("with two classes there is one wrong class, which has no order.")
    empty = Evidence(wrong_class_orders={"student": [0] * 20, "control": [0] * 20})
    assert wrong_classes.plot(manifest, empty) is None


def test_without_a_control_the_student_is_named_alone(make_manifest: Any, make_evidence: Any) -> None:
    manifest, evidence = make_manifest(control=False), make_evidence(control=False)
    assert "0.62 ± 0.01 (Spearman" in wrong_classes.says(manifest)
    drawn = wrong_classes.plot(manifest, evidence)
    assert drawn is not None and "student, mean 0.62" in drawn and "control" not in drawn
