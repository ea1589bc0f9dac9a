"""Soft labels on the disk: layout, writing, reading and the teacher's inference."""
