"""Loss blocks: which parts may have a weight of zero."""

import pytest

from tfkd.errors import RequestError
from tfkd.recipe import Relational


def test_a_part_of_a_loss_may_have_no_weight_where_another_has() -> None:
    for parts in ({"distance": 0.0}, {"angle": 0.0}):
        assert Relational(**parts).weight == Relational().weight
    with pytest.raises(RequestError, match="distance"):
        Relational(distance=-0.5)
