"""The table of measured gains, and which of them a recipe is compared with."""

import statistics
from typing import Any

import pytest

from tfkd.pipeline.gains import MEASURED, MeasuredGain, Setting, expected_gain
from tools.figures import evidence


def gains(name: str, found: Any) -> list[float]:
    """Returns student minus control, seed by seed, of the method that is best on validation."""
    if "trials" in found:
        several = [each for each in found["trials"] if len(each["seeds"]) > 1]
        found = max(several, key=lambda each: float(statistics.mean(each["validation_accuracies"])))
    elif "accuracies" in found:
        return evidence.gains(found["accuracies"], found["control_accuracies"])
    elif "accuracy" in found:
        return [found["accuracy"]["student"] - found["accuracy"]["control"]]
    else:
        found = found["seeds"]
    return evidence.gains(found["accuracies"], found["control_accuracies"])


@pytest.mark.parametrize("row", MEASURED, ids=lambda row: row.evidence)
def test_every_row_is_what_its_evidence_says(row: MeasuredGain) -> None:
    found = [100 * gain for gain in gains(row.evidence, evidence.read(row.evidence))]
    assert row.points == round(statistics.mean(found), 1)
    assert row.error == (round(evidence.standard_error(found), 1) if len(found) > 1 else None)


@pytest.mark.parametrize(
    ("setting", "measured"),
    [
        (Setting(20, 0, True), "few_photos"),
        (Setting(5, 0, True), "few_photos"),
        (Setting(60, 5, False), "distill_clothing_fifth"),
        (Setting(18, 0, False), "distill_clothing_patient"),
        (Setting(2_000, 0, False), "distill_cifar10"),
        (Setting(400, 0, True), "auto_all"),
        (Setting(12, 20, True), "auto_ten"),
        (Setting(40, 0, True), "readme_200"),
    ],
)
def test_the_most_similar_measurement_is_named(setting: Setting, measured: str) -> None:
    text = expected_gain(setting)
    assert f"docs/evidence/{measured}.json" in text
    assert text.startswith(f"{setting.labels:.0f} labels per class, ")


def test_a_measurement_of_another_kind_of_input_is_not_named() -> None:
    assert expected_gain(Setting(36, 0, True, "audio")) == (
        "36 labels per class, none unlabelled, trained initial weights. No measurement tells the gain over the control "
        "of a model of audio"
    )
