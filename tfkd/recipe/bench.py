"""How latency is measured on this machine."""

from pydantic import Field

from tfkd.recipe.base import Block


class Bench(Block):
    """How latency is measured on this machine."""

    runs: int = Field(50, ge=5, description="timed runs of each file")
    warmup: int = Field(10, ge=1, description="runs before the timed ones")
