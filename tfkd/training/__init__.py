"""One training: its data, loop, processes and files."""
