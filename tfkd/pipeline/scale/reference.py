"""The work that is measured without a recipe: a widely used pair of networks on generated examples."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tfkd.pipeline.scale.workload import Workload, workload_of
from tfkd.recipe import Data, Distill, FineTune, Recipe, Student, Teacher, Training

CLASSES = 1000
EXAMPLES = 1_281_167  # of ImageNet-1k
_SIZE, _WIDTH, _HEIGHT = 224, 500, 375  # pixels: the usual input, and the mean size of ImageNet's files
_GENERATED = 128


def reference_recipe(folder: Path) -> Recipe:
    """Returns the recipe: an EfficientNet-B0 teaches a MobileNetV3-Small.

    Args:
        folder: of the examples.
    """
    return Recipe(
        name="reference",
        data=Data(source=f"folder:{folder}", image_size=_SIZE),
        teachers=[Teacher(model="efficientnet_b0", fine_tune=FineTune(epochs=4))],
        student=Student(model="mobilenet_v3_small", weights="none"),
        distill=Distill(views=8, training=Training(epochs=30)),
    )


def reference_workload(recipe: Recipe) -> Workload:
    """Returns the work of the reference recipe on as many labelled examples as ImageNet-1k has."""
    return workload_of(recipe, EXAMPLES, 0)


@contextmanager
def generated_examples() -> Iterator[Path]:
    """Writes the examples into a folder that exists during a with-block."""
    from tfkd.inputs.image.samples import write_samples

    with tempfile.TemporaryDirectory() as folder:
        write_samples(Path(folder), _GENERATED, _WIDTH, _HEIGHT, seed=1)
        yield Path(folder)
