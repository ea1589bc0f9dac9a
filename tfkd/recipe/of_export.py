"""The blocks that `tfkd export` has in common with recipes, with its own defaults."""

from tfkd.recipe.base import Block
from tfkd.recipe.bench import Bench
from tfkd.recipe.export import Export
from tfkd.recipe.gates import Gates


def default_blocks() -> dict[str, Block]:
    """Returns what holds where a request sets nothing, by the name of the block."""
    return {
        "export": Export(description="Image classifier"),
        "bench": Bench(),
        # The architecture is fixed: operators that XNNPACK lacks are reported, and judged only on request.
        "gates": Gates(one_partition=False, min_relative_accuracy=None, not_worse_than_control=False),
    }
