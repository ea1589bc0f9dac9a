"""The order of the packages: a module imports only what is above it in `ORDER`, also in late imports."""

import ast
import graphlib
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "tfkd"
ORDER = (
    *(
        "version",
        "errors",
        "arguments",
        "records",
        "files",
        "strict_json",
        "machine",
        "quiet",
        "import_path",
        "temporary",
        "interruption",
        "processes",
    ),
    *("terminal", "progress", "exit_codes", "sandbox", "labels"),
    *(
        "signature",
        "recipe",
        "inputs",
        "data",
        "kernels",
        "models",
        "distill",
        "store",
        "training",
        "teachers",
        "compress",
    ),
    *("formats", "writers", "verification", "bundle", "benchmark", "releases", "monitor", "report", "pipeline"),
    *("interface", "commands", "cli", "__main__"),
)


def _modules() -> dict[str, Path]:
    """Returns the file of every module, by its dotted name without `tfkd.`."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)] = path
    return found


MODULES = _modules()


def imported(source: str, package: str) -> Iterator[str]:
    """Yields the modules of tfkd that a source imports anywhere, functions included.

    Args:
        source: its text.
        package: dotted name of the package that relative imports start from, without `tfkd.`.
    """
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[2] for alias in node.names if alias.name.startswith("tfkd."))
        elif isinstance(node, ast.ImportFrom):
            base = (node.module or "").split(".") if not node.level else ["tfkd", *_parents(package, node)]
            if base[0] == "tfkd":
                for alias in node.names:
                    name = ".".join([*base[1:], alias.name])
                    yield name if name in MODULES else ".".join(base[1:])


def _parents(package: str, node: ast.ImportFrom) -> list[str]:
    parts = package.split(".")
    return parts[: len(parts) - node.level + 1] + (node.module.split(".") if node.module else [])


def _edges(with_types: bool) -> dict[str, set[str]]:
    found = {}
    for name, path in MODULES.items():
        package = name if path.name == "__init__.py" else name.rpartition(".")[0]
        source = path.read_text("utf-8")
        found[name] = set(imported(source if with_types else without_types(source), package)) - {name}
    return found


def without_types(source: str) -> str:
    """Returns a source without the parts that only type checkers read."""
    tree = ast.parse(source)
    tree.body = [
        node for node in tree.body if not (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test))
    ]
    return ast.unparse(tree)


EDGES = _edges(with_types=True)


@pytest.mark.parametrize("name", [name for name in MODULES if name != "__init__"])
def test_a_module_imports_only_what_is_above_it(name: str) -> None:
    own = ORDER.index(name.split(".")[0])
    below = [target for target in EDGES[name] if not target or ORDER.index(target.split(".")[0]) > own]
    assert not below, f"tfkd.{name} imports {', '.join(f'tfkd.{each}' for each in below)}, which is below it"


def test_no_modules_import_each_other() -> None:
    # A package's own __init__ may name its modules, and they may use what it defines.
    edges = {
        name: {target for target in targets if not name.startswith(f"{target}.") and target != "__init__"}
        for name, targets in _edges(with_types=False).items()
        if name != "__init__"
    }
    graphlib.TopologicalSorter(edges).prepare()


def test_the_order_names_every_package_and_nothing_else_but_what_is_to_come() -> None:
    present = {name.split(".")[0] for name in MODULES} - {"__init__"}
    assert present <= set(ORDER)


def test_late_and_relative_imports_are_found() -> None:
    source = "def f():\n    from tfkd.bundle import seal\n    from . import layout\n    import tfkd.report.html\n"
    assert set(imported(source, "store")) == {"bundle.seal", "store.layout", "report.html"}
