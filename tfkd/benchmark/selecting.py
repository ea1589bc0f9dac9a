"""The target that a user means by `name` or `name:address`, with its options."""

import importlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import ModuleType

from tfkd.benchmark import TARGETS
from tfkd.benchmark.options import AnyOptions, checked, flag, names
from tfkd.errors import RequestError, enumerated, nearest


@dataclass(frozen=True)
class SelectedTarget:
    """A target with the address behind its name, its module and its options."""

    name: str
    address: str
    module: ModuleType
    options: AnyOptions


def select_target(target: str, options: Mapping[str, object], others: Collection[str] = ()) -> SelectedTarget:
    """Returns the target that is meant.

    Args:
        target: name, or name:address.
        options: some of its options by name.
        others: names that the caller accepts beside the options of targets, for messages.

    Raises:
        RequestError: there is no such target, or it does not read an option.
    """
    name, _, address = target.partition(":")
    if name not in TARGETS:
        raise RequestError(f"There is no target {name!r}.{nearest(name, list(TARGETS))}")
    record = TARGETS[name].options
    for option in options:
        if option in names(record):
            continue
        readers = [each for each in TARGETS if option in names(TARGETS[each].options)]
        if not readers:
            known = {known for each in TARGETS.values() for known in names(each.options)} | set(others)
            raise RequestError(f"There is no option {option!r}.{nearest(option, sorted(known))}")
        raise RequestError(
            f"{flag(option)} is for {enumerated(readers)}; the target {name} does not read it. Leave it out."
        )
    return SelectedTarget(name, address, _module(name), checked(record, options))


def targets_with(limit: str, format: str | None = None) -> list[str]:
    """Returns the names of the targets whose results can be judged by a limit of `tfkd.benchmark.gates`.

    Args:
        limit: name of the limit.
        format: one that the targets must run; None: any.
    """
    modules = {name: _module(name) for name in TARGETS}
    return [
        name for name, each in modules.items() if limit in each.LIMITS and (format is None or format in each.FORMATS)
    ]


def _module(name: str) -> ModuleType:
    return importlib.import_module(TARGETS[name].module)
