"""Suppresses messages that libraries write to the terminal, also from C++."""

import contextlib
import importlib.abc
import importlib.util
import io
import logging
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator
from importlib.machinery import ModuleSpec
from types import ModuleType


def silence_tensorflow() -> None:
    """Suppresses messages of the first import of TensorFlow in this process; afterwards it logs errors."""
    if "tensorflow" not in sys.modules:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        sys.meta_path.insert(0, _SilentImport())


@contextlib.contextmanager
def tensorflow_silenced() -> Iterator[None]:
    """Suppresses messages of a first import of TensorFlow inside a with-block."""
    before = sys.meta_path[:]
    silence_tensorflow()
    try:
        with retracing_silenced():
            yield
    finally:
        sys.meta_path[:] = [finder for finder in sys.meta_path if finder in before or type(finder) is not _SilentImport]


@contextlib.contextmanager
def retracing_silenced() -> Iterator[None]:
    """Suppresses TensorFlow's advice on functions that are traced again and again, as for one model after the other."""
    log = logging.getLogger("tensorflow")
    log.addFilter(_is_no_retracing)
    try:
        yield
    finally:
        log.removeFilter(_is_no_retracing)


def _is_no_retracing(record: logging.LogRecord) -> bool:
    return "triggered tf.function retracing" not in record.getMessage()


class _SilentImport(importlib.abc.MetaPathFinder):
    """Finds TensorFlow once, as it is found without this, and has it loaded in silence."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        if name != "tensorflow":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            spec.loader = _SilentLoader(spec.loader)
        return spec


class _SilentLoader(importlib.abc.Loader):
    """Loads a module in the place of its own loader."""

    def __init__(self, loader: importlib.abc.Loader) -> None:
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        module.__loader__ = self._loader
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        with native_logs_silenced():
            self._loader.exec_module(module)


@contextlib.contextmanager
def native_logs_silenced() -> Iterator[None]:
    """Discards everything written to stderr inside a with-block, also by C++ to the file descriptor.

    Exceptions still contain the converters' messages. The descriptor belongs to the whole process, so a block contains
    only one call of a converter or a runtime.
    """
    with (
        tempfile.TemporaryFile() as discarded,
        contextlib.redirect_stderr(io.StringIO()),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        terminal = os.dup(2)
        try:
            os.dup2(discarded.fileno(), 2)
            yield
        finally:
            os.dup2(terminal, 2)
            os.close(terminal)
