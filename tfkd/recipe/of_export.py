"""The blocks that `tfkd export` has in common with recipes, with its own defaults."""

from collections.abc import Collection

from tfkd.recipe.base import Block, default_of
from tfkd.recipe.bench import Bench
from tfkd.recipe.export import Export
from tfkd.recipe.gates import Gates


def default_blocks(kind: str, impossible: Collection[str]) -> dict[str, Block]:
    """Returns what holds where a request sets nothing, by the name of the block.

    Args:
        kind: of the model's input.
        impossible: forms of files that a model of this kind cannot have.
    """
    export = Export(description=f"{kind.capitalize()} classifier")
    return {
        "export": export.model_copy(update=default_files(impossible)),
        "bench": Bench(),
        # The architecture is fixed: operators that XNNPACK lacks are reported, and judged only on request.
        "gates": Gates(one_partition=False, min_relative_accuracy=None, not_worse_than_control=False),
    }


def default_files(impossible: Collection[str]) -> dict[str, list[str]]:
    """Returns the default files of each list of `Export`, without the forms that a model cannot have."""
    return {
        field: [form for form in default_of(Export, field) if form not in impossible] for field in ("tflite", "coreml")
    }
