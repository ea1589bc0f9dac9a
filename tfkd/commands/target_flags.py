"""The flags of bench targets, from the records of their options, for the commands that measure."""

import dataclasses
import inspect
from collections.abc import Callable, Collection
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from tfkd.benchmark import TARGETS


def with_flags(without: Collection[str] = ()) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Returns a decorator that replaces the `**options` of a command by one flag per option of any target.

    Args:
        without: options that the command determines itself.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        signature = inspect.signature(command, eval_str=True)
        own = [each for each in signature.parameters.values() if each.kind is not inspect.Parameter.VAR_KEYWORD]
        flags = [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
            for name, (annotation, default) in _flags().items()
            if name not in without
        ]
        place = next(number for number, each in enumerate(own) if each.kind is inspect.Parameter.KEYWORD_ONLY)
        command.__signature__ = signature.replace(  # type: ignore[attr-defined]
            parameters=[*own[:place], *flags, *own[place:]]
        )
        return command

    return decorate


def changed(options: dict[str, Any]) -> dict[str, object]:
    """Returns the options that differ from their defaults; the values of a repeatable flag become a tuple."""
    defaults = {name: default for name, (_, default) in _flags().items()}
    return {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in options.items()
        if value != defaults[name] and value != []
    }


def _flags() -> dict[str, tuple[Any, Any]]:
    """Returns the type and the default of each option of any target; a tuple of values is a repeatable flag."""
    found: dict[str, tuple[Any, Any]] = {}
    for target in TARGETS.values():
        types = get_type_hints(target.options, include_extras=True)
        for each in dataclasses.fields(target.options):
            kind, *described = get_args(types[each.name])
            several = get_origin(kind) is tuple
            annotation = list[get_args(kind)[0]] | None if several else kind  # type: ignore[misc]
            found[each.name] = Annotated[annotation, *described], None if several else each.default
    return found
