"""What a Distiller writes to files: the student alone, and all the state that a training needs to go on."""

from typing import Any

import keras


class StudentFiles(keras.Model):
    """A model around a student, which is all that leaves.

    Attributes:
        student: the network that is trained.
    """

    student: keras.Model

    def save(self, filepath: Any, overwrite: bool = True, **kwargs: Any) -> None:
        """Saves the student, without the teachers, as a `.keras` file.

        `save_weights` and `load_weights` keep all that a compiled Distiller needs to train on as if it had never
        stopped: student, projectors, memories, the optimizer's state, and where the random draws of dropout stand.
        """
        self.student.save(filepath, overwrite=overwrite, **kwargs)

    def export(self, filepath: Any, *args: Any, **kwargs: Any) -> Any:
        """Exports the student as `keras.Model.export` does; for files that a phone runs, see `tfkd export`."""
        return self.student.export(filepath, *args, **kwargs)

    def save_own_variables(self, store: Any) -> None:
        """Adds to the weights what Keras leaves out: the state of the layers' random generators."""
        for number, state in enumerate(self._random_states()):
            store[str(number)] = state.numpy()

    def load_own_variables(self, store: Any) -> None:
        """Reads what `save_own_variables` wrote."""
        for number, state in enumerate(self._random_states()):
            state.assign(store[str(number)])

    def _random_states(self) -> list[Any]:
        weights = {id(weight) for weight in self.weights}
        return [variable for variable in self.variables if id(variable) not in weights]
