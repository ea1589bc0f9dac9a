"""Opens a source of labelled images as a bundle's manifest says: divided, read and rendered as its own were."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from tfkd.bundle.layout import MANIFEST
from tfkd.bundle.manifest import Manifest
from tfkd.errors import RequestError
from tfkd.quiet import native_logs_silenced
from tfkd.recipe import Data
from tfkd.recipe.renamed import present_named
from tfkd.signature import Signature

if TYPE_CHECKING:
    from tfkd.data.dataset import Dataset, Split
    from tfkd.inputs.kind import Ranges

_BATCH = 64


def open_images(source: str, manifest: Manifest) -> tuple["Dataset", bool]:
    """Opens images with the division of a bundle.

    Args:
        source: as `data.source` in a recipe.
        manifest: of the bundle.

    Returns:
        The images, and whether their fingerprint is of all that the bundle's is of: unlabelled images elsewhere count
        in it, and a path in a manifest is nothing to open.

    Raises:
        RequestError: the source cannot be opened, or the manifest does not say how images are divided.
    """
    with native_logs_silenced():
        from tfkd.data import REST, open_evaluation, open_source

    requested = _settings(source, manifest)
    complete = requested.unlabelled in (None, REST)
    opened = open_evaluation if manifest.data.for_evaluation else open_source
    settings = requested if complete else requested.model_copy(update={"unlabelled": None})
    return _opened(opened, settings, manifest), complete


def open_others(source: str, manifest: Manifest) -> "Dataset":
    """Opens images that a bundle was not made of: all of them are measured, or the test split where there is one.

    Args:
        source: as `data.source` in a recipe.
        manifest: of the bundle.

    Raises:
        RequestError: the source cannot be opened, or the manifest does not say how images are read.
    """
    with native_logs_silenced():
        from tfkd.data import open_evaluation

    whole: dict[str, Any] = {"fraction": 1.0, "unlabelled": None, "folds": None, "held_out": []}
    settings = _settings(source, manifest).model_copy(update=whole)
    return _opened(open_evaluation, settings, manifest)


def open_unlabelled(source: str, manifest: Manifest) -> "Split":
    """Opens examples whose folders may be named after classes or not; those that cannot be decoded are left out.

    Args:
        source: folder:PATH of a folder or a zip, or texts:FILE.
        manifest: of the bundle.

    Returns:
        The examples, without labels, in the input rendering of the bundle's student.

    Raises:
        RequestError: the source cannot be opened, or no other examples can be rendered for the student.
    """
    with native_logs_silenced():
        from tfkd.data import open_unlabelled as opened

    split = opened(source, _settings(source, manifest), _ranges(manifest))
    return _rendered(split, manifest)


def measured_split(images: "Dataset", manifest: Manifest) -> "Split":
    """Returns the test split of images in the input rendering of a bundle's student.

    Raises:
        RequestError: no other images can be rendered so.
    """
    return _rendered(images.test, manifest)


def _rendered(split: "Split", manifest: Manifest) -> "Split":
    with native_logs_silenced():  # TensorFlow is loaded here
        from tfkd.data.renderings import rendered_split
        from tfkd.inputs.image.rendering import TRANSFORMS

    if (name := rendering(manifest)) not in TRANSFORMS:
        raise RequestError(f"The student sees {name!r}, which cannot be made of other images; leave --data out.")
    return rendered_split(name, split)


def raw_batches(split: "Split", signature: Signature) -> Iterable[Any]:
    """Returns the raw inputs of a signature for every example of a split, [b, ...], in order."""
    from tfkd.data.batches import plain_batches

    return plain_batches(split, signature, _BATCH).map(lambda inputs, _: inputs)


def rendering(manifest: Manifest) -> str:
    """Returns the input rendering of a bundle's student as its recipe names it."""
    student = present_named(manifest.recipe.get("student"))
    return str((student if isinstance(student, dict) else {}).get("rendering", "rgb"))


def _opened(function: Callable[..., "Dataset"], settings: Data, manifest: Manifest) -> "Dataset":
    return function(settings, manifest.seed, ranges=_ranges(manifest))


def _ranges(manifest: Manifest) -> "Ranges":
    return manifest.data.pixel_ranges


def _settings(source: str, manifest: Manifest) -> Data:
    """Returns the part of the bundle's recipe that divides the images, with another source."""
    block = manifest.recipe.get("data")
    try:
        settings = block if isinstance(block, dict) else {"kind": manifest.signature.kind}
        return Data.model_validate({**settings, "source": source})
    except ValidationError:
        raise RequestError(
            f"{MANIFEST}: its recipe does not say how the examples are divided; leave --data out."
        ) from None
