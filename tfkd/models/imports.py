"""Modules of the user's own that define the layers and functions in their models."""

import importlib
import inspect
from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import Any

from tfkd.errors import RequestError, cause


def import_modules(names: Sequence[str]) -> None:
    """Import modules, and make the layers and functions that they define known to Keras and tf_keras.

    Args:
        names: as in Python's `import`.

    Raises:
        RequestError: a module cannot be imported.
    """
    for name in names:
        try:
            module = importlib.import_module(name)
        except Exception as error:
            advice = f" Name the module, not the file: {name[:-3]!r}." if name.endswith(".py") else ""
            raise RequestError(f"Cannot import the module {name!r}: {cause(error)}.{advice}") from error
        _register(module)


def _register(module: ModuleType) -> None:
    import keras
    import tf_keras

    for library in (keras, tf_keras):
        known = library.saving.get_custom_objects()
        for name, value in _own(module):
            wanted = (library.layers.Layer, library.regularizers.Regularizer, library.initializers.Initializer)
            if inspect.isfunction(value) or issubclass(value, wanted):
                known.setdefault(name, value)


def _own(module: ModuleType) -> Iterator[tuple[str, Any]]:
    """Yield the classes and functions that a module itself defines."""
    for name, value in vars(module).items():
        if (inspect.isclass(value) or inspect.isfunction(value)) and value.__module__ == module.__name__:
            yield name, value
