"""Modules that leave a mark when they are imported."""

from pathlib import Path


def set_traps(folder: Path, *names: str) -> Path:
    """Writes modules that leave a mark when they are imported, and returns the path of the mark."""
    mark = folder / "imported"
    for name in names:
        (folder / f"{name}.py").write_text(f"open({str(mark)!r}, 'a').write({name!r})\nraise ImportError")
    return mark
