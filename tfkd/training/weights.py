"""Moving average, best epoch and checkpoint of the weights of a training."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfkd.training.saving import load_arrays, save_arrays


class Weights:
    """All state of one training.

    Args:
        model: the trained model, with its optimizer built.
        network: the part of it whose weights are averaged and saved.
        momentum: momentum of the moving average, or None for no average. It is lower for the first updates, so that
            the average forgets the initial weights: momentum n is min(momentum, (1 + n)/(10 + n)).
    """

    def __init__(self, model: keras.Model, network: keras.Model, momentum: float | None) -> None:
        self._live = [*model.variables, *model.optimizer.variables]
        self._network = [variable for variable in network.variables if variable.dtype.startswith("float")]
        self._average = [tf.Variable(variable.value, trainable=False) for variable in self._network] if momentum else []
        self._best: list[Any] = []
        self.callbacks = [_Averaging(self._network, self._average, model.optimizer, momentum)] if momentum else []

    @contextlib.contextmanager
    def averaged(self) -> Iterator[None]:
        """Sets the network to the averaged weights, if any, for the duration of a with-block."""
        live = _values(self._network) if self._average else []
        _assign(self._network, _values(self._average))
        try:
            yield
        finally:
            _assign(self._network, live)

    def remember(self) -> None:
        """Saves the network's weights as the best so far."""
        self._best = _values(self._network)

    def finish(self) -> None:
        """Sets the network to its final weights: the best, the average, or the last ones."""
        _assign(self._network, self._best or _values(self._average))

    def save(self, path: Path, points: list[list[float]], seconds: float) -> None:
        """Writes a checkpoint atomically."""
        counts = np.array([len(self._live), len(self._average), len(self._best)])
        save_arrays(
            [seconds, np.array(points), counts, *_values(self._live), *_values(self._average), *self._best], path
        )

    def restore(self, path: Path) -> tuple[list[list[float]], float]:
        """Reads a checkpoint, if there is one, and returns its points and seconds."""
        if not path.is_file():
            return [], 0.0
        seconds, points, counts, *arrays = load_arrays(path)
        live, average, _ = map(int, counts)
        _assign(self._live, arrays[:live])
        _assign(self._average, arrays[live : live + average])
        self._best = arrays[live + average :]
        return points.tolist(), float(seconds)


class _Averaging(keras.callbacks.Callback):
    def __init__(self, network: list[Any], average: list[Any], optimizer: Any, momentum: float) -> None:
        super().__init__()
        self._pairs = list(zip(network, average, strict=True))
        self._optimizer = optimizer
        self._momentum = momentum
        self._updates = 0

    def on_train_begin(self, logs: Any = None) -> None:
        self._updates = int(self._optimizer.iterations)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        before, self._updates = self._updates, int(self._optimizer.iterations)
        if self._updates > before:  # gradient accumulation, and gradients that overflow, update nothing
            momentum = min(self._momentum, (1 + self._updates) / (10 + self._updates))
            self._update(tf.constant(momentum, tf.float32))

    @tf.function(jit_compile=False)
    def _update(self, momentum: Any) -> None:
        for variable, average in self._pairs:
            average.assign(momentum * average + (1 - momentum) * variable.value)


def _values(variables: list[Any]) -> list[Any]:
    return [variable.numpy() for variable in variables]


def _assign(variables: list[Any], values: list[Any]) -> None:
    if values:
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)
