"""One name, one meaning: every class and every alias of a type has a name of its own."""

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1] / "tfkd"


def type_names(source: str) -> Iterator[str]:
    """Yields the classes of a module, nested ones included, and its CamelCase aliases such as `Rung = Literal[...]`."""
    tree = ast.parse(source)
    yield from (node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef))
    for statement in tree.body:
        for target in statement.targets if isinstance(statement, ast.Assign) else []:
            if isinstance(target, ast.Name) and target.id[0].isupper() and not target.id.isupper():
                yield target.id


def test_no_name_of_a_type_is_defined_in_two_modules() -> None:
    places = defaultdict(list)
    for path in sorted(PACKAGE.rglob("*.py")):
        for name in type_names(path.read_text("utf-8")):
            places[name].append(str(path.relative_to(PACKAGE)))
    assert not {name: modules for name, modules in places.items() if len(modules) > 1}


def test_classes_and_aliases_are_found_but_constants_are_not() -> None:
    source = "Level = Literal['ok']\nLIMIT = 2\nname = 'x'\nclass Outer:\n    class _Inner: ...\n"
    assert list(type_names(source)) == ["Outer", "_Inner", "Level"]
