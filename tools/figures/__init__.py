"""Figures of README.md and docs/, written from the files of docs/evidence.

A figure stands between `<!--= NAME -->` and `<!--/-->`. `python -m tools.figures` writes them again, `--check` compares
them, and `record` keeps what a published bundle's manifest says as evidence.
"""
