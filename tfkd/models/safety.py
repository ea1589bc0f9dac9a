"""What a model's configuration brings beside layers that Keras knows: code, and classes of the user's own."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any


def dictionaries(config: Any) -> Iterator[dict[str, Any]]:
    """Yield every dictionary in a configuration, from the outside in."""
    waiting = [config]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            yield part
            waiting.extend(part.values())
        elif isinstance(part, list | tuple):
            waiting.extend(part)


def code_refused(path: Path, what: str) -> str:
    """Return the message for a model that brings code of its own."""
    return (
        f"{path} cannot be loaded safely: it brings code ({what}), which could do anything. Build it from layers; "
        "`tfkd export --allow-code` runs the code of a model that you trust."
    )


def missing_class(path: Path, name: str, module: str | None, library: str = "keras") -> str:
    """Return the message for a model that needs a class or function which no imported module has registered."""
    source = f" It was defined in the module {module!r}." if module else ""
    return (
        f"{path} needs the custom class {name!r}, which is not registered with {library}.{source} Import the module "
        f"that defines it: `--import {module or 'MODULE'}`, or imports=[{module or 'MODULE'!r}] in a recipe; or give a "
        "SavedModel (model.export('folder')), which needs no classes."
    )
