"""Registers tfkd's own Keras layers, for the files of a run."""

from tfkd.models import batch_statistics, frozen_graph, pixels, specialist, table_columns, text_layers, token_ids, trees

__all__ = [
    "batch_statistics",
    "frozen_graph",
    "pixels",
    "specialist",
    "table_columns",
    "text_layers",
    "token_ids",
    "trees",
]
