"""The user's modules that define custom layers and functions of models."""

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import Any

from tfkd.errors import RequestError, cause
from tfkd.recipe.user_code import sources_of


def import_modules(names: Sequence[str]) -> None:
    """Imports modules, and registers the layers and functions that they define with Keras and tf_keras.

    Args:
        names: names as in Python's `import`.

    Raises:
        RequestError: a module cannot be imported, or an installed one hides it.
    """
    for name in names:
        sources_of(name)
        try:
            module = importlib.import_module(name)
        except (Exception, SystemExit) as error:
            advice = f" Name the module, not the file: {name[:-3]!r}." if name.endswith(".py") else ""
            raise RequestError(f"Cannot import the module {name!r}: {cause(error)}.{advice}") from error
        _register(module)


def modules_of_registered() -> list[str]:
    """Returns the modules that registered classes and functions with Keras or tf_keras and can be imported again."""
    import keras
    import tf_keras

    registered = [*keras.saving.get_custom_objects().values(), *tf_keras.saving.get_custom_objects().values()]
    names = {getattr(value, "__module__", None) or "" for value in registered}
    libraries = ("tfkd", "keras", "tf_keras", "tensorflow", "tensorflow_model_optimization", "__main__", "")
    return sorted(name for name in names if name.split(".")[0] not in libraries and _is_importable(name))


def _is_importable(name: str) -> bool:
    module = sys.modules.get(name)
    return module is not None and importlib.util.find_spec(name) is not None


def _register(module: ModuleType) -> None:
    import keras
    import tf_keras

    for library in (keras, tf_keras):
        known = library.saving.get_custom_objects()
        for name, value in _own(module):
            kinds = (library.layers.Layer, library.regularizers.Regularizer, library.initializers.Initializer)
            if inspect.isfunction(value) or issubclass(value, kinds):
                known.setdefault(name, value)


def _own(module: ModuleType) -> Iterator[tuple[str, Any]]:
    """Yields the classes and functions that a module itself defines."""
    for name, value in vars(module).items():
        if (inspect.isclass(value) or inspect.isfunction(value)) and value.__module__ == module.__name__:
            yield name, value
