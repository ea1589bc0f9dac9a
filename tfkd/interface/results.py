"""What `tfkd.run` and `tfkd.export` return: tables, the bundle and the trained networks."""

import functools
import html
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tfkd.bundle.loading import Bundle, load_bundle
from tfkd.bundle.manifest import Manifest
from tfkd.errors import RequestError
from tfkd.interface.runs import student_files
from tfkd.quiet import tensorflow_silenced
from tfkd.recipe import Recipe
from tfkd.report import console, devices, facts
from tfkd.report.tables import Table, Tables


class ExportReport(Tables):
    """A finished export or run.

    A notebook shows its comparison and its gates.

    Attributes:
        folder: folder of the run.
        passed: True if no gate failed; a gate that was not judged has not failed.
    """

    def __init__(self, folder: Path, bundle: Path | None, manifest: Manifest | None) -> None:
        self.folder = folder
        self._bundle = bundle
        self._manifest = manifest
        self.passed = manifest is None or not facts.failed_gates(manifest)

    @property
    def manifest(self) -> Manifest:
        """All figures of the bundle.

        Raises:
            RequestError: the run stopped before the bundle was made.
        """
        if self._manifest is None:
            raise RequestError(f"{self.folder} has no bundle yet; call tfkd.run without `until`.")
        return self._manifest

    @property
    def bundle_folder(self) -> Path:
        """Folder of the bundle; inside `folder`, and not published, if a gate failed.

        Raises:
            RequestError: the run stopped before the bundle was made.
        """
        assert self.manifest is not None and self._bundle is not None
        return self._bundle

    @functools.cached_property
    def bundle(self) -> Bundle:
        """The bundle, read on first access."""
        return load_bundle(self.bundle_folder)

    @property
    def comparison(self) -> Table:
        """Size, latency and accuracy of each variant."""
        rows = (row.model_dump(mode="json") for row in self.manifest.comparison)
        return Table(console.comparison_table(self.manifest), rows)

    @property
    def gates(self) -> Table:
        """Each gate with its value, its limit and its verdict."""
        rows = (gate.model_dump(mode="json") for gate in self.manifest.gates)
        return Table(console.gates_table(self.manifest), rows)

    @property
    def devices(self) -> Table:
        """All results of `tfkd.bench` for the bundle so far."""
        index = devices.read(self.bundle_folder)
        rows = [row for place in index.places for row in place.rows] + index.superseded
        return Table(console.devices_table(index), (_measured(row) for row in rows))

    def tables(self) -> Iterator[Table]:
        """Yields the comparison and the gates."""
        if self._manifest is not None:
            yield self.comparison
            yield self.gates

    def __repr__(self) -> str:
        return super().__repr__() or f"{type(self).__name__}({str(self.folder)!r}), stopped before its bundle"

    def _repr_html_(self) -> str:
        return super()._repr_html_() or html.escape(repr(self))


def _measured(row: devices.DeviceRow) -> Mapping[str, Any]:
    return {"created": row.created, **row.entry.model_dump(mode="json", exclude={"samples_ms"})}


class RunReport(ExportReport):
    """A finished run of a recipe.

    Attributes:
        recipe: the recipe of the run.
    """

    def __init__(self, recipe: Recipe, folder: Path, bundle: Path | None, manifest: Manifest | None) -> None:
        super().__init__(folder, bundle, manifest)
        self.recipe = recipe

    @property
    def networks(self) -> Table:
        """Teachers, controls and students with their accuracies, one row per training."""
        return Table(console.networks_table(self.manifest), console.network_rows(self.manifest))

    @functools.cached_property
    def students(self) -> "Students":
        """The trained students by seed, before compressions; each is loaded on first access."""
        return Students(self.recipe, self.folder)

    @property
    def student(self) -> Any:
        """The exported student before compressions: a keras.Model that ends in logits."""
        seed = self.manifest.student.exported_seed
        assert seed is not None
        return self.students[seed]


class UnknownSeedError(RequestError, KeyError):
    """A run has no student of this seed; a KeyError, too, as of any mapping."""

    __str__ = Exception.__str__  # that of KeyError adds quotes


class Students(Mapping[int, Any]):
    """The trained students of a run by their seeds: keras.Model, raw RGB float32 [b, S, S, 3] to logits [b, classes].

    Args:
        recipe: recipe of the run.
        folder: folder of the run.
    """

    def __init__(self, recipe: Recipe, folder: Path) -> None:
        self._files = student_files(recipe, folder)
        self._loaded: dict[int, Any] = {}

    def __getitem__(self, seed: int) -> Any:
        if seed not in self._files:
            raise UnknownSeedError(f"There is no student of seed {seed!r}. Known: {', '.join(map(str, self))}.")
        if seed not in self._loaded:
            with tensorflow_silenced():
                from tfkd.training.saving import load_model
            self._loaded[seed] = load_model(self._files[seed])
        return self._loaded[seed]

    def __iter__(self) -> Iterator[int]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)

    def __repr__(self) -> str:
        return f"Students of the seeds {', '.join(map(str, self))}"
