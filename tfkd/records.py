"""Base class and types of the records in a bundle's manifest; the ranges are part of its JSON Schema.

Fractions (accuracy, agreement, calibration error) run from 0 to 1, sizes are bytes.
"""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Fraction = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]
Number = Annotated[int, Field(ge=1)]  # number of things of which there is at least one
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Entry(BaseModel):
    """A part of the manifest; unknown fields and numbers that are not finite are errors."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)
