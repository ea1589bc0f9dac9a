"""What files do with examples that they are not sure of, made ready for the reports: sentences and a plot."""

from tfkd.bundle.manifest import Manifest
from tfkd.formats import TIMED
from tfkd.report import facts, plots, units
from tfkd.verification.records import Artifact, OutputTemperature
from tfkd.verification.rejection import described, stated
from tfkd.verification.verdict import file_name


def lines(manifest: Manifest) -> list[str]:
    """Returns a sentence for each file that withholds labels: the promise, and what it does on each split."""
    return [line for artifact in manifest.artifacts if (line := _line(artifact))]


def calibration(manifest: Manifest) -> list[tuple[str, float]]:
    """Returns the calibration error of the Keras model and of each file, by name; nothing for earlier bundles."""
    keras = "student in Keras" if manifest.teachers else "Keras model"
    found = [(keras, manifest.student.calibration_error)]
    found += [(file_name(each.path), each.calibration_error) for each in manifest.artifacts]
    return [(name, error) for name, error in found if error is not None]


def temperature_says(manifest: Manifest) -> str:
    """Returns what export.temperature did, as a sentence; "" without it."""
    found = manifest.student.output_temperature
    return "" if found is None else f"{_temperature(found, manifest.noun)}{_shared(manifest)}"


def none_says(manifest: Manifest) -> str:
    """Returns whether an example of no class gets a label, as a sentence."""
    known = f"It knows the {len(manifest.data.classes)} classes above and nothing else"
    file = _shipped(manifest)
    if file is None or file.rejection is None or file.least_probability is None:
        return f"{known}: any other {manifest.noun} is still given one of them."
    least = f"{file.least_probability:.8g}"
    outside = file.rejection.outside
    measured = "it was not measured how many" if outside is None else f"of data.outside, {stated(outside)}"
    return (
        f"{known}. An app that gives no label below the probability {least} ({file_name(file.path)}) gives none to "
        f"some of the others: {measured}."
    )


def plot(manifest: Manifest) -> str | None:
    """Returns accuracy over coverage of the file that is meant to ship as an SVG; None where there is none."""
    file = _shipped(manifest)
    if file is None or file.rejection is None or file.rejection.test is None or not file.rejection.curve:
        return None
    examples, found = file.rejection.test.examples, file.rejection
    points = [(point.accepted / examples, 1 - point.wrong / point.accepted) for point in found.curve]
    test, chosen = file.rejection.test, None
    if test.accepted and found.threshold:
        chosen = (test.accepted / examples, 1 - (test.wrong or 0) / test.accepted)
    return plots.coverage(points, chosen)


def _shipped(manifest: Manifest) -> Artifact | None:
    """Returns the file that is meant to ship; None where it withholds nothing."""
    variant = facts.headline(manifest).shipped.variant.removeprefix("student ")
    timed = [each for each in manifest.artifacts if each.format in TIMED and each.precision == variant]
    return next((each for each in timed if each.rejection), None)


def _line(artifact: Artifact) -> str:
    found = artifact.rejection
    if found is None or found.test is None:
        return ""
    text = (
        f"{file_name(artifact.path)}: {described(found)}. On the validation split {stated(found.validation)}; on the "
    )
    text += f"test split {stated(found.test)}"
    return f"{text}; of examples of no class (data.outside): {stated(found.outside)}." if found.outside else f"{text}."


def _temperature(found: OutputTemperature, noun: str) -> str:
    return (
        f"The logits are divided by {found.value:g} in the last layer of every file (export.temperature): the "
        f"calibration error on {found.examples:,} validation {noun}s was {units.percent(found.before)}, it is "
        f"{units.percent(found.after)}."
    )


def _shared(manifest: Manifest) -> str:
    if not any(each.rejection for each in manifest.artifacts):
        return ""
    return (
        " The same examples chose the least probabilities of labels after it; one number fitted to all of them shifts "
        "these little, and the test split judges the promise without it."
    )
