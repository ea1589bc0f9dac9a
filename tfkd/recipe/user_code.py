"""The source code of `package.module:function`: its module, and the modules of the user's that it imports."""

import ast
import functools
import hashlib
import importlib
import os
import pkgutil
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

from tfkd.errors import RequestError

_imported_here: dict[str, str] = {}  # digests of the sources of modules when `imported` last saw them


@dataclass(frozen=True)
class ModuleSource:
    """The source of one module.

    Attributes:
        file: its path below the folder that imports start from.
        digest: SHA-256 of its bytes, hex.
    """

    file: str
    digest: str


def sources_of(module: str) -> dict[str, ModuleSource]:
    """Returns the sources of a module and of every module of the user's own that it imports, by module name.

    Nothing is run to find them. Imports are read from the syntax tree: `import`, `from`, and `import_module` of a
    constant. Modules of the standard library, of installed packages and of tfkd are left out; an installed module that
    is asked for by name is represented by its own source.

    Args:
        module: dotted name, as in `package.module:function`.

    Raises:
        RequestError: a source file is unreadable, or has the name of an installed module.
    """
    return _closure(list(_with_parents(module)), module)


def check_imports(content: bytes) -> None:
    """Checks that what a script imports is what the user's own folders hold, as far as they hold it.

    Args:
        content: the script's source.

    Raises:
        RequestError: a module of the user's has the name of an installed module, or its source is unreadable.
    """
    _closure(list(_imports(content, "__main__", False)))


def _closure(waiting: list[str], asked: str = "") -> dict[str, ModuleSource]:
    """Returns the sources of modules and of what they import of the user's own; `asked` may be an installed one."""
    importlib.invalidate_caches()
    found: dict[str, ModuleSource] = {}
    seen = set[str]()
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        _refuse_hidden(name.partition(".")[0])
        spec = _spec(name)
        if spec is None or not (_is_own(spec) or name == asked):
            continue
        if spec.has_location and spec.origin:
            content = _content(spec, spec.origin)
            file = name.replace(".", "/") + _suffix(spec, spec.origin)
            found[name] = ModuleSource(file, hashlib.sha256(content).hexdigest())
            if _is_own(spec):
                waiting.extend(_imports(content, name, spec.submodule_search_locations is not None))
    return found


def imported(module: str) -> Any:
    """Imports a module, again where one of its sources changed since the last call, as happens in a notebook.

    Raises:
        Exception: whatever the module raises.
    """
    sources = sources_of(module)
    digests = {name: source.digest for name, source in sources.items()}
    if any(_imported_here.get(name, digest) != digest for name, digest in digests.items()):
        for name in digests:
            sys.modules.pop(name, None)
    _imported_here.update(digests)
    return importlib.import_module(module)


def _with_parents(name: str) -> Iterator[str]:
    """Yields a module's name and those of the packages around it, whose `__init__` runs first."""
    parts = name.split(".")
    for count in range(1, len(parts) + 1):
        yield ".".join(parts[:count])


def _spec(name: str) -> ModuleSpec | None:
    """Finds a module as `import` would, without running the packages around it; importlib's own function runs them."""
    if not all(part.isidentifier() for part in name.split(".")):
        return None
    top, *_ = parts = list(_with_parents(name))
    finders = (finder.find_spec for finder in sys.meta_path if hasattr(finder, "find_spec"))
    spec = next((found for find in finders if (found := find(top, None))), None)
    for part in parts[1:]:
        places = list((spec and spec.submodule_search_locations) or ())
        importers = filter(None, map(pkgutil.get_importer, places))
        spec = next((found for importer in importers if (found := importer.find_spec(part))), None)
    return spec


def _refuse_hidden(top: str) -> None:
    """Refuses a module of the user's own that an installed one or one of the standard library hides.

    Raises:
        RequestError: names the file.
    """
    found = _spec(top)
    if found is None or _is_own(found):
        return
    kind = "a module of the standard library" if top in sys.stdlib_module_names else "an installed package"
    for importer in filter(None, map(pkgutil.get_importer, sys.path)):
        own = importer.find_spec(top)
        if own is not None and _is_own(own) and own.origin:  # a package has one where it has an __init__.py
            raise RequestError(
                f"{own.origin} has the name of {kind}, {top}, which Python imports in its place. Rename the file."
            )


@functools.cache
def _installed() -> tuple[str, ...]:
    """Returns the folders of the standard library and of tfkd."""
    folders = [sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"), str(Path(__file__).parents[1])]
    return tuple(os.path.realpath(folder) + os.sep for folder in folders)


def _is_own(spec: ModuleSpec) -> bool:
    """Returns whether a module is in a folder of the user's own, and not in an installed package."""
    if spec.submodule_search_locations is not None and not spec.origin:  # a package without __init__.py
        places = list(spec.submodule_search_locations)
    else:
        places = [spec.origin] if spec.has_location and spec.origin else []
    paths = [os.path.realpath(place) for place in places]
    return any(
        not path.startswith(_installed()) and not {"site-packages", "dist-packages"} & set(Path(path).parts)
        for path in paths
    )


def _content(spec: ModuleSpec, origin: str) -> bytes:
    try:
        loader: Any = spec.loader
        return bytes(loader.get_data(origin))
    except OSError as error:
        raise RequestError(f"The source {origin} cannot be read: {error.strerror or error}.") from None


def _suffix(spec: ModuleSpec, origin: str) -> str:
    suffix = Path(origin).suffix
    return f"/__init__{suffix}" if spec.submodule_search_locations is not None else suffix


def _imports(content: bytes, name: str, is_package: bool) -> Iterator[str]:
    """Yields the names of all modules that a module may import, with the packages around them."""
    try:
        tree = ast.parse(content)
    except (SyntaxError, ValueError):  # compiled code, or code that its import will complain about
        return
    package = name if is_package else name.rpartition(".")[0]
    for node in ast.walk(tree):
        for imported in _targets(node, package):
            yield from _with_parents(imported)


def _targets(node: ast.AST, package: str) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        around = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
        base = ".".join([*around, *([node.module] if node.module else [])])
        yield base
        yield from (f"{base}.{alias.name}" for alias in node.names if alias.name != "*")
    elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
        called = getattr(node.func, "attr", getattr(node.func, "id", ""))
        if called in ("import_module", "__import__") and isinstance(node.args[0].value, str):
            yield node.args[0].value.lstrip(".")
