"""Soft labels on the disk: layout, writing, reading and teacher inference."""
