"""Prints the size and shape of the package as JSON: lines, files, longest functions and classes, what knows a kind.

    python -m tools.structure [FOLDER]       of the package in FOLDER (default: tfkd)

Image terms are words that only make sense for images (`TERMS`). A module that knows a `Signature` instead of pixels
holds fewer than three of them. Packages whose subject is images, or what is written into the files of an app, are left
out (`ABOUT_IMAGES`). Text lines are those with a word that only makes sense for texts (`TEXT_TERMS`), outside of the
packages whose subject is texts (`ABOUT_TEXTS`).
"""

import argparse
import ast
import json
import re
from collections import defaultdict
from pathlib import Path
from typing import Any

TERMS = re.compile(
    r"photo|pixel|picture|(?<![a-z])rgb|(?<![a-z])png|jpe?g|(?<![a-z])crop|gr[ea]y|image_?size|image_?data"
    r"|\bsize: int\b|\bS, S, 3\b|height, width",
    re.IGNORECASE,
)
ABOUT_IMAGES = ("inputs/image", "models", "formats", "writers")
TEXT_TERMS = re.compile(
    r"vocabular|pieces|(?<![a-z])token|(?<![a-z])(?:bert|minilm|banking)|\btexts\b|(?<![a-z])word_(?!by)|look_up",
    re.IGNORECASE,
)
ABOUT_TEXTS = ("inputs/text", "models")
MANY = 3
LONGEST = 5  # functions and classes that are named


def structure(package: Path) -> dict[str, Any]:
    """Returns the figures of a package's source files.

    Args:
        package: the folder of the package.
    """
    sources = {path.relative_to(package).as_posix(): path.read_text("utf-8") for path in sorted(package.rglob("*.py"))}
    lines = {name: source.count("\n") for name, source in sources.items()}
    functions, classes = _lengths(sources)
    return {
        "files": len(sources),
        "lines": sum(lines.values()),
        "packages": _packages(lines),
        "longest_files": _largest(lines),
        "longest_functions": _largest(functions),
        "functions_over_60_lines": sum(length > 60 for length in functions.values()),
        "longest_classes": _largest(classes),
        "classes_over_150_lines": sum(length > 150 for length in classes.values()),
        "image_terms": image_terms(sources),
        "text_lines": text_lines(sources),
    }


def image_terms(sources: dict[str, str]) -> dict[str, Any]:
    """Returns which files outside of the packages about images hold many image terms.

    Args:
        sources: text by path inside the package.
    """
    counted = {
        name: len(TERMS.findall(source))
        for name, source in sources.items()
        if not name.startswith(tuple(f"{folder}/" for folder in ABOUT_IMAGES))
    }
    many = {name: count for name, count in counted.items() if count >= MANY}
    return {"files": len(counted), f"with_{MANY}_or_more": len(many), "where": _largest(many, len(many))}


def text_lines(sources: dict[str, str]) -> dict[str, Any]:
    """Returns how many lines outside of the packages about texts hold a text term, and where.

    Args:
        sources: text by path inside the package.
    """
    counted = {
        name: sum(TEXT_TERMS.search(line) is not None for line in source.splitlines())
        for name, source in sources.items()
        if not name.startswith(tuple(f"{folder}/" for folder in ABOUT_TEXTS))
    }
    found = {name: count for name, count in counted.items() if count}
    return {"files": len(found), "lines": sum(found.values()), "where": _largest(found, len(found))}


def _lengths(sources: dict[str, str]) -> tuple[dict[str, int], dict[str, int]]:
    functions: dict[str, int] = {}
    classes: dict[str, int] = {}
    for name, source in sources.items():
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                found = classes if isinstance(node, ast.ClassDef) else functions
                found[f"{name}:{node.name}"] = (node.end_lineno or node.lineno) - node.lineno + 1
    return functions, classes


def _packages(lines: dict[str, int]) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = defaultdict(lambda: {"files": 0, "lines": 0})
    for name, count in lines.items():
        package = found[name.split("/")[0] if "/" in name else "."]
        package["files"] += 1
        package["lines"] += count
    return dict(found)


def _largest(counts: dict[str, int], number: int = LONGEST) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda item: -item[1])[:number])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("package", type=Path, nargs="?", default=Path("tfkd"))
    print(json.dumps(structure(parser.parse_args().package), indent=1))
