"""Settings of the latency measurement on this machine."""

from pydantic import Field

from tfkd.recipe.base import Block


class Bench(Block):
    """Settings of the latency measurement on this machine."""

    runs: int = Field(50, ge=5, description="timed runs per file")
    warmup: int = Field(10, ge=1, description="warm-up runs before the timed ones")
