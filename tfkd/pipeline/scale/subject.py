"""What is measured: the networks of a recipe on some of its examples."""

from dataclasses import dataclass

from tfkd.data.dataset import Split
from tfkd.pipeline.scale.rates import networks_of
from tfkd.recipe import Recipe
from tfkd.signature import Column, Signature


@dataclass(frozen=True)
class ProbeSubject:
    """What is measured.

    Attributes:
        recipe: names the networks, the augmentation and the losses.
        examples: from which views are made.
        classes: number of classes.
        names: of the classes; empty: not known.
        columns: of the rows, where the data are tables.
    """

    recipe: Recipe
    examples: Split
    classes: int
    names: tuple[str, ...] = ()
    columns: tuple[Column, ...] = ()

    @property
    def signature(self) -> Signature:
        """The input of the student."""
        return self.examples.reading.signature(self.recipe.data)

    @property
    def networks(self) -> str:
        """The networks, as in `tfkd.pipeline.scale.rates.Rates.networks`."""
        teachers = [teacher.name for teacher in self.recipe.teachers]
        return networks_of(teachers, self.recipe.student.model, shape_of(self.signature), self.classes)


def shape_of(signature: Signature) -> str:
    """Returns the shapes of an input without the batch: '224 x 224 x 3'."""
    return ", ".join(" x ".join(map(str, tensor.shape)) for tensor in signature.tensors)
