"""Recipes as people write them: a Python file or a bundle's `recipe.json`, with overrides; and what is wrong with one.

Nothing else in the package reads files for settings.
"""

import copy
import json
import runpy
import types
from pathlib import Path
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

import pydantic

from tfkd.errors import RequestError, nearest
from tfkd.recipe import Block, Compression, Loss, Recipe

AnyBlock = TypeVar("AnyBlock", bound=Block)


def load(path: Path, overrides: list[str] | None = None) -> Recipe:
    """Reads a recipe from a Python file, or from a `recipe.json`, and applies `key.path=value` overrides.

    Relative `folder:` sources are taken from the current directory.

    Raises:
        RequestError: the file is missing or holds no recipe, or a field is unknown or has a wrong value.
    """
    if not path.is_file():
        raise RequestError(f"No recipe at {path}. Give the path of a Python file with `recipe = Recipe(...)`.")
    values = _read_json(path) if path.suffix == ".json" else _read_python(path)
    return parse(overridden(values, overrides or []), str(path))


def parse(values: Any, where: str) -> Recipe:
    """Validates the values of a recipe; `where` names their origin in error messages.

    Raises:
        RequestError: a field is unknown, missing or has a wrong value.
    """
    return validated(values, Recipe, where)


def validated(values: Any, block: type[AnyBlock], where: str) -> AnyBlock:
    """Validates the values of a block; `where` names their origin in error messages.

    Raises:
        RequestError: a field is unknown, missing or has a wrong value.
    """
    try:
        return block.model_validate(values)
    except pydantic.ValidationError as error:
        raise RequestError(f"{where}: {_explain(error)}") from None


def _read_json(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RequestError(f"{path} is not readable JSON: {error}") from None
    if not isinstance(values, dict):
        raise RequestError(f"{path} holds a {type(values).__name__}, not the fields of a recipe.")
    return values


def _read_python(path: Path) -> dict[str, Any]:
    try:
        recipe = runpy.run_path(str(path)).get("recipe")
    except pydantic.ValidationError as error:
        raise RequestError(f"{path}: {_explain(error)}") from None
    except Exception as error:
        raise RequestError(f"{path} cannot be run: {type(error).__name__}: {error}") from error
    if not isinstance(recipe, Recipe):
        raise RequestError(f"{path} does not define `recipe = Recipe(...)`.")
    return recipe.model_dump(mode="json")


def overridden(values: dict[str, Any], overrides: list[str]) -> dict[str, Any]:
    """Returns the values with every `key.path=value` set.

    Raises:
        RequestError: an override has another form, or its path leads nowhere.
    """
    changed = copy.deepcopy(values)
    for override in overrides:
        _apply(changed, override)
    return changed


def _apply(values: dict[str, Any], override: str) -> None:
    """Sets one dotted path; a number steps into a list, and a lone list entry needs no number."""
    key, equals, text = override.partition("=")
    if not equals:
        raise RequestError(f"Override {override!r} is not of the form key.path=value, e.g. distill.training.epochs=5.")
    try:
        value = json.loads(text)
    except ValueError:
        value = text
    target: Any = values
    *parents, last = key.split(".")
    for part in parents:
        target = _step(target, part, key)
    if isinstance(target, list):
        target[_index(target, last, key)] = value
    elif isinstance(target, dict):
        target[last] = value
    else:
        raise RequestError(f"Override {key!r}: {parents[-1]!r} has no fields of its own.")


def _step(target: Any, part: str, key: str) -> Any:
    if isinstance(target, list):
        return target[_index(target, part, key)]
    if isinstance(target, dict) and part in target:
        if target[part] is None:
            target[part] = {}
        return target[part]
    known = list(target) if isinstance(target, dict) else []
    raise RequestError(f"Override {key!r}: there is no field {part!r}.{nearest(part, known)}")


def _index(target: list[Any], part: str, key: str) -> int:
    if part.isdigit() and int(part) < len(target):
        return int(part)
    raise RequestError(f"Override {key!r}: {part!r} is not an index of that list (0 to {len(target) - 1}).")


def _explain(error: pydantic.ValidationError) -> str:
    """Turns pydantic's errors into one line that names each field, its value and the nearest right name."""
    lines = []
    for item in error.errors(include_url=False):
        path = [part for part in item["loc"] if not isinstance(part, int)]
        where = ".".join(str(part) for part in item["loc"] if part not in _kinds()) or "recipe"
        if item["type"] == "extra_forbidden":
            lines.append(f"there is no field {where!r}.{nearest(str(path[-1]), _fields_at(path[:-1], error.title))}")
        elif item["type"] == "missing":
            lines.append(f"the field {where!r} is missing.")
        elif item["type"].startswith("union_tag"):
            named = item["input"].get("kind", "") if isinstance(item["input"], dict) else ""
            known = _kinds(Compression if path[0] == "compress" else Loss)
            lines.append(f"{where}.kind = {named!r}: there is no such kind.{nearest(str(named), list(known))}")
        else:
            lines.append(f"{where} = {item['input']!r}: {item['msg'].removeprefix('Value error, ')}.")
    return " ".join(lines)


def _fields_at(path: list[Any], title: str) -> list[str]:
    """Returns the field names of the block that a path of names leads to from the block called `title`."""
    blocks: dict[str, type[Block]] = {block.__name__: block for block in _subclasses(Block)}
    block = blocks.get(title, Recipe)
    for part in path:
        if part in block.model_fields:
            block = _block_of(block.model_fields[part].annotation)
        else:
            block = _kinds().get(part, block)
    return list(block.model_fields)


def _kinds(base: type[Block] = Block) -> dict[str, type[Block]]:
    """Returns the blocks that a field `kind` tells apart, by its value; pydantic puts that into an error's path."""
    return {block.model_fields["kind"].default: block for block in _subclasses(base) if "kind" in block.model_fields}


def _subclasses(block: type[Block]) -> list[type[Block]]:
    return [child for direct in block.__subclasses__() for child in (direct, *_subclasses(direct))]


def _block_of(annotation: Any) -> type[Block]:
    if isinstance(annotation, type) and issubclass(annotation, Block):
        return annotation
    if get_origin(annotation) in (list, Union, Annotated, types.UnionType):
        for argument in get_args(annotation):
            if argument is not type(None):
                return _block_of(argument)
    return Block
