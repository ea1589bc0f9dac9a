import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.verification.conftest import CARD, SIGNATURE, Exported
from tfkd.inputs.image.tensors import signature
from tfkd.verification import metadata, tflite


@pytest.fixture(scope="module")
def int8(exported: Exported) -> Any:
    return tflite.model(exported.path("_int8.tflite"))


def packed(model: Any) -> Any:
    (entry,) = [entry for entry in model.metadata if entry.name == b"TFLITE_METADATA"]
    return model.buffers[entry.buffer]


def test_packed_metadata_are_correct(int8: Any) -> None:
    assert metadata.problems(int8, CARD, SIGNATURE) == []


@pytest.mark.parametrize("field", ["name", "author", "license", "version", "description"])
def test_another_card_is_caught(int8: Any, field: str) -> None:
    (problem,) = metadata.problems(int8, dataclasses.replace(CARD, **{field: "other"}), SIGNATURE)
    assert problem == f"its metadata give the {field} {getattr(CARD, field)!r}, not 'other'"


def test_another_size_is_caught(int8: Any) -> None:
    (problem,) = metadata.problems(int8, CARD, signature(64))
    assert problem == (
        "its metadata give its input colours RGB, height 32, width 32, not colours RGB, height 64, width 64"
    )


def test_metadata_that_are_gone(exported: Exported) -> None:
    model = tflite.model(exported.path("_int8.tflite"))
    packed(model).data = None
    assert metadata.problems(model, CARD, SIGNATURE) == ["it holds no TFLite Metadata"]
    model.metadata = None
    assert metadata.problems(model, CARD, SIGNATURE) == ["it holds no TFLite Metadata"]


def test_a_second_normalisation_is_caught(exported: Exported) -> None:
    """Finds the standard deviation, the only float 1.0 after a mean of 0.0, and makes it 127.5."""
    model = tflite.model(exported.path("_int8.tflite"))
    content = np.asarray(packed(model).data, np.uint8).tobytes()
    one, many = (np.float32(value).tobytes() for value in (1.0, 127.5))
    found = set()
    for place in range(0, len(content) - 4):
        if content[place : place + 4] == one:
            changed = content[:place] + many + content[place + 4 :]
            packed(model).data = np.frombuffer(changed, np.uint8)
            found.update(metadata.problems(model, CARD, SIGNATURE))
    assert found == {"its metadata make an app normalise its input, which the model does itself"}


@settings(deadline=None, max_examples=300, derandomize=True)
@given(st.data())
def test_damaged_metadata_are_reported_without_an_exception(exported: Exported, data: st.DataObject) -> None:
    model = tflite.model(exported.path("_int8.tflite"))
    content = bytearray(np.asarray(packed(model).data, np.uint8).tobytes())
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(8, len(content) - 1))] = data.draw(st.integers(0, 255))
    packed(model).data = np.frombuffer(bytes(content), np.uint8)
    assert all("\n" not in problem for problem in metadata.problems(model, CARD, SIGNATURE))
