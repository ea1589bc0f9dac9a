"""Files of a Distiller: the student alone, or the whole state of a training."""

import contextlib
from collections.abc import Iterator
from typing import Any

import keras

from tfkd import arguments
from tfkd.errors import RequestError, cause, of_the_machine


class StudentFiles(keras.Model):
    """A model around a student, of which only the student is exported.

    Attributes:
        student: the network that is trained.
    """

    student: keras.Model

    def save(self, filepath: Any, overwrite: bool = True, **kwargs: Any) -> None:
        """Saves the student, without the teachers, as a `.keras` file.

        `save_weights` and `load_weights` store all that a compiled Distiller needs to continue as if it had never
        stopped: student, projectors, memories, the optimizer's state, and the state of dropout's random generators.
        """
        with _file_errors("save", filepath):
            self.student.save(filepath, overwrite=overwrite, **kwargs)

    def save_weights(self, filepath: Any, *args: Any, **kwargs: Any) -> None:
        """Saves the state of the training as `keras.Model.save_weights` does; see `save`."""
        with _file_errors("save_weights", filepath):
            super().save_weights(filepath, *args, **kwargs)

    def load_weights(self, filepath: Any, *args: Any, **kwargs: Any) -> None:
        """Loads the state of a training as `keras.Model.load_weights` does; see `save`."""
        with _file_errors("load_weights", filepath):
            super().load_weights(filepath, *args, **kwargs)

    def export(self, filepath: Any, *args: Any, **kwargs: Any) -> Any:
        """Exports the student as `keras.Model.export` does; for files that a phone runs, see `tfkd export`."""
        with _file_errors("export", filepath):
            return self.student.export(filepath, *args, **kwargs)

    def save_own_variables(self, store: Any) -> None:
        """Adds the state of the layers' random generators to the weights, which Keras omits."""
        for number, state in enumerate(self._random_states()):
            store[str(number)] = state.numpy()

    def load_own_variables(self, store: Any) -> None:
        """Reads the variables that `save_own_variables` wrote."""
        for number, state in enumerate(self._random_states()):
            state.assign(store[str(number)])

    def _random_states(self) -> list[Any]:
        weights = {id(weight) for weight in self.weights}
        return [variable for variable in self.variables if id(variable) not in weights]


@contextlib.contextmanager
def _file_errors(method: str, filepath: Any) -> Iterator[None]:
    """Reports that Keras cannot write or read a file in one line."""
    if not hasattr(filepath, "write"):  # Keras accepts open files
        arguments.path("filepath", filepath)
    try:
        yield
    except (OSError, TypeError, ValueError) as error:
        if described := of_the_machine(error):
            raise described from error
        raise RequestError(f"{method}: {cause(error)}") from error
