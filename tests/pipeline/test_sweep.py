"""Sweeps: many students from one store."""

import pytest

from tests.pipeline.test_run import home, tfkd  # noqa: F401
from tfkd.errors import RequestError
from tfkd.pipeline import sweep


def test_variations_are_all_combinations() -> None:
    found = sweep.variations(["distill.temperature=2,4", "distill.label_weight=0,0.3"])
    assert list(found.values())[1] == ["distill.temperature=2", "distill.label_weight=0.3"]
    assert len(found) == 4


def test_a_variation_is_named_by_what_varies() -> None:
    found = sweep.variations(["data.source=folder:photos", "distill.temperature=2,4"])
    assert found["distill.temperature=4"] == ["data.source=folder:photos", "distill.temperature=4"]
    assert list(found) == ["distill.temperature=2", "distill.temperature=4"]
    assert list(sweep.variations(["seed=1", "distill.views=2"])) == ["seed=1 distill.views=2"]


def test_a_json_list_is_one_value() -> None:
    assert sweep.variations(['export.tflite=["fp32","int8"]']) == {
        'export.tflite=["fp32","int8"]': ['export.tflite=["fp32","int8"]']
    }


@pytest.mark.parametrize("axis", ["distill.views", "distill.views="])
def test_an_axis_without_values_is_refused(axis: str) -> None:
    with pytest.raises(RequestError, match=r"key\.path=value"):
        sweep.variations([axis])
