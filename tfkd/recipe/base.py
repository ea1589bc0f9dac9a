"""The base class of all blocks of a recipe."""

import json
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from tfkd.errors import RequestError
from tfkd.recipe import renamed


def _separated(value: Any) -> Any:
    """Reads "fp32,int8" as two names, "none" or nothing as no name, and 0.35 as a list of one number."""
    if isinstance(value, int | float):
        return [value]
    if not isinstance(value, str):
        return value
    if value.startswith("[") and value.endswith("]"):
        names = [name.strip(" '\"") for name in value[1:-1].split(",")]
        raise ValueError(f"this is no JSON list; write {','.join(names)} or {json.dumps(names)}")
    return [] if value in ("none", "") else [name.strip() for name in value.split(",")]


AUTO = "auto"  # what a run chooses

Separated = BeforeValidator(_separated)  # for a list of names that an override gives as one text
Rendering = Annotated[
    str, Field(description="rendering of the input: rgb, grey, edges, or folder:PATH of paired images")
]

_COPY = "take another recipe: recipe.with_('distill.views=4')."


class Block(BaseModel):
    """A part of a recipe: immutable, and strict about the names of its fields."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False)

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            from tfkd.recipe.files import explained

            raise RequestError(f"{type(self).__name__}: {explained(error)}") from error

    # Lets pydantic validate blocks within blocks without calling this constructor, so that errors have the whole path.
    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]

    def __setattr__(self, name: str, value: Any) -> None:
        raise RequestError(f"{name} of a {type(self).__name__} cannot be set; {_COPY}")

    def __delattr__(self, name: str) -> None:
        raise RequestError(f"{name} of a {type(self).__name__} cannot be deleted; {_COPY}")

    @model_validator(mode="before")
    @classmethod
    def _with_current_names(cls, values: Any) -> Any:
        return renamed.read(values, cls.model_fields)


def default_of(block: type[Block], field: str) -> Any:
    """Returns the default of a block's field, for functions with an argument of the same meaning."""
    return block.model_fields[field].default


def as_set(part: Any) -> Any:
    """Returns the fields of a block that were set, also of the blocks in it, as JSON; another value unchanged."""
    if isinstance(part, list):
        return [as_set(each) for each in part]
    if not isinstance(part, Block):
        return part
    named = {"kind", *part.model_fields_set}
    return {name: as_set(getattr(part, name)) for name in type(part).model_fields if name in named}
