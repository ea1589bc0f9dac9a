"""What a bundle's golden answers must be before its files are compared with them."""

from collections.abc import Iterator, Mapping

import numpy as np

from tfkd.bundle import golden
from tfkd.bundle.contents import Golden
from tfkd.bundle.manifest import Manifest
from tfkd.verification import VerifyError, families
from tfkd.verification.families import FAMILIES
from tfkd.verification.probabilities import constant, no_probabilities
from tfkd.verification.records import Artifact

_INDEX = f"{golden.FOLDER}/{golden.INDEX}"
_FLOAT_STEP = 1e-3  # probabilities that a float16 file gives as equal differ by less
_FLOAT_ERROR = 0.01  # of an fp32 file from the Keras model; the gate max_float_error, ten times as wide
_LARGEST_FLOAT_ERROR = 0.1  # of recipes that allow more


def check(stored: Golden, manifest: Manifest) -> None:
    """Checks the golden images, whose answers they are, and the answers of the Keras model.

    Raises:
        VerifyError: says what is missing, too much or wrong.
    """
    known = {artifact.path for artifact in manifest.artifacts}
    named = set(stored.expected).union(*stored.others.values()) - {golden.KERAS}
    if named - known:
        raise VerifyError(f"{_INDEX}: has answers of {min(named - known)}, which the manifest does not know.")
    if golden.KERAS not in stored.expected:
        raise VerifyError(f"{_INDEX}: has no answers of the Keras model.")
    wanted = _wanted(manifest)
    if len(stored.images) < wanted:
        raise VerifyError(f"{_INDEX}: has {len(stored.images)} golden images; the bundle was made with {wanted}.")
    if len(stored.images) > 1 and (stored.images == stored.images[0]).all():
        raise VerifyError(f"{golden.FOLDER}: all of the {len(stored.images)} golden images are the same.")
    _must_be_right(no_probabilities(stored.expected[golden.KERAS], None), "the Keras model")


def of_file(stored: Golden, artifact: Artifact) -> dict[str, np.ndarray]:
    """Returns a file's golden answers, float32 [n, classes], by runtime family, once they are checked.

    Raises:
        VerifyError: answers are missing that the bundle says to have, they are no probabilities, the same for images
            that the Keras model tells apart, or they are far from its answers although the file computes in float32.
    """
    found = golden.answers_of(stored, artifact)
    reference, *further = families.stored(artifact.format, artifact.precision)
    needed = [reference, *(name for name in further if name in artifact.golden_tolerances)]
    for name in needed:
        if name not in found:
            raise VerifyError(f"{_INDEX}: has no answers of {artifact.path} as {FAMILIES[name].title}.")
    for name, answers in found.items():
        _must_be_right(impossible(answers, stored, artifact), f"{artifact.path} as {FAMILIES[name].title}")
    if artifact.precision == "fp32":
        _must_be_right(
            _far(found[reference], stored.expected[golden.KERAS], artifact), f"the Keras model and {artifact.path}"
        )
    return found


def impossible(answers: np.ndarray, stored: Golden, artifact: Artifact) -> str | None:
    """Says that answers are no probabilities, or the same for images or classes that the Keras model tells apart.

    Args:
        answers: float32 [n, classes], of the file or of a bundle, to the golden images.
        stored: with the Keras model's answers.
        artifact: the file.
    """
    step = artifact.io.output.scale
    keras = stored.expected[golden.KERAS]
    return no_probabilities(answers, step) or constant(answers, keras, max(step or 0, _FLOAT_STEP))


def missing(artifact: Artifact, found: Mapping[str, np.ndarray]) -> Iterator[str]:
    """Yields the titles of the families whose answers a bundle of an earlier version does not hold."""
    for name in families.stored(artifact.format, artifact.precision):
        if name not in found:
            yield FAMILIES[name].title


def _wanted(manifest: Manifest) -> int:
    """Returns how many golden images the bundle was made with; 1 where it does not say."""
    export = manifest.recipe.get("export")
    asked = export.get("golden_images") if isinstance(export, dict) else None
    return min(asked, manifest.data.splits.get("test", asked)) if isinstance(asked, int) else 1


def _far(answers: np.ndarray, keras: np.ndarray, artifact: Artifact) -> str | None:
    error = float(np.abs(answers - keras).max())
    allowed = min(max(_FLOAT_ERROR, 2 * (artifact.max_abs_error or 0)), _LARGEST_FLOAT_ERROR)
    return None if error <= allowed else f"are {error:.2g} apart; {allowed:.2g} is allowed"


def _must_be_right(wrong: str | None, whose: str) -> None:
    if wrong is not None:
        raise VerifyError(f"{_INDEX}: the answers of {whose} {wrong}.")
