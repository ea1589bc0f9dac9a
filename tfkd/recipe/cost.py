"""What the machine costs, for the account of a run."""

from pydantic import Field

from tfkd.recipe.base import Block


class Cost(Block):
    """Prices for the account of a run; they change no result, and only the report is written again."""

    per_hour: float | None = Field(
        None, ge=1e-6, le=1e12, description="price of one hour of this machine; None: no money in the report"
    )
    currency: str = Field("USD", pattern=r"^[A-Z]{3}$", description="of the price, three letters by ISO 4217")
    queries_per_day: int | None = Field(
        None, ge=1, description="examples that the student will predict per day; None: no number of days"
    )
