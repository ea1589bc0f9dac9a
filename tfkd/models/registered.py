"""Registers tfkd's own Keras layers, for the files of a run."""

from tfkd.models import batch_statistics, frozen_graph, pixels, specialist, text_layers, token_ids

__all__ = ["batch_statistics", "frozen_graph", "pixels", "specialist", "text_layers", "token_ids"]
