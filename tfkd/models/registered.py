"""Imports tfkd's own Keras layers, so that Keras knows the classes in the files that a run has written."""

from tfkd.models import batch_statistics, frozen_graph, pixels, specialist

__all__ = ["batch_statistics", "frozen_graph", "pixels", "specialist"]
