"""Access to the results of finished stages in the folder of a run."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tfkd import arguments
from tfkd.arguments import PathLike
from tfkd.errors import RequestError
from tfkd.interface.calls import public_call
from tfkd.pipeline.context import RunContext
from tfkd.pipeline.folders import STUDENT_MODEL, RunFolder, of_seed
from tfkd.pipeline.kind import StageKind
from tfkd.pipeline.run import open_run
from tfkd.pipeline.stages.soft_labels import SOFT_LABELS
from tfkd.pipeline.stages.student import STUDENT
from tfkd.pipeline.stages.trainings import stores_behind
from tfkd.progress import Silent
from tfkd.quiet import tensorflow_silenced
from tfkd.recipe import Recipe
from tfkd.recipe.names import kind_of
from tfkd.recipe.networks import seeds


def student_files(recipe: Recipe, folder: Path) -> dict[int, Path]:
    """Returns the `.keras` file of each trained student by its seed.

    Args:
        recipe: recipe of the run.
        folder: folder of the run.

    Raises:
        RequestError: the students are not trained yet.
    """
    trained = _opened(recipe, folder, STUDENT).folder_of(STUDENT)
    return {seed: of_seed(trained, seed) / STUDENT_MODEL for seed in seeds(recipe)}


class SoftLabelBatches:
    """The training views of a run with their teacher predictions, for a training loop of your own.

    The predictions are computed once: `tfkd.run(recipe, until="soft_labels")` fills the store that is read here.

    Args:
        recipe: recipe of the run.
        runs: folder of the runs.

    Attributes:
        classes: names, in the order of the logits.
        examples: number of examples per epoch: training examples, followed by unlabelled ones.
        views: number of stored views per example; epoch e shows view e modulo `views`.

    Raises:
        RequestError: the store is not filled, or the images have changed.

    Example:
        >>> tfkd.run(recipe, until="soft_labels")
        >>> batches = tfkd.SoftLabelBatches(recipe)
        >>> for images, labels, logits in batches.epoch(0):
        ...     ...
    """

    @public_call()
    def __init__(self, recipe: Recipe, runs: PathLike = "runs") -> None:
        if not isinstance(recipe, Recipe):
            raise arguments.wrong("recipe", recipe, "a Recipe, such as tfkd.load_recipe(path)")
        folder = arguments.path("runs", runs) / recipe.name
        run = _opened(recipe, folder, SOFT_LABELS)
        self._folder = folder
        self._recipe = recipe = run.recipe
        self._data = run.shipped
        self._stores = stores_behind(recipe, run.data, run.stages, assistants=0)
        self.classes = run.data.classes
        self.examples: int = self._stores[0].header["images"]
        self.views = recipe.distill.views

    def __repr__(self) -> str:
        return (
            f"SoftLabelBatches({str(self._folder)!r}: {self.examples:,} examples, {self.views} views, "
            f"{len(self.classes)} classes)"
        )

    def __len__(self) -> int:
        """Returns the number of batches per epoch with the recipe's batch size."""
        return self.examples // self._size(None)

    def __iter__(self) -> Iterator[tuple[Any, Any, Any]]:
        """Yields the batches of the first epoch, `epoch(0)`."""
        return self.epoch(0)

    @public_call()
    def epoch(self, number: int, batch_size: int | None = None) -> Iterator[tuple[Any, Any, Any]]:
        """Yields the batches of one epoch, in an order drawn from the recipe's seed and the number.

        Args:
            number: number of the epoch, from 0.
            batch_size: examples per batch; default: that of the recipe. An incomplete last batch is left out.

        Yields:
            images float32 [b, S, S, 3] raw RGB 0..255; labels int64 [b], −1 for an image without a label, or float32
            [b, classes] for mixed views; the logits of the teacher or ensemble, float32 [b, classes].

        Raises:
            RequestError: an argument is wrong, the store is damaged, or an example is missing.
        """
        return self._batches(arguments.whole("number", number), self._size(batch_size))

    def _size(self, batch_size: int | None) -> int:
        """Returns the number of examples per batch."""
        if batch_size is not None:
            return arguments.whole("batch_size", batch_size, 1, self.examples)
        return min(self._recipe.distill.training.batch_size, self.examples)

    def _batches(self, number: int, batch: int) -> Iterator[tuple[Any, Any, Any]]:
        with tensorflow_silenced():
            from tfkd.data.batches import example_errors, numbered_views
            from tfkd.distill.ensemble import together
            from tfkd.training import loop, student, teaching
        recipe, view = self._recipe, number % self.views
        stores, weights = teaching.open_stores(self._stores)
        split, signature = student.transfer_set(self._data), self._data.reading.signature(recipe.data)
        length = self.examples // batch * batch
        order = loop.training_order(recipe.distill.training, split.labels, recipe.seed, number, length)
        with example_errors():
            for found in numbered_views(split, recipe.teacher_views, recipe.seed, view, order, signature, batch):
                index = found["index"].numpy()
                logits = together([store.read(index, view)["logits"] for store in stores], weights)
                yield found["inputs"].numpy(), student.label(found, len(self.classes)).numpy(), logits


def _opened(recipe: Recipe, folder: Path, needed: StageKind[Any]) -> RunContext:
    """Returns a run whose stages of one kind are finished."""
    run = open_run(recipe, RunFolder(folder), Silent())
    for name, stage in run.stages.items():
        if kind_of(name) == needed.name and stage.result() is None:
            raise RequestError(f"{folder} has no finished {name} of this recipe; call tfkd.run(recipe) first.")
    return run
