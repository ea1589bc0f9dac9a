"""Mutants: faults put into the source one at a time, each of which a test must notice.

`python -m tools.mutants` tries those of `listed.toml` and others that are drawn from a seed. It never edits the working
tree: each fault is put into a copy.
"""
