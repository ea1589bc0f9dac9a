"""`evidence.json`: what it may hold, and how it must agree with its manifest."""

import json

import pydantic
import pytest

from tests.report.conftest import build_evidence, build_manifest
from tfkd.bundle.evidence import Confusion, Evidence, Example, Flip, Prediction, contradictions
from tfkd.verification.records import ClassFlips, NegativeFlips, OrderAgreement
from tfkd.verification.truth import exact_test


def test_evidence_survives_json():
    evidence = build_evidence()
    stored = json.loads(json.dumps(evidence.model_dump(mode="json")))
    assert Evidence.model_validate(stored) == evidence
    assert list(evidence.curves["student"]) == [1, 2, 3]


@pytest.mark.parametrize("image", ["", "AAAA", "'><script>", 'iVBORw0KGgo=" onload="x'])
def test_what_is_no_picture_is_refused(image):
    with pytest.raises(pydantic.ValidationError):
        Example(image=image, label="a", teacher=[1.0], student=[1.0])


def test_evidence_of_before_holds_a_square_of_counts():
    cells = [(0, 0, 1), (0, 1, 2), (1, 1, 3)]
    assert Confusion(variant="student", counts=[[1, 2], [0, 3]]) == Confusion(variant="student", classes=2, cells=cells)
    with pytest.raises(pydantic.ValidationError, match="not every row"):
        Confusion(variant="student", counts=[[1, 2], [3]])


@pytest.mark.parametrize("cell", [(2, 0, 1), (0, -1, 1), (0, 0, 0)])
def test_confusion_counts_images_of_known_classes(cell):
    with pytest.raises(pydantic.ValidationError, match="of 2 classes"):
        Confusion(variant="student", classes=2, cells=[cell])


def test_unknown_fields_are_errors():
    with pytest.raises(pydantic.ValidationError):
        Evidence.model_validate({"curve": {}})


def test_evidence_must_count_what_the_manifest_says():
    manifest = build_manifest(("a", "b"), student=build_manifest().student.model_copy(update={"accuracy": 0.75}))
    found = {
        "right": Confusion(variant="it", counts=[[400, 150], [100, 350]]),
        "more right": Confusion(variant="it", counts=[[401, 149], [100, 350]]),
        "more images": Confusion(variant="it", counts=[[400, 151], [100, 350]]),
        "more classes": Confusion(variant="it", classes=3, cells=[(0, 0, 750), (0, 2, 250)]),
    }
    said = {name: list(contradictions(Evidence(confusion=each), manifest)) for name, each in found.items()}
    assert said == {
        "right": [],
        "more right": ["the student is right for 750 of 1000 examples, by evidence.json for 751 of 1000"],
        "more images": ["the student is right for 750 of 1000 examples, by evidence.json for 750 of 1001"],
        "more classes": ["it has 2 classes, evidence.json has 3"],
    }
    assert list(contradictions(Evidence(), manifest)) == []


def flip(wrong="b", variant="student", label="a"):
    image = build_evidence().mistakes[0].image
    teacher = Prediction(label="a", probability=0.9)
    return Flip(image=image, label=label, teacher=teacher, wrong={variant: Prediction(label=wrong, probability=0.6)})


@pytest.mark.parametrize("change", [{"wrong": "a"}, {"label": "b", "wrong": "c"}])
def test_only_what_the_teacher_alone_predicts_rightly_is_a_flip(change):
    with pytest.raises(pydantic.ValidationError, match="no negative flip"):
        flip(**change)


def test_flips_and_orders_must_fit_the_manifest():
    counted = NegativeFlips(
        right=900, test=exact_test(0, 1, 1000), per_class=[ClassFlips(label="a", flips=1, right=450)]
    )
    order = OrderAgreement(correlation=0.5, standard_error=0.01, images=20)
    student = build_manifest().student.model_copy(
        update={"negative_flips": counted, "wrong_classes": order, "control_wrong_classes": None}
    )
    manifest = build_manifest(("a", "b"), student=student)
    for artifact in manifest.artifacts:
        artifact.negative_flips = None
    found = {
        "fits": Evidence(flips=[flip()], wrong_class_orders={"student": [1] * 20}),
        "more flips": Evidence(flips=[flip(), flip()]),
        "another file": Evidence(flips=[flip(variant="android/quickstart_int8.tflite")]),
        "another class": Evidence(flips=[flip(wrong="c")]),
        "fewer images": Evidence(wrong_class_orders={"student": [0] * 20}),
        "no control": Evidence(wrong_class_orders={"control": [1] * 20}),
    }
    said = {name: list(contradictions(each, manifest)) for name, each in found.items()}
    assert said == {
        "fits": [],
        "more flips": ["evidence.json shows 2 negative flips of student, more than it counts"],
        "another file": ["evidence.json shows 1 negative flips of android/quickstart_int8.tflite, more than it counts"],
        "another class": ["evidence.json shows a negative flip of a class that is not listed"],
        "fewer images": ["the student has an order of wrong classes for 20 examples, by evidence.json for 0"],
        "no control": ["the control has an order of wrong classes for 0 examples, by evidence.json for 20"],
    }
