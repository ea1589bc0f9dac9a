"""What the writers record in a bundle's manifest."""

from pydantic import Field

from tfkd.formats import FORMATS
from tfkd.records import Entry


class MissingFile(Entry):
    """A requested file that could not be made."""

    path: str = Field(description="where it would be in the bundle")
    format: str = Field(description=f"one of {', '.join(FORMATS)}")
    precision: str
    reason: str
    required: bool = Field(description="the recipe's export.require names it: the gate of its name failed")
