"""Changes of what an app relies on, apart from labels."""

import dataclasses
from typing import Any

import pytest

from tests.releases.bundles import release
from tfkd.releases.contract import contract_changes
from tfkd.releases.pairing import paired
from tfkd.releases.reading import Release
from tfkd.verification.records import AcceptedExamples, Artifact, Rejection, Threshold
from tfkd.writers.records import MissingFile

OLD = release()
INT8 = 3  # place of android/fixture_int8.tflite


def changes(new: Release, old: Release = OLD) -> list[tuple[str, str, bool]]:
    return [(change.part, change.text, change.breaks) for change in contract_changes(paired(old, new))]


def with_artifacts(*artifacts: Artifact, **fields: Any) -> Release:
    return dataclasses.replace(OLD, manifest=OLD.manifest.model_copy(update={"artifacts": [*artifacts], **fields}))


def with_tensor(part: str, places: list[int], **fields: Any) -> Release:
    """Returns the bundle with another input or output of some files."""
    artifacts = list(OLD.manifest.artifacts)
    for place in places:
        io = artifacts[place].io
        tensor = getattr(io, part).model_copy(update=fields)
        artifacts[place] = artifacts[place].model_copy(update={"io": io.model_copy(update={part: tensor})})
    return with_artifacts(*artifacts)


def test_equal_bundles_have_none() -> None:
    assert changes(OLD) == []


@pytest.mark.parametrize(
    ("part", "fields", "text"),
    [
        ("input", {"name": "photo"}, "its name was image, it is photo"),
        ("input", {"shape": [1, 48, 48, 3]}, "its shape was [1, 32, 32, 3], it is [1, 48, 48, 3]"),
        ("output", {"dtype": "int8"}, "its dtype was uint8, it is int8"),
        (
            "output",
            {"scale": 0.5},
            "its quantization was scale 0.00390625 and zero point 0, it is scale 0.5 and zero point 0",
        ),
        ("input", {"scale": None, "zero_point": None}, "zero point 128, it is none"),
        ("input", {"range": [0.0, 1.0]}, "they are 0 to 1"),
    ],
)
def test_tensors(part: str, fields: dict[str, Any], text: str) -> None:
    ((found, sentence, breaks),) = changes(with_tensor(part, [INT8], **fields))
    assert (found, breaks) == (part, True)
    assert sentence.startswith(f"{part} of fixture_int8.tflite: ") and sentence.endswith(text)


def test_the_same_change_of_several_files_is_one_sentence() -> None:
    found = changes(with_tensor("input", [0, 1, 2], name="photo"))
    assert found == [("input", "input of 3 files: its name was image, it is photo", True)]


def test_files_are_missing_renamed_and_added() -> None:
    fp32, *others = OLD.manifest.artifacts
    why = MissingFile(path=fp32.path, format="tflite", precision="fp32", reason="no converter", required=False)
    lost = changes(with_artifacts(*others, missing=[why]))
    assert lost == [("files", "android/fixture_fp32.tflite is missing: no converter", True)]
    renamed = fp32.model_copy(update={"path": "android/shoes_fp32.tflite"})
    assert changes(with_artifacts(renamed, *others)) == [
        ("files", "android/fixture_fp32.tflite is now android/shoes_fp32.tflite; load it by this name", False)
    ]
    assert changes(OLD, with_artifacts(*others)) == [("files", "new: android/fixture_fp32.tflite", False)]


@pytest.mark.parametrize(
    ("before", "after", "breaks"),
    [
        ("TensorFlow Lite 2.9.0", "TensorFlow Lite 2.17.0", True),
        ("TensorFlow Lite 2.17.0", "TensorFlow Lite 2.9.0", False),
        ("iOS 13", "iOS 15", True),
        ("iOS 13", "TensorFlow Lite 2.9.0", True),
        ("iOS 13", None, False),
        (None, "iOS 13", False),
    ],
)
def test_a_newer_runtime_breaks_an_app(before: str | None, after: str | None, breaks: bool) -> None:
    first, *others = OLD.manifest.artifacts
    old, new = (with_artifacts(first.model_copy(update={"min_runtime": each}), *others) for each in (before, after))
    ((part, text, found),) = changes(new, old)
    assert (part, found) == ("runtime", breaks) and text.startswith("fixture_fp32.tflite needs ")


