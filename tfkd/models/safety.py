"""Finds code and custom classes in the configuration of a model."""

import re
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

_NAME = re.compile(r"[\w.-]*")
_CODE = (
    *("Lambda", "__lambda__", "ClassMethod", "InstanceMethod", "InstanceProperty"),
    *("ResidualWrapper", "DropoutWrapper"),
)
_PICKLES = ("TorchModuleWrapper",)
_FILES = {
    **dict.fromkeys(("TFSMLayer", "ReloadedLayer"), ("filepath", "loads the SavedModel")),
    **dict.fromkeys(("StringLookup", "IntegerLookup", "TextVectorization"), ("vocabulary", "reads the file")),
}


def dictionaries(config: Any) -> Iterator[dict[str, Any]]:
    """Yields every dictionary in a configuration, from the outside in."""
    waiting = [config]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            yield part
            waiting.extend(part.values())
        elif isinstance(part, list | tuple):
            waiting.extend(part)


def refused(path: Path, what: str) -> str:
    """Returns the message for a model with a part that may do more than compute."""
    return (
        f"{path} cannot be loaded safely: it holds {what}. Build it from layers that compute; "
        "`tfkd export --allow-code` lets a model that you trust do this."
    )


def code_refused(path: Path, what: str) -> str:
    """Returns the message for a model that contains code."""
    return (
        f"{path} cannot be loaded safely: it brings code ({what}), which could do anything. Build it from layers; "
        "`tfkd export --allow-code` runs the code of a model that you trust."
    )


def known_danger(path: Path, part: dict[str, Any]) -> str | None:
    """Returns the message for a class of Keras that does more than compute, or None."""
    name, config = part["class_name"], part.get("config")
    if name in _CODE:
        return code_refused(path, f"{name} layer")
    if name in _PICKLES:
        return code_refused(path, f"the pickle of a {name}")
    argument, action = _FILES.get(name, ("", ""))
    file = config.get(argument) if isinstance(config, dict) else None
    return refused(path, f"the layer {name}, which {action} {file!r}") if isinstance(file, str) else None


def missing_class(path: Path, name: str, module: str | None, library: str = "keras") -> str:
    """Returns the message for a model that needs a class or function that no imported module has registered."""
    if module and _is_of_tfkds_libraries(module):
        return code_refused(path, f"{name!r} of the module {module!r}")
    source = f" It was defined in the module {module!r}." if module else ""
    return (
        f"{path} needs the custom class {name!r}, which is not registered with {library}.{source} Import the module "
        f"that defines it: `--import {module or 'MODULE'}`, or imports=[{module or 'MODULE'!r}] in a recipe; or give a "
        "SavedModel (model.export('folder')), which needs no classes."
    )


def shown_name(part: dict[str, Any]) -> str:
    """Returns the name of the class or function that a dictionary describes."""
    return str(part.get("config") if part["class_name"] == "function" else part["class_name"])


def _is_of_tfkds_libraries(module: str) -> bool:
    """Returns whether a module belongs to Python, tfkd or a package that tfkd needs, not to the user."""
    root = module.split(".")[0]
    if root in sys.stdlib_module_names:
        return True
    packages = {_normal(name) for name in metadata.packages_distributions().get(root, ())}
    return root == "tfkd" or not packages.isdisjoint(_needed("tfkd"))


def _needed(package: str) -> set[str]:
    """Returns the installed packages that one needs, directly or indirectly, including itself."""
    found: set[str] = set()
    waiting = [_normal(package)]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        try:
            requirements = metadata.requires(name) or ()
        except metadata.PackageNotFoundError:
            continue
        found.add(name)
        waiting.extend(_normal(_NAME.match(each)[0]) for each in requirements if "extra ==" not in each)  # type: ignore[index]
    return found


def _normal(package: str) -> str:
    return re.sub(r"[-_.]+", "-", package).lower()
