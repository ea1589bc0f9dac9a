"""Reads recipes from a Python file or a bundle's `recipe.json`, applies overrides, and reports errors.

No other module reads settings from files.
"""

import copy
import difflib
import itertools
import json
import runpy
import types
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

import pydantic

from tfkd.errors import RequestError, nearest
from tfkd.interruption import Terminated
from tfkd.recipe import AUTO, Block, Compression, Loss, Recipe, as_set, user_code
from tfkd.strict_json import JsonError, once_each

_MOST_SUGGESTED = 3  # largest number of suggested places of a field

AnyBlock = TypeVar("AnyBlock", bound=Block)


def load(path: Path, overrides: list[str] | None = None) -> Recipe:
    """Reads a recipe from a Python file, or from a `recipe.json`, and applies `key.path=value` overrides.

    Relative `folder:` sources are taken from the current directory.

    Raises:
        RequestError: the file is missing or holds no recipe, or a field is unknown or has a wrong value.
    """
    if not path.is_file():
        raise RequestError(f"No recipe at {path}. Give the path of a Python file with `recipe = Recipe(...)`.")
    readers = {".json": _read_json, ".py": _read_python}
    if path.suffix not in readers:
        raise RequestError(
            f"{path} is no recipe: it is neither a Python file (.py) with `recipe = Recipe(...)` nor a recipe.json."
        )
    values = readers[path.suffix](path)
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
        raise RequestError(f"{where}: {explained(error)}") from error


def _read_json(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=once_each)
    except JsonError as error:
        raise RequestError(f"{path}: {error}. Remove one of them.") from None
    except (OSError, ValueError) as error:
        raise RequestError(f"{path} is not readable JSON: {error}") from None
    if not isinstance(values, dict):
        raise RequestError(f"{path} holds a {type(values).__name__}, not the fields of a recipe.")
    return values


def _read_python(path: Path) -> dict[str, Any]:
    user_code.check_imports(path.read_bytes())
    try:
        recipe = runpy.run_path(str(path)).get("recipe")
    except (MemoryError, KeyboardInterrupt, Terminated):
        raise
    except RequestError as error:
        raise RequestError(f"{path}: {error}") from error
    except pydantic.ValidationError as error:
        raise RequestError(f"{path}: {explained(error)}") from error
    except BaseException as error:  # exit() is one
        raise RequestError(f"{path} cannot be run: {type(error).__name__}: {error}") from error
    if not isinstance(recipe, Recipe):
        raise RequestError(f"{path} does not define `recipe = Recipe(...)`.")
    return values_of(recipe)


def values_of(recipe: Recipe) -> dict[str, Any]:
    """Returns the values of a recipe for `overridden` and `parse`."""
    values = recipe.model_dump(mode="json")
    for teacher, described in zip(recipe.teachers, values["teachers"], strict=True):
        for name in {"fine_tune", "weights"} - teacher.model_fields_set:
            del described[name]  # its default depends on `model`, which an override may change
    return values


def overridden(values: dict[str, Any], overrides: list[str]) -> dict[str, Any]:
    """Returns the values with every `key.path=value` set.

    Raises:
        RequestError: an override has another form, or its path does not exist.
    """
    changed = copy.deepcopy(values)
    for override in overrides:
        _apply(changed, override)
    return changed


def _apply(values: dict[str, Any], override: str) -> None:
    """Sets one dotted path; a number indexes a list, and the only entry of a list needs no number."""
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise RequestError(f"Override {override!r} is not of the form key.path=value, e.g. distill.training.epochs=5.")
    try:
        value = json.loads(text, object_pairs_hook=once_each)
    except JsonError as error:
        raise RequestError(f"Override {override!r}: {error}. Remove one of them.") from None
    except ValueError:
        value = text
    target: Any = values
    parts = key.split(".")
    for position in range(len(parts) - 1):
        target = _step(target, parts, position)
    target, last = _entry(target, parts[-1], key), parts[-1]
    if isinstance(target, list):
        target[int(last)] = value
    elif isinstance(target, dict):
        target[last] = value
    else:
        raise RequestError(f"Override {key!r}: {parts[-2]!r} has no fields of its own.")


def _step(target: Any, parts: list[str], position: int) -> Any:
    """Returns the value of one part of a dotted path; creates a block that is absent or None."""
    part, key = parts[position], ".".join(parts)
    target = _entry(target, part, key)
    if isinstance(target, list):
        return target[int(part)]
    known = _fields_at(parts[:position]) if isinstance(target, dict) else []
    if not isinstance(target, dict) or (part not in target and part not in known):
        raise RequestError(f"Override {key!r}: there is no field {part!r}.{_suggested(parts, position, known)}")
    if target.get(part) == AUTO:
        target[part] = {"auto": True}
    elif target.get(part) is None:
        target[part] = _initial(_block_at(parts[:position]), part)
    return target[part]


def _initial(block: type[Block], name: str) -> Any:
    """Returns the value of an absent field for an override of a part of it: of its default, what is set, or {}."""
    field = block.model_fields.get(name)
    value = as_set(field.default) if field else None
    return value if value and isinstance(value, dict | list) else {}


def _entry(target: Any, part: str, key: str) -> Any:
    """Returns a list that a number indexes, the only entry of a list without a number, or any other value."""
    if not isinstance(target, list) or (part.isdigit() and int(part) < len(target)):
        return target
    if len(target) == 1 and not part.isdigit():
        return target[0]
    raise RequestError(f"Override {key!r}: {part!r} is not an index of that list ({_indices(target)}).")


def _indices(target: list[Any]) -> str:
    return f"0 to {len(target) - 1}" if target else "it is empty"


