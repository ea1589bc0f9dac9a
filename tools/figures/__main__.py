"""`python -m tools.figures`: writes the figures of README.md and docs/ from their evidence, or compares them."""

import argparse
import sys
from pathlib import Path

from tools.figures import marks
from tools.figures.evidence import EVIDENCE, ROOT
from tools.figures.marks import FigureError
from tools.figures.record import record
from tools.figures.registry import figures


def documents(root: Path = ROOT) -> list[Path]:
    """Returns the documents that have figures."""
    found = [root / "README.md", *sorted((root / "docs").rglob("*.md"))]
    return [path for path in found if marks.names(path.read_text(encoding="utf-8"))]


def outdated(write: bool) -> list[str]:
    """Returns the documents that differ from the evidence; rewrites them unless `check` is set."""
    found = []
    for path in documents():
        text = path.read_text(encoding="utf-8")
        right = marks.written(text, figures(), path)
        if right != text:
            found.append(path.relative_to(ROOT).as_posix())
            if write:
                path.write_text(right, encoding="utf-8")
    return found


def main(arguments: list[str]) -> int:
    """Runs the command and returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tools.figures", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 if a document differs")
    commands = parser.add_subparsers(dest="command")
    recording = commands.add_parser("record", help="keep what a bundle's manifest says as evidence")
    recording.add_argument("bundle", type=Path, help="folder of a published bundle")
    recording.add_argument("--made-by", default="make quickstart", help="the command that made it")
    recording.add_argument("--out", type=Path, default=EVIDENCE / "quickstart.json")
    recording.add_argument("--sweep", type=Path, help="sweep.json of the same recipe with several seeds")
    recording.add_argument("--sweep-made-by", default="tfkd sweep pipelines/quickstart.py distill.repeats=3")
    recording.add_argument("--comparison", type=Path, help="comparison.json that `tfkd compare` made of the run")
    options = parser.parse_args(arguments)
    if options.command == "record":
        record(
            options.bundle,
            options.made_by,
            options.out,
            options.sweep,
            options.sweep_made_by,
            options.comparison,
        )
    different = outdated(write=not options.check)
    for path in different:
        print(f"{path}: {'differs from its evidence; run python -m tools.figures' if options.check else 'written'}")
    return 1 if options.check and different else 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except FigureError as error:
        sys.exit(f"figures: {error}")
