"""What the walks over both formats share: kernels by kind, values by name, and errors that say where."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tfkd.errors import cause
from tfkd.verification import NotVerifiedError, VerifyError
from tfkd.verification.coreml.layout import shape
from tfkd.verification.coreml.limits import BatchError, UnsupportedError

Kernel = Callable[..., Any]

_MOST_ELEMENTS = 1 << 28  # of one image's value: 1 GB, far above any classifier; a hostile file may claim anything


class Run:
    """One walk over a model.

    Args:
        path: of the model, for errors.
        kernels: of the format, by the kind of operator.
    """

    def __init__(self, path: Path, kernels: Mapping[str, Kernel]) -> None:
        self._path = path
        self._kernels = kernels
        self._values: dict[str, Any] = {}

    def kernel(self, kind: str, name: str) -> Kernel:
        """Returns what computes a kind of operator.

        Raises:
            NotVerifiedError: nothing does; names the kind and the operator.
        """
        if kind not in self._kernels:
            raise NotVerifiedError(self._path, f"operator {kind!r} ({name!r})")
        return self._kernels[kind]

    def get(self, name: str) -> Any:
        """Returns a value.

        Raises:
            VerifyError: nothing has made it.
        """
        if name not in self._values:
            raise VerifyError(f"{self._path}: reads {name!r}, which nothing before it makes.")
        return self._values[name]

    def put(self, names: list[str], results: Any) -> None:
        """Keeps what an operator made: one value, or a list of them.

        Raises:
            BatchError: one of them mixes the images of a batch.
            ValueError: they are not as many as their names, or one is empty or immense.
        """
        results = results if isinstance(results, list) else [results]
        if len(results) != len(names):
            raise ValueError(f"it makes {len(results)} values, not {len(names)}")
        for name, value in zip(names, results, strict=True):
            _check(value)
            self._values[name] = value

    @contextlib.contextmanager
    def at(self, kind: str, name: str) -> Iterator[None]:
        """Names the operator in whatever goes wrong with it.

        Raises:
            BatchError: as the block raises it: the walk begins again with one image.
            NotVerifiedError: instead of an UnsupportedError in the block.
            VerifyError: instead of any other error in the block.
        """
        try:
            yield
        except (VerifyError, BatchError):
            raise
        except UnsupportedError as error:
            raise NotVerifiedError(self._path, f"operator {kind!r} ({name!r}): {error}") from error
        except Exception as error:
            raise VerifyError(
                f"{self._path}: the operator {kind!r} (of {name!r}) cannot be evaluated: {cause(error)}"
            ) from error


def _check(value: Any) -> None:
    if isinstance(value, str | list | np.ndarray):
        return
    if None in list(value.shape)[1:]:
        raise BatchError("it mixes the images of a batch")
    if not 0 < np.prod(shape(value), dtype=float) <= _MOST_ELEMENTS:
        raise ValueError(f"it makes the impossible shape {shape(value)}")
