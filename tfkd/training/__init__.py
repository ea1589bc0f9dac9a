"""One training: its data, its loop, its processes and what it leaves on the disk."""
