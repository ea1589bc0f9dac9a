"""The base class of all blocks of a recipe."""

from typing import Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, model_validator

from tfkd.recipe import renamed


def _separated(value: Any) -> Any:
    """Reads "fp32,int8" as two names and "none" as no name."""
    if not isinstance(value, str):
        return value
    return [] if value == "none" else [name.strip() for name in value.split(",")]


Separated = BeforeValidator(_separated)  # for a list of names that an override gives as one text


class Block(BaseModel):
    """A part of a recipe: immutable, and strict about the names of its fields."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)

    @model_validator(mode="before")
    @classmethod
    def _with_current_names(cls, values: Any) -> Any:
        return renamed.read(values, cls.model_fields)


def default_of(block: type[Block], field: str) -> Any:
    """Returns the default of a block's field, for functions with an argument of the same meaning."""
    return block.model_fields[field].default
