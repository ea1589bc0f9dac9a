"""Labels that files withhold, and calibration, in the report and the model card."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tfkd.bundle.evidence import Evidence
from tfkd.bundle.manifest import Manifest
from tfkd.report import rejections
from tfkd.report.card import write_model_card
from tfkd.report.html import write_report
from tfkd.verification.records import AcceptedExamples, CoveragePoint, OutputTemperature, Rejection


@pytest.fixture
def manifest(make_manifest: Callable[..., Manifest]) -> Manifest:
    made = make_manifest()
    curve = [
        CoveragePoint(threshold=0.9, accepted=400, wrong=2),
        CoveragePoint(threshold=0.2, accepted=1000, wrong=113),
    ]
    found = Rejection(
        promise="max_error",
        limit=0.05,
        threshold=0.705078125,
        validation=AcceptedExamples(examples=999, accepted=800, wrong=49),
        test=AcceptedExamples(examples=1000, accepted=790, wrong=51),
        outside=AcceptedExamples(examples=200, accepted=30),
        curve=curve,
    )
    for artifact in made.artifacts:
        artifact.rejection, artifact.calibration_error = found, 0.031
    made.student.calibration_error = 0.12
    made.student.output_temperature = OutputTemperature(value=1.75, examples=999, before=0.11, after=0.02)
    return made


def test_the_page_and_the_card_say_it(
    manifest: Manifest, make_evidence: Callable[..., Evidence], tmp_path: Path
) -> None:
    write_report(manifest, make_evidence(), tmp_path / "report.html")
    write_model_card(manifest, tmp_path / "card.md")
    page, card = (tmp_path / "report.html").read_text(), (tmp_path / "card.md").read_text().replace("\\", "")
    for text in (page, card):
        assert "at most 5.0 % of all examples are to get a wrong label; labels are given from the probability" in text
        assert "on the test split 79.0 % of 1,000 examples get a label, 5.1 % a wrong one (6.5 % of the labels)" in text
        assert "(data.outside): 15.0 % of 200 examples get a label (95 % interval 10.7 to 20.6 %)" in text
        assert "The logits are divided by 1.75" in text and "12.0" in text and "3.1" in text
    assert "test examples with a label, %" in page
    assert "gives none to some of the others: of data.outside, 15.0 % of 200 examples get a label" in card


def test_bundles_without_it_say_what_they_said(make_manifest: Callable[..., Manifest]) -> None:
    made = make_manifest()
    assert (rejections.lines(made), rejections.calibration(made), rejections.plot(made)) == ([], [], None)
    assert rejections.temperature_says(made) == ""
    assert rejections.none_says(made).endswith("any other image is still given one of them.")


def test_a_promise_without_a_threshold_is_no_rejection(manifest: Manifest) -> None:
    for artifact in manifest.artifacts:
        assert artifact.rejection
        changed = {"threshold": None, "reason": "no validation example would get a label"}
        artifact.rejection = artifact.rejection.model_copy(update=changed)
    assert "no threshold: no validation example would get a label" in rejections.lines(manifest)[0]
    assert rejections.none_says(manifest).endswith("is still given one of them.")
