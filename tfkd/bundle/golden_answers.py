"""The expected predictions for a bundle's golden examples: their checks, and the comparison with those of a runtime."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from tfkd.bundle.golden import KERAS, Golden
from tfkd.bundle.layout import GOLDEN, GOLDEN_INDEX
from tfkd.bundle.manifest import Manifest
from tfkd.formats import FORMATS
from tfkd.formats.families import FAMILIES
from tfkd.verification import VerifyError
from tfkd.verification.probabilities import constant, fault, no_probabilities, unrelated
from tfkd.verification.records import Artifact

_INDEX = f"{GOLDEN}/{GOLDEN_INDEX}"
_MASS = 2.0  # times the tolerance; within families as much probability moved as the largest difference of one
_FLOAT_STEP = 1e-3  # probabilities that a float16 file gives as equal differ by less
_FLOAT_ERROR = 0.01  # of an fp32 file from the Keras model; the gate max_float_error, ten times as wide
_LARGEST_FLOAT_ERROR = 0.1  # of recipes that allow more


@dataclass(frozen=True)
class GoldenComparison:
    """A device's predictions, compared with the golden predictions of the nearest runtime family.

    Attributes:
        family: a name of `FAMILIES`.
        error: the largest difference of a probability; infinite if a prediction is not a number.
        tolerance: the largest difference that passes.
        top1_equal: fraction of the images with the same top class.
        fault: why the predictions fail at any tolerance; None if they do not.
    """

    family: str
    error: float
    tolerance: float
    top1_equal: float
    fault: str | None

    @property
    def passed(self) -> bool:
        return self.fault is None and self.error <= self.tolerance


def answers_of(golden: Golden, file: Artifact) -> dict[str, np.ndarray]:
    """Returns a file's golden predictions, float32 [n, classes], by runtime family; the reference family first.

    Raises:
        VerifyError: a family has two predictions, or does not run the file's format.
    """
    reference, *_ = FORMATS[file.format].stored_families(file.precision)
    others = {name: predictions[file.path] for name, predictions in golden.others.items() if file.path in predictions}
    for name in others:
        if name not in FORMATS[file.format].families:
            raise VerifyError(
                f"{_INDEX}: has predictions of {FAMILIES[name].title} of {file.path}, which it cannot run."
            )
    if reference in others:
        raise VerifyError(f"{_INDEX}: has two predictions of {FAMILIES[reference].title} of {file.path}.")
    return ({reference: golden.expected[file.path]} if file.path in golden.expected else {}) | others


def tolerance(file: Artifact, family: str, precision: str | None = None) -> float:
    """Returns the largest difference of a probability that passes: the format's, or a narrower one in the manifest.

    Args:
        file: as the manifest has it.
        family: a runtime family of the file's format.
        precision: that was found in the file itself; default: as the manifest says.
    """
    widest = FORMATS[file.format].precision(precision or file.precision).tolerances[family]
    return min(widest, file.golden_tolerances.get(family, math.inf))


def compare(
    predictions: np.ndarray, expected: Mapping[str, np.ndarray], tolerances: Mapping[str, float], step: float | None
) -> GoldenComparison:
    """Compares predictions with those of every family; returns the comparison that passes, else the nearest.

    Equal first classes are reported, not judged: where they differ within the tolerance, two classes were level.

    Args:
        predictions: float [n, classes].
        expected: float32 [n, classes] by family, at least one.
        tolerances: by family.
        step: of a quantized output; None for floats.
    """
    compared = [_compared(predictions, right, family, tolerances[family], step) for family, right in expected.items()]
    return min(compared, key=lambda each: (not each.passed, each.error / max(each.tolerance, 1e-9)))


def _compared(
    predictions: np.ndarray, right: np.ndarray, family: str, allowed: float, step: float | None
) -> GoldenComparison:
    differences = np.abs(predictions - right)
    error = float(np.where(np.isfinite(differences), differences, np.inf).max())
    equal = float(np.mean(predictions.argmax(axis=1) == right.argmax(axis=1)))
    wrong = fault(predictions, right, step)
    if wrong is None and error <= allowed:
        wrong = _moved(differences, allowed) or unrelated(predictions, right, allowed)
    return GoldenComparison(family, error, allowed, equal, wrong)


def _moved(differences: np.ndarray, allowed: float) -> str | None:
    """Returns a fault if too much probability moved in total: of a thousand classes each may differ by very little."""
    moved = float(differences.sum(axis=1).max()) / 2
    if moved <= _MASS * allowed:
        return None
    return f"give {moved:.2g} of the probability to other classes; {_MASS * allowed:.2g} is allowed"


def check(stored: Golden, manifest: Manifest) -> None:
    """Checks the golden images, the files that have predictions, and the predictions of the Keras model.

    Raises:
        VerifyError: something is missing, unknown or wrong.
    """
    known = {artifact.path for artifact in manifest.artifacts}
    named = set(stored.expected).union(*stored.others.values()) - {KERAS}
    if named - known:
        raise VerifyError(f"{_INDEX}: has predictions of {min(named - known)}, which the manifest does not know.")
    if KERAS not in stored.expected:
        raise VerifyError(f"{_INDEX}: has no predictions of the Keras model.")
    images = _expected_images(manifest)
    if len(stored.images) < images:
        raise VerifyError(f"{_INDEX}: has {len(stored.images)} golden examples; the bundle was made with {images}.")
    if len(stored.images) > 1 and (stored.images == stored.images[0]).all():
        raise VerifyError(f"{GOLDEN}: all of the {len(stored.images)} golden examples are the same.")
    _must_be_right(no_probabilities(stored.expected[KERAS], None), "the Keras model")


def of_file(stored: Golden, artifact: Artifact) -> dict[str, np.ndarray]:
    """Checks and returns a file's golden predictions, float32 [n, classes], by runtime family.

    Raises:
        VerifyError: predictions are missing, are not probabilities, are equal for images that the Keras model
            distinguishes, or are far from its predictions although the file computes in float32.
    """
    found = answers_of(stored, artifact)
    reference, *further = FORMATS[artifact.format].stored_families(artifact.precision)
    needed = [reference, *(name for name in further if name in artifact.golden_tolerances)]
    for name in needed:
        if name not in found:
            raise VerifyError(f"{_INDEX}: has no predictions of {artifact.path} as {FAMILIES[name].title}.")
    for name, predictions in found.items():
        _must_be_right(impossible(predictions, stored, artifact), f"{artifact.path} as {FAMILIES[name].title}")
    if "max_float_error" in FORMATS[artifact.format].precision(artifact.precision).gates:
        _must_be_right(_far(found[reference], stored.expected[KERAS], artifact), f"the Keras model and {artifact.path}")
    return found


def impossible(predictions: np.ndarray, stored: Golden, artifact: Artifact) -> str | None:
    """Returns a fault if predictions are not probabilities, or equal for images that the Keras model distinguishes.

    Args:
        predictions: float32 [n, classes], of the file or of a bundle, for the golden images.
        stored: with the Keras model's predictions.
        artifact: the file.
    """
    step = artifact.io.output.scale
    keras = stored.expected[KERAS]
    return no_probabilities(predictions, step) or constant(predictions, keras, max(step or 0, _FLOAT_STEP))


def missing(artifact: Artifact, found: Mapping[str, np.ndarray]) -> Iterator[str]:
    """Yields the titles of the families that a bundle of an earlier version has no predictions of."""
    for name in FORMATS[artifact.format].stored_families(artifact.precision):
        if name not in found:
            yield FAMILIES[name].title


def _expected_images(manifest: Manifest) -> int:
    """Returns the number of golden images by the bundle's recipe; 1 if unknown."""
    export = manifest.recipe.get("export")
    requested = export.get("golden_images") if isinstance(export, dict) else None
    return min(requested, manifest.data.splits.get("test", requested)) if isinstance(requested, int) else 1


def _far(predictions: np.ndarray, keras: np.ndarray, artifact: Artifact) -> str | None:
    error = float(np.abs(predictions - keras).max())
    allowed = min(max(_FLOAT_ERROR, 2 * (artifact.max_abs_error or 0)), _LARGEST_FLOAT_ERROR)
    return None if error <= allowed else f"are {error:.2g} apart; {allowed:.2g} is allowed"


def _must_be_right(wrong: str | None, whose: str) -> None:
    if wrong is not None:
        raise VerifyError(f"{_INDEX}: the predictions of {whose} {wrong}.")
