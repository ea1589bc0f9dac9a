"""Suspected wrong labels on the page and in one line."""

from pathlib import Path
from typing import Any

import pytest

from tests.report.test_html import Page
from tfkd.bundle.evidence import contradictions
from tfkd.bundle.manifest import SuspectedLabels
from tfkd.report import suspects
from tfkd.report.html import write_report

ENTRY = SuspectedLabels(judges=["teacher"], parts=["validation", "test"], examples=1600, suspects=30)


def test_the_page_shows_the_most_probable_ones_and_how_many_there_are(
    make_manifest: Any, make_evidence: Any, tmp_path: Path
) -> None:
    evidence = make_evidence()
    example = {
        "image": evidence.flips[0].image,
        "file": "photos/<b>dress</b>/1.jpg",
        "label": "dress",
        "suggested": {"label": "coat", "probability": 0.876},
    }
    evidence = type(evidence).model_validate(evidence.model_dump() | {"suspects": [example] * 2})
    manifest = make_manifest(suspected_labels=ENTRY)
    assert not [each for each in contradictions(evidence, manifest) if "suspected" in each]
    write_report(manifest, evidence, tmp_path / "report.html")
    page = Page((tmp_path / "report.html").read_text())
    assert suspects.says(ENTRY) in page.text and "labels" in page.ids()
    assert "label dress suggested coat 88 % photos/<b>dress</b>/1.jpg" in page.text
    assert "The 2 most probable of 30." in page.text
    fewer = make_manifest(suspected_labels=ENTRY.model_copy(update={"suspects": 1}))
    (found,) = (each for each in contradictions(evidence, fewer) if "suspected" in each)
    assert found == "evidence.json shows 2 suspected labels, more than the 1 that are counted"


def test_sentences_say_who_judged_and_that_these_are_suspects() -> None:
    assert suspects.says(ENTRY).startswith(
        "30 suspected wrong labels among 1,600 examples (validation and test) by confident learning on the predictions "
        "of the teacher:"
    )
    assert suspects.line(ENTRY, Path("runs/a.csv")).endswith(
        "runs/a.csv lists them, the most probable first: look at each before you correct it"
    )
    folds = SuspectedLabels(judges=["teacher", "student"], parts=["folds"], examples=200, suspects=0)
    assert suspects.says(folds) == (
        "No suspected wrong labels among 200 examples (each without its fold) by confident learning on the predictions "
        "of the teacher and the student."
    )
    assert suspects.says(None) == suspects.line(None, Path()) == ""


@pytest.mark.parametrize("changes", [{"suspects": 1601}, {"reason": "no probabilities"}])
def test_an_entry_that_contradicts_itself_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="suspected labels"):
        SuspectedLabels.model_validate(ENTRY.model_dump() | changes)
