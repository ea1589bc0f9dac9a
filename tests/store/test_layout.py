"""Layouts of the soft-label store: which values of a prediction are stored, and in how many bytes."""

import json
from typing import Any

import numpy as np
import pytest

from tfkd.errors import RequestError
from tfkd.store.layout import Layout

FEATURES = Layout(4, features={"stage:16": (2, 3, 5), "block/pooled": (6,)})


def test_more_classes_than_two_bytes_can_name() -> None:
    layout = Layout(70_000, top=3)
    logits = np.zeros((1, 70_000), np.float32)
    logits[0, [69_999, 5, 65_536]] = (30.0, 20.0, 10.0)
    read = layout.decode(layout.encode({"logits": logits}))["logits"]
    assert np.argsort(-read[0])[:3].tolist() == [69_999, 5, 65_536]
    np.testing.assert_allclose(read, logits, atol=1e-5)


def test_the_layout_is_chosen_by_size() -> None:
    assert Layout.for_classes(256).top is None
    assert Layout.for_classes(257).top == 32
    assert Layout.for_classes(1_000, {"pooled": (64,)}) == Layout(1_000, 125, {"pooled": (64,)})
    assert Layout.for_classes(100_000).top == 128
    for classes in (257, 1_000, 21_841, 100_000):
        assert Layout.for_classes(classes).bytes_per_view <= 0.26 * Layout(classes).bytes_per_view
    assert Layout(1_000).bytes_per_view == 2_000
    assert Layout(1_000, 125).bytes_per_view == 504
    assert FEATURES.bytes_per_view == 2 * (4 + 30 + 6)


@pytest.mark.parametrize("layout", [FEATURES, Layout(1_000, 5)])
def test_a_layout_survives_json(layout: Layout) -> None:
    assert Layout.described_by(json.loads(json.dumps(layout.described()))) == layout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [((0,), "class"), ((4, 0), "top"), ((4, 4), "top"), ((4, None, {"logits": (4,)}), "logits")],
)
def test_invalid_layouts_are_refused(arguments: Any, message: str) -> None:
    with pytest.raises(RequestError, match=message):
        Layout(*arguments)


def test_shards_are_bounded_in_rows_and_bytes() -> None:
    assert Layout(10).rows_per_shard == 16_384
    large = Layout(10, features={"map": (28, 28, 64)})
    assert large.rows_per_shard == 512
    assert large.rows_per_shard * large.bytes_per_view <= 64 << 20
    assert Layout(10, features={"map": (8_000, 8_000)}).rows_per_shard == 1


def test_bytes_are_counted_to_the_last_feature_that_is_read() -> None:
    assert FEATURES.bytes_until([]) == 2 * 4
    assert FEATURES.bytes_until(["block/pooled"]) == 2 * (4 + 6)
    assert FEATURES.bytes_until(["stage:16"]) == FEATURES.bytes_per_view == 2 * (4 + 6 + 30)
    assert Layout(1_000, 125).bytes_until([]) == Layout(1_000, 125).bytes_per_view
