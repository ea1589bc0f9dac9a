"""Reads the photos of a split, and converts them to inputs."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np
from PIL import Image

from tfkd.inputs.image import check, mixing
from tfkd.inputs.image.decode import decode
from tfkd.inputs.image.depth import EIGHT, FULL
from tfkd.inputs.image.rendering import transform
from tfkd.inputs.image.tensors import side_of, signature
from tfkd.inputs.image.views import center, make_view
from tfkd.inputs.kind import Arrays, Ranges
from tfkd.recipe import Augment, Data
from tfkd.signature import Range, Signature

LONGEST_SIDE = 1024
_BYTES_PER_PIXEL = 4  # as Pillow holds RGB


@dataclass(frozen=True)
class ImageReading:
    """Settings of reading photos.

    Attributes:
        longest_side: larger photos are decoded to at most this side, pixels.
        ranges: the values that become 0 and 255 in photos of more than 8 bits, by kind (see tfkd.inputs.image.depth).
        declared: the range of all kinds, where the recipe declares one.
        rendering: what a network sees of each photo (see tfkd.inputs.image.rendering).
    """

    longest_side: int = LONGEST_SIDE
    ranges: Ranges = field(default_factory=dict)
    declared: Range | None = None
    rendering: str = "rgb"

    kind_name = "image"

    @property
    def stamp(self) -> list[Any]:
        """All that the outcome of a check depends on beside the files."""
        return [self.longest_side, dict(self.ranges), self.declared]

    @property
    def identity(self) -> tuple[Any, dict[str, Any]]:
        """The longest side, and ranges other than those that a kind of values has of itself."""
        ranges = {kind: limits for kind, limits in self.ranges.items() if limits != FULL.get(kind)}
        return self.longest_side, {"ranges": ranges}

    def decode(self, encoded: bytes) -> Image.Image:
        """Returns a photo, RGB and upright; raises an ExampleError."""
        return decode(encoded, self.longest_side, self.ranges)

    def compact(self, example: Image.Image) -> tuple[Image.Image, int]:
        """Returns a photo without what its file says of it, which can be larger than the pixels, and its bytes."""
        copy = example.copy()
        copy.info.clear()
        return copy, _BYTES_PER_PIXEL * copy.width * copy.height

    def examine(self, encoded: bytes) -> check.PhotoFinding:
        """Decodes a photo for a check; raises an ExampleError."""
        return check.examine(encoded, self.longest_side)

    def whole_digest(self, encoded: bytes) -> int:
        """Returns the digest of all pixels of a photo; 0 where it cannot be read."""
        return check.whole_digest(encoded, self.longest_side)

    def findings(self) -> check.PhotoFindings:
        """Returns what gathers the findings of a check."""
        return check.PhotoFindings(self.ranges, self.declared)

    def settled(self, facts: Mapping[str, Any]) -> "ImageReading":
        """Returns the reading with the ranges that a check found."""
        return replace(self, ranges={kind: (low, high) for kind, (low, high) in facts["ranges"].items()})

    def fitted(self, findings: Iterable[check.PhotoFinding]) -> "ImageReading":
        """Returns the reading with the ranges that all of these photos need.

        Where the first one has 8 bits the others are not looked at: images that a program made are all of one kind.
        """
        gathered = check.PhotoFindings({}, None)
        for finding in findings:
            if finding.kind == EIGHT and not gathered.found:
                break
            gathered.add("", 0, finding._replace(quantiles=None))
        return replace(self, ranges=gathered.ranges)

    def report(self, facts: Mapping[str, Any], name: Callable[[str, int], str], total: int) -> check.PhotoReport:
        """Returns the notes and warnings of a check."""
        return check.PhotoReport(facts, name, total, self.declared is not None)

    def signature(self, data: Data) -> Signature:
        """Returns the signature of the student's square image."""
        return signature(data.image_size)

    adapts_by: ClassVar[list[Any]] = []

    def adaptation(self, training: Iterable[Any], others: Iterable[Any]) -> dict[str, Any]:
        """Returns nothing: photos are read alike, whichever others there are."""
        return {}

    def adapted(self, facts: Mapping[str, Any]) -> "ImageReading":
        """Returns the reading itself."""
        return self

    def adaptation_notes(self, facts: Mapping[str, Any]) -> Iterator[str]:
        """Yields nothing."""
        yield from ()

    def adaptation_warnings(self, facts: Mapping[str, Any]) -> Iterator[str]:
        """Yields nothing."""
        yield from ()

    def input_notes(self, examples: Iterable[Any], signature: Signature) -> Iterator[str]:
        """Yields nothing: a model takes the middle square of every photo."""
        yield from ()

    def rendered(self, rendering: str) -> "ImageReading":
        """Returns the reading as a network of this input rendering sees it.

        Raises:
            RequestError: there is no such rendering.
        """
        transform(rendering)
        return replace(self, rendering=rendering)

    def plain(self, example: Image.Image, signature: Signature) -> Arrays:
        """Returns the middle square of a photo, one uint8 [side, side, 3]."""
        return (center(example, side_of(signature)),)

    def view(self, example: Image.Image, seed: np.ndarray, augment: Augment, signature: Signature) -> Arrays:
        """Returns a training view of a photo, one uint8 [side, side, 3]."""
        return (make_view(example, seed, augment, side_of(signature)),)

    def overlay(self, seed: np.ndarray, augment: Augment) -> mixing.ImageOverlay:
        """Draws how a partner's view is laid over a view."""
        return mixing.draw(seed, augment)

    def finish(self, inputs: Any) -> Any:
        """Returns images, float32 [batch, side, side, 3] from 0 to 255, as the rendering shows them."""
        return transform(self.rendering)(inputs)


def reading(data: Data, ranges: Ranges) -> ImageReading:
    """Returns how a recipe's photos are read, with ranges that were settled on other photos."""
    return ImageReading(max(LONGEST_SIDE, 2 * data.image_size), ranges, data.pixel_range)
