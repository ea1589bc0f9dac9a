"""What a manifest says of labels that files withhold must agree with its recipe and with its other numbers."""

from collections.abc import Iterator

from pydantic import ValidationError

from tfkd.bundle.manifest import Manifest
from tfkd.errors import RequestError
from tfkd.recipe import Export, Reject
from tfkd.verification.records import Artifact, Rejection
from tfkd.verification.rejection import require_supported

_WHOLE = 1e-3  # examples


def contradictions(manifest: Manifest) -> Iterator[str]:
    """Yields a sentence, without its full stop, for each contradiction."""
    try:
        export = Export.model_validate(manifest.recipe.get("export"))
    except ValidationError:
        return  # said elsewhere
    if (manifest.student.output_temperature is None) is not (export.temperature is None):
        yield "student.output_temperature and export.temperature of its recipe are not both stated"
    for artifact in manifest.artifacts:
        is_due = export.reject is not None and not artifact.not_verified and not manifest.folds
        if (artifact.rejection is None) is is_due:
            stated = "missing" if is_due else "stated though its recipe rejects nothing, or the file was not run"
            yield f"rejection of {artifact.path} is {stated}"
        elif export.reject is not None and artifact.rejection is not None:
            for wrong in _wrong(artifact, artifact.rejection, export.reject, manifest):
                yield f"rejection of {artifact.path} {wrong}"


def _wrong(artifact: Artifact, found: Rejection, reject: Reject, manifest: Manifest) -> Iterator[str]:
    if getattr(reject, found.promise) != found.limit:
        yield f"promises {found.promise} = {found.limit:g}, its recipe {reject!r}"
        return
    validation, test = found.validation, found.test
    if validation.examples != manifest.data.splits.get("validation"):
        yield f"counts {validation.examples:,} validation examples, the data {manifest.data.splits.get('validation')}"
    try:
        require_supported(reject, validation.examples)
    except RequestError:
        yield f"promises more than {validation.examples:,} validation examples can support"
        return
    if test is None or test.wrong is None or validation.wrong is None or test.examples != manifest.images:
        yield "lacks counts of the validation or the test split"
        return
    if artifact.accuracy is not None and test.wrong > (1 - artifact.accuracy) * test.examples + _WHOLE:
        yield f"counts {test.wrong:,} wrong labels, more than its accuracy {artifact.accuracy} leaves"
    if not found.threshold and (test.accepted, validation.accepted) != (test.examples, validation.examples):
        yield "withholds labels without a threshold"
    has_strangers = isinstance(data := manifest.recipe.get("data"), dict) and data.get("outside") is not None
    if (found.outside is None) is has_strangers:
        yield f"{'lacks counts' if has_strangers else 'has counts'} of data.outside"
    yield from _wrong_curve(artifact, found, test.examples)


def _wrong_curve(artifact: Artifact, found: Rejection, examples: int) -> Iterator[str]:
    points = [(-point.threshold, point.accepted, point.wrong) for point in found.curve]
    if any(list(column) != sorted(column) for column in zip(*points, strict=True)):
        yield "has a curve that does not rise from few accepted examples to all"
    elif not points or points[-1][1] != examples:
        yield "has a curve that does not end at all test examples"
    elif artifact.accuracy is not None and abs(points[-1][2] - (1 - artifact.accuracy) * examples) > _WHOLE:
        yield "has a curve that does not end at the accuracy of the file"
