"""Figures of README.md and docs/, written from the files of docs/evidence.

A figure is between `<!--= NAME -->` and `<!--/-->`. `python -m tools.figures` writes the figures, `--check` compares
them, and `record` stores the numbers of a published bundle's manifest as evidence.
"""
