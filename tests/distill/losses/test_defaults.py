"""A loss and its recipe block agree: every field is an argument with the same default."""

import inspect

import pytest

from tfkd.distill.losses import LOSSES
from tfkd.recipe.files import LOSSES as BLOCKS


def test_every_loss_has_a_block() -> None:
    assert set(LOSSES) == set(BLOCKS)


@pytest.mark.parametrize("kind", LOSSES)
def test_the_arguments_of_a_loss_are_the_fields_of_its_block(kind: str) -> None:
    arguments = inspect.signature(LOSSES[kind]).parameters
    fields = {name: field for name, field in BLOCKS[kind].model_fields.items() if name not in ("kind", "weight")}
    assert fields
    for name, field in fields.items():
        assert arguments[name].default == field.default, name
    assert set(arguments) - set(fields) <= {"name", "seed", "kwargs"}
    assert arguments["name"].default == kind
