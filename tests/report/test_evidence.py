import json

import pydantic
import pytest

from tfkd.report.evidence import Confusion, Evidence, Example


def test_evidence_survives_json(make_evidence):
    evidence = make_evidence()
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
