import base64
import io
import json

import numpy as np
import pydantic
import pytest
from PIL import Image

from tfkd.report.evidence import Confusion, Evidence, Example, encode_image


def test_image_survives_encoding():
    image = np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8)
    decoded = np.asarray(Image.open(io.BytesIO(base64.b64decode(encode_image(image)))))
    np.testing.assert_array_equal(decoded, image)


def test_evidence_survives_json(make_evidence):
    evidence = make_evidence()
    stored = json.loads(json.dumps(evidence.model_dump(mode="json")))
    assert Evidence.model_validate(stored) == evidence
    assert list(evidence.curves["student"]) == [1, 2, 3]


@pytest.mark.parametrize("image", ["", "AAAA", "'><script>", 'iVBORw0KGgo=" onload="x'])
def test_what_is_no_png_is_refused(image):
    with pytest.raises(pydantic.ValidationError):
        Example(image=image, label="a", teacher=[1.0], student=[1.0])


def test_confusion_is_square():
    with pytest.raises(pydantic.ValidationError, match="not every row"):
        Confusion(variant="student", counts=[[1, 2], [3]])


def test_unknown_fields_are_errors():
    with pytest.raises(pydantic.ValidationError):
        Evidence.model_validate({"curve": {}})
