"""What every source gives: splits of labelled photos with random access."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from PIL import Image

from tfkd.data.decode import PhotoError, decode
from tfkd.errors import RequestError

Progress = Callable[[int, int], None]
UNLABELLED = -1


class Photos(Protocol):
    """The encoded photos of a source, by number. Reading is thread-safe."""

    @property
    def stamp(self) -> str:
        """Names the present state of all files; it changes when a file does, and costs no reading of the files."""

    def name(self, number: int) -> str:
        """Returns what the user knows the photo by."""

    def read(self, number: int) -> bytes:
        """Returns the encoded photo.

        Raises:
            PhotoError: it cannot be read.
        """


@dataclass(frozen=True, eq=False)
class Split:
    """Some photos of a source with their labels. Holds numbers only: the photos stay where they are.

    Attributes:
        photos: the source's photos.
        numbers: int64 [n], the numbers of this split's photos there.
        labels: int64 [n], index into the classes; -1 is unlabelled.
        longest_side: larger photos are decoded to at most this side, pixels.
        modality: what a model sees of each photo (see tfkd.data.modality).
    """

    photos: Photos
    numbers: np.ndarray
    labels: np.ndarray
    longest_side: int = 1024
    modality: str = "rgb"

    def __len__(self) -> int:
        return len(self.labels)

    def name(self, i: int) -> str:
        """Returns the name of photo i, for messages."""
        return self.photos.name(int(self.numbers[i]))

    def encoded(self, i: int) -> bytes:
        """Returns the bytes of photo i as they are stored.

        Raises:
            PhotoError: they cannot be read.
        """
        return self.photos.read(int(self.numbers[i]))

    def load(self, i: int) -> Image.Image:
        """Returns photo i, RGB and upright.

        Raises:
            RequestError: the photo has been damaged or removed since it was checked.
        """
        try:
            return decode(self.encoded(i), self.longest_side)
        except PhotoError as error:
            raise RequestError(
                f"{self.name(i)} can no longer be read ({error}). Restore it, or start again without it."
            ) from None

    def take(self, positions: np.ndarray) -> "Split":
        """Returns the split of the photos at these positions, in their order."""
        return dataclasses.replace(self, numbers=self.numbers[positions], labels=self.labels[positions])

    def without_labels(self) -> "Split":
        """Returns the same photos as unlabelled ones."""
        return dataclasses.replace(self, labels=np.full_like(self.labels, UNLABELLED))

    def limited(self, longest_side: int) -> "Split":
        """Returns the same photos, decoded to at most this side, pixels."""
        return dataclasses.replace(self, longest_side=longest_side)


@dataclass(frozen=True, eq=False)
class Listing:
    """What stands in a source, before anything is decoded.

    Attributes:
        where: names the source in messages.
        classes: class names in the order of the labels.
        splits: "train" and, where the source has them, "validation" and "test".
    """

    where: str
    classes: tuple[str, ...]
    splits: dict[str, Split]


@dataclass(frozen=True, eq=False)
class ImageData:
    """The images of one run.

    Attributes:
        source: as the recipe names it.
        classes: class names in the order of the labels.
        fingerprint: 16 hex digits; equal for equal images, labels and splits.
        labelled: the same without the unlabelled images.
        train: what the student learns from.
        validation: what choices are made on.
        test: what is reported.
        unlabelled: extra photos that only the teacher labels.
        rejected: "name: reason" of every file that was left out.
    """

    source: str
    classes: tuple[str, ...]
    fingerprint: str
    labelled: str
    train: Split
    validation: Split
    test: Split
    unlabelled: Split | None
    rejected: tuple[str, ...]
