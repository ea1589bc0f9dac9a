"""A run: its stages, their folders and results, and the commands that are made of them."""
