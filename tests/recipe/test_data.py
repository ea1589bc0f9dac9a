"""Data blocks: invalid settings."""

import pytest

from tfkd.errors import RequestError
from tfkd.recipe import Data


@pytest.mark.parametrize("limits", [(5, 5), (5, 4), (0, float("inf"))])
def test_a_range_of_pixels_ascends(limits: tuple[float, float]) -> None:
    assert Data(source="folder:x", pixel_range=(4, 5)).pixel_range == (4, 5)
    with pytest.raises(RequestError, match="smaller one first"):
        Data(source="folder:x", pixel_range=limits)
