"""What readings have in common whose examples are read as they are: texts and rows of tables."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import numpy as np

from tfkd.errors import RequestError
from tfkd.inputs.kind import Overlay, Ranges
from tfkd.recipe import Augment

_RENDERING = "rgb"  # of networks that see the example as it is


@dataclass(frozen=True)
class WholeReading:
    """A reading that no check changes, without ranges of values, renderings or mixed examples."""

    kind_name: ClassVar[str]
    ranges: Ranges = field(default_factory=dict, init=False)

    @property
    def stamp(self) -> list[Any]:
        """Nothing beside the files changes the outcome of a check."""
        return []

    @property
    def identity(self) -> tuple[Any, dict[str, Any]]:
        """The kind alone: other settings decide what a student takes of an example, not what the example is."""
        return self.kind_name, {}

    def settled(self, facts: Mapping[str, Any]) -> Self:
        """Returns the reading itself; a check settles nothing."""
        return self

    def fitted(self, findings: Iterable[Any]) -> Self:
        """Returns the reading itself."""
        return self

    def rendered(self, rendering: str) -> Self:
        """Returns the reading itself.

        Raises:
            RequestError: renderings are of images.
        """
        if rendering != _RENDERING:
            raise RequestError(f"The rendering {rendering!r} is of images; leave it out for {self.kind_name}s.")
        return self

    def overlay(self, seed: np.ndarray, augment: Augment) -> Overlay:
        """Refuses to mix examples.

        Raises:
            RequestError: always.
        """
        raise RequestError(f"data.augment.mix mixes images; set it to none for {self.kind_name}s.")

    def finish(self, inputs: Any) -> Any:
        """Returns inputs unchanged."""
        return inputs
