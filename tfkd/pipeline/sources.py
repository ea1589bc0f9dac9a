"""The contents behind a run by their names in messages: the inputs of the stages' fingerprints."""

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfkd.data import REST, Dataset, Split
from tfkd.data.check import content
from tfkd.data.domains import membership
from tfkd.data.folder import paired
from tfkd.data.renderings import folder_of
from tfkd.files import fingerprint
from tfkd.pipeline.contents import files_of
from tfkd.recipe import Augment, Recipe, Student, Teacher
from tfkd.recipe.renamed import first_named


@dataclass(frozen=True, eq=False)
class Sources:
    """A recipe and the contents that it names.

    Attributes:
        recipe: the recipe.
        data: the images.
        kept: folder for digests of images.
    """

    recipe: Recipe
    data: Dataset
    kept: Path

    @functools.cached_property
    def recipe_json(self) -> dict[str, Any]:
        """The recipe as JSON, under the field names of fingerprints."""
        values: dict[str, Any] = first_named(self.recipe.model_dump(mode="json"))
        return values

    def labelled(self) -> dict[str, Any]:
        """Returns the training, validation and test images, and the seed of the splits."""
        return {self.recipe.data.source: self.data.labelled, "seed": self.recipe.seed}

    def unmixed(self) -> dict[str, Any]:
        """Returns the settings of unmixed views."""
        return of_views(self.recipe.data.augment.unmixed)

    def shown(self) -> dict[str, Any]:
        """Returns the settings of the images and the training of a student and its control."""
        data, distill = self.recipe_json["data"], self.recipe_json["distill"]
        return {
            **settings("data", present(data, "image_size", "augment", "tokens")),
            **self._vocabulary(),
            **self.columns(),
            **settings("distill", present(distill, "training", "precision", "finish")),
            "number of unlabelled images": len(self.data.unlabelled or ()),
        }

    def _vocabulary(self) -> dict[str, Any]:
        """Returns the vocabulary of the student's input; nothing for one without."""
        pieces = self.data.reading.signature(self.recipe.data).pieces
        return {"vocabulary of the student": fingerprint(pieces)} if pieces else {}

    def columns(self) -> dict[str, Any]:
        """Returns the columns of the rows of a table; nothing for other kinds of input."""
        return (
            {"columns of the rows": fingerprint([vars(each) for each in self.data.columns])}
            if self.data.columns
            else {}
        )

    def learnt(self) -> dict[str, Any]:
        """Returns the settings of learning from soft labels: losses, and the weight of each teacher."""
        distill = self.recipe_json["distill"]
        return {
            **settings("distill", present(distill, "losses", "label_weight", "targets", "label_head")),
            **settings("teachers", [{"share": teacher.share} for teacher in self.recipe.teachers]),
        }

    def files(self, network: Teacher | Student) -> dict[str, Any]:
        """Returns the contents behind a network: its files, and its images paired with the labelled ones."""
        splits = (self.data.train, self.data.validation, self.data.test)
        return {**files_of(network), **self._paired(network.rendering, splits, "")}

    def unlabelled(self, rendering: str) -> dict[str, Any]:
        """Returns the unlabelled images in an input rendering."""
        source, images = self.recipe.data.unlabelled, self.data.unlabelled
        if source is None or images is None:
            return {"data.unlabelled": source}
        own = {} if source == REST else {source: content(images, self.kept)}
        return {"data.unlabelled": source, **own, **self._paired(rendering, (images,), " (of unlabelled images)")}

    def outside(self, rendering: str) -> dict[str, Any]:
        """Returns the examples of no class in an input rendering; nothing without any."""
        source, examples = self.recipe.data.outside, self.data.outside
        if source is None or examples is None:
            return {}
        own = {f"{source} (data.outside)": content(examples, self.kept)}
        return {**own, **self._paired(rendering, (examples,), " (of data.outside)")}

    def domain(self, number: int, unlabelled: bool) -> dict[str, Any]:
        """Returns which images are in a teacher's domain; nothing for a teacher without one."""
        domain, data = self.recipe.teachers[number].domain, self.data
        if domain is None:
            return {}
        splits = [data.train, data.validation, data.test]
        if unlabelled and data.unlabelled:
            splits.append(data.unlabelled)
        return {f"images in {domain}": fingerprint([membership(split, domain).tolist() for split in splits])}

    def _paired(self, rendering: str, splits: tuple[Split, ...], note: str) -> dict[str, Any]:
        path = folder_of(rendering)
        if not path:
            return {}
        return {path + note: fingerprint([content(paired(split, path), self.kept) for split in splits])}


def of_views(augment: Augment) -> dict[str, Any]:
    """Returns the settings of views."""
    return settings("", first_named({"data": {"augment": augment.model_dump(mode="json")}}))


def present(values: dict[str, Any], *names: str) -> dict[str, Any]:
    """Returns the named settings; one that was added later and has the value of earlier recipes is left out."""
    return {name: values[name] for name in names if name in values}


def settings(path: str, value: Any) -> dict[str, Any]:
    """Returns the settings in a part of a recipe by their dotted paths."""
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list | tuple) else None
    if not parts:
        return {path: value}
    return {name: each for key, part in parts for name, each in settings(f"{path}.{key}".lstrip("."), part).items()}