def _suggested(parts: Sequence[str], position: int, known: list[str], root: type[Block] = Recipe) -> str:
    """Returns a hint about an unknown field: its right place, or a similar name.

    Args:
        parts: parts of the dotted path.
        position: of the part that does not exist.
        known: the fields that exist in its place.
        root: the block whose fields are suggested.
    """
    everywhere = list(_paths(root))
    if there := _ending(everywhere, parts[position:], parts):
        return there
    if difflib.get_close_matches(parts[position], known, n=1, cutoff=0.7):
        return nearest(parts[position], known)
    if there := _ending(everywhere, parts[-1:], parts):
        return there
    close = difflib.get_close_matches(parts[-1], {path[-1] for path in everywhere}, n=1, cutoff=0.75)
    if not close:
        return nearest(parts[position], known)
    return f" Did you mean {'.'.join(next(path for path in everywhere if path[-1] == close[0]))!r}?"


def _ending(paths: list[list[str]], end: Sequence[str], wrong: Sequence[str]) -> str:
    """Returns a hint with the paths that have this end, the most similar first; "" if there is none."""
    found = [path for path in paths if path[-len(end) :] == list(end)]
    found.sort(
        key=lambda path: (
            -len(list(itertools.takewhile(lambda pair: pair[0] == pair[1], zip(path, wrong, strict=False))))
        )
    )
    if list(wrong) in found:  # the path is that of the recipe, and the block is another one
        return f" It is a field of Recipe: Recipe({wrong[0]}=…)."
    return f" It is {' or '.join('.'.join(path) for path in found[:_MOST_SUGGESTED])}." if found else ""


def _paths(block: type[Block], before: tuple[str, ...] = ()) -> Iterator[list[str]]:
    """Yields the dotted path of every field of a block and of the blocks in it; 0 is a list's first entry."""
    seen: set[str] = set()
    for name, field in block.model_fields.items():
        yield [*before, name]
        step = (*before, name, "0") if _is_list(field.annotation) else (*before, name)
        for child in _blocks_of(field.annotation):
            for path in _paths(child, step):
                if (key := ".".join(path)) not in seen:
                    seen.add(key)
                    yield path


def explained(error: pydantic.ValidationError) -> str:
    """Turns pydantic's errors into one line with each field, its value and the most similar name."""
    lines = []
    for item in error.errors(include_url=False):
        path = [str(part) for part in item["loc"] if not isinstance(part, int)]
        where = ".".join(str(part) for part in item["loc"] if part not in kinds()) or "recipe"
        if item["type"] == "extra_forbidden":
            known = _fields_at(path[:-1], error.title)
            parts = where.split(".")
            lines.append(f"there is no field {where!r}.{_suggested(parts, len(parts) - 1, known, _root(error.title))}")
        elif item["type"] == "missing":
            lines.append(f"the field {where!r} is missing.")
        elif item["type"].startswith("union_tag"):
            named = item["input"].get("kind", "") if isinstance(item["input"], dict) else ""
            named_kinds = kinds(Compression if path[0] == "compress" else Loss)
            lines.append(f"{where}.kind = {named!r}: there is no such kind.{nearest(str(named), list(named_kinds))}")
        elif item["type"] != "default_factory_not_called":  # it follows from the error of another field
            whole = isinstance(item["input"], Mapping | Block)  # a rule that several of its fields break together
            value = "" if whole else f" = {item['input']!r}"
            lines.append(f"{where}{value}: {item['msg'].removeprefix('Value error, ')}.")
    return " ".join(lines)


def _root(title: str) -> type[Block]:
    """Returns the block called `title` if it is no part of a recipe, or else the recipe."""
    named = {block.__name__: block for block in Block.__subclasses__()}.get(title, Recipe)
    return Recipe if named.__module__.startswith(Recipe.__module__.rpartition(".")[0]) else named


def _fields_at(path: Sequence[str], title: str = "Recipe") -> list[str]:
    """Returns the field names of the block that a path of names leads to from the block called `title`."""
    return list(_block_at(path, title).model_fields)


def _block_at(path: Sequence[str], title: str = "Recipe") -> type[Block]:
    """Returns the block that a path of names leads to from the block called `title`."""
    blocks: dict[str, type[Block]] = {block.__name__: block for block in _subclasses(Block)}
    block = blocks.get(title, Recipe)
    for part in path:
        if part in block.model_fields:
            block = next(iter(_blocks_of(block.model_fields[part].annotation)), Block)
        else:
            block = kinds().get(part, block)
    return block


def kinds(base: type[Block] = Block) -> dict[str, type[Block]]:
    """Returns the blocks with a field `kind`, by its value, which pydantic adds to the path of an error."""
    return {block.model_fields["kind"].default: block for block in _subclasses(base) if "kind" in block.model_fields}


def _subclasses(block: type[Block]) -> list[type[Block]]:
    return [child for direct in block.__subclasses__() for child in (direct, *_subclasses(direct))]


def _is_list(annotation: Any) -> bool:
    """Returns whether a field holds a list, or a list or None."""
    return get_origin(annotation) is list or any(_is_list(argument) for argument in get_args(annotation))


def _blocks_of(annotation: Any) -> list[type[Block]]:
    """Returns the blocks that a field may hold, one or in a list."""
    if isinstance(annotation, type) and issubclass(annotation, Block):
        return [annotation]
    if get_origin(annotation) in (list, Union, Annotated, types.UnionType):
        return [block for argument in get_args(annotation) for block in _blocks_of(argument)]
    return []


LOSSES = kinds(Loss)
