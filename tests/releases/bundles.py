"""Copies of a small bundle, and changes of them that stay consistent."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tfkd.releases.reading import Release, read_release

BUNDLE = Path(__file__).parents[1] / "fixtures" / "0.1.0" / "bundle"  # four golden images of the first four classes


def copied(folder: Path) -> Path:
    return Path(shutil.copytree(BUNDLE, folder))


def change_json(path: Path, change: Callable[[Any], None]) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def swap(values: list[Any], first: int = 3, second: int = 4) -> None:
    values[first], values[second] = values[second], values[first]


def swap_labels(folder: Path) -> None:
    """Exchanges the names of two outputs; the outputs stay where they are."""
    change_json(folder / "manifest.json", lambda manifest: swap(manifest["data"]["classes"]))
    change_json(folder / "golden" / "golden.json", lambda golden: swap(golden["classes"]))
    names = (folder / "labels.txt").read_text().splitlines()
    swap(names)
    (folder / "labels.txt").write_text("\n".join(names) + "\n")


def swap_outputs(folder: Path) -> None:
    """Exchanges two outputs; their names stay where they are."""

    def change(golden: Any) -> None:
        for image in golden["images"]:
            for row in image["probabilities"].values():
                swap(row)

    change_json(folder / "golden" / "golden.json", change)


def release() -> Release:
    return read_release("old", BUNDLE)