def test_another_rendering_breaks_an_app_and_another_licence_does_not() -> None:
    recipe = OLD.manifest.recipe
    edges = {**recipe, "student": {**recipe["student"], "rendering": "edges"}}
    rendered = dataclasses.replace(OLD, manifest=OLD.manifest.model_copy(update={"recipe": edges}))
    assert changes(rendered) == [
        (
            "input",
            "the input rendering was rgb, it is edges. The model expects edges images; convert the photo first",
            True,
        )
    ]
    licensed = dataclasses.replace(OLD, card=dataclasses.replace(OLD.card, license="MIT"))
    assert [(part, breaks) for part, _, breaks in changes(licensed)] == [("metadata", False)]


def with_thresholds(**values: float | None) -> Release:
    thresholds = {
        name: Threshold(promise=0.9, value=value, images=10, recall=value and 0.9, precision=value and 0.5)
        for name, value in values.items()
    }
    return dataclasses.replace(OLD, manifest=OLD.manifest.model_copy(update={"thresholds": thresholds}))


def with_least(threshold: float | None) -> Release:
    """Returns the bundle with an int8 file that gives no label below a probability."""
    counts = AcceptedExamples(examples=99, accepted=80, wrong=9)
    found = Rejection(promise="max_error", limit=0.1, threshold=threshold, validation=counts, test=counts)
    artifacts = list(OLD.manifest.artifacts)
    artifacts[INT8] = artifacts[INT8].model_copy(update={"rejection": found})
    return with_artifacts(*artifacts)


def test_a_least_probability_that_is_gone_breaks_an_app_and_another_one_does_not() -> None:
    assert not changes(with_least(0.5), with_least(0.5)) and not changes(with_least(0.0))
    ((part, text, breaks),) = changes(with_least(0.75), with_least(0.5))
    assert (part, breaks) == ("thresholds", False) and text.endswith("int8.tflite was 0.5, it is 0.75")
    ((_, text, breaks),) = changes(OLD, with_least(0.5))
    assert breaks and text.endswith("was 0.5, it is none")
    ((_, text, breaks),) = changes(with_least(0.5))
    assert not breaks and text.endswith("was none, it is 0.5")


def test_a_lost_threshold_breaks_an_app_and_another_one_does_not() -> None:
    first, second, *_ = OLD.labels
    old = with_thresholds(**{first: 0.25, second: 0.5})
    assert not changes(old, old) and not changes(with_thresholds(**{first: None}))
    lost = (f"{second!r} has no threshold, it was 0.5 for a promised recall of 90.0%", True)
    for new in (with_thresholds(**{first: 0.125}), with_thresholds(**{first: 0.125, second: None})):
        assert [change[1:] for change in changes(new, old)] == [
            (f"the threshold of {first!r} was 0.25, it is 0.125", False),
            lost,
        ]
    assert changes(with_thresholds(**{second: 0.5})) == [
        ("thresholds", f"{second!r} had no threshold, it is 0.5", False)
    ]


def test_thresholds_are_those_of_the_class_under_its_new_number_and_a_lower_promise_is_noticed() -> None:
    first, second, *others = OLD.labels
    swapped = [second, first, *others]
    new = with_thresholds(**{first: 0.25})
    data = new.manifest.data.model_copy(update={"classes": swapped})
    lower = {first: new.manifest.thresholds[first].model_copy(update={"promise": 0.5})}
    manifest = new.manifest.model_copy(update={"data": data, "thresholds": lower})
    new = dataclasses.replace(new, labels=tuple(swapped), manifest=manifest)
    found = [change for change in changes(new, with_thresholds(**{first: 0.25})) if change[0] == "thresholds"]
    assert found == [("thresholds", f"the promised recall of {first!r} was 90.0%, it is 50.0%", False)]
