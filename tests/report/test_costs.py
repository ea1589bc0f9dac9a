"""What a run cost, in words, as a table and as a plot."""

from pathlib import Path
from typing import Any

import pytest

from tests.bundle.test_costs import DISTILLATION, STAGES, entry, stage
from tests.report.test_html import Page
from tests.report.test_plots import outside
from tfkd.recipe import Cost
from tfkd.report import costs
from tfkd.report.card import write_model_card
from tfkd.report.html import write_report


def test_sentences_say_the_sums_the_ratios_and_the_assumption(make_manifest: Any) -> None:
    in_all, student, control, teacher, paid = costs.says(make_manifest(cost=entry()))
    assert in_all == (
        "The run cost 120.0 min, 4.00 CPU-hours, USD 4.00 at USD 2.00 per hour of this machine, and 3.00 kB of files; "
        "of these, the call that made this bundle 45.0 min, 1.50 CPU-hours, USD 1.50."
    )
    assert student == (
        "One student cost 0.100 CPU-hours: training 0.0833 CPU-hours, soft labels 0.0167 CPU-hours (which serve "
        "further students too)."
    )
    assert control == "That is 150 % of the training of its control, without a teacher."
    assert teacher == "It is 50 % of the preparation of the teacher."
    assert "after 2,000,0" in paid and "in 2.00 days" in paid and "3.60 ms" in paid and "USD 0.00000200" in paid
    assert "This assumes a server with the price" in paid


def test_what_is_not_known_is_said(make_manifest: Any) -> None:
    lost = entry(stages=[*STAGES, stage("bench", None)])
    said = costs.says(make_manifest(cost=lost))
    assert said[0] == ("What the run cost in all is not known, because the account of bench is missing or damaged.")
    assert said[-1].startswith("After how many queries the run is paid for is not known")
    made = DISTILLATION.model_copy(update={"teacher": None, "why_no_teacher": "the predictions of x come from a file"})
    said = costs.says(make_manifest(cost=entry(distillation=made, prices=Cost())))
    assert said[-1] == "It is not compared with the training of the teacher: the predictions of x come from a file."
    assert not any("USD" in line or "queries" in line for line in said)
    made = DISTILLATION.model_copy(update={"soft_labels": None})
    assert "is not known" in costs.says(make_manifest(cost=entry(distillation=made)))[1]
    assert costs.plot(make_manifest(cost=entry(distillation=made))) is None


def test_the_table_has_a_row_per_stage_and_both_sums(make_manifest: Any) -> None:
    table = costs.rows(make_manifest(cost=entry(stages=[*STAGES, stage("bench", None)])))
    assert [(row.name, row.seconds, row.price, row.when) for row in table] == [
        ("teacher", "60.0 min", "USD 2.00", "reused, paid by an earlier call"),
        ("soft_labels", "30.0 min", "USD 1.00", "15.0 min in this call"),
        ("student", "30.0 min", "USD 1.00", ""),
        ("bench", "not known", "not known", "reused, paid by an earlier call"),
        ("all stages", "not known", "not known", ""),
        ("in this call", "45.0 min", "USD 1.50", ""),
    ]


def test_an_earlier_bundle_has_no_account(make_manifest: Any) -> None:
    manifest = make_manifest()
    assert costs.rows(manifest) == costs.says(manifest) == [] and costs.plot(manifest) is None


@pytest.mark.parametrize("size", [1e-3, 1.0, 1e6])
def test_labels_of_bars_stay_in_the_picture(make_manifest: Any, size: float) -> None:
    made = DISTILLATION.model_copy(
        update=dict.fromkeys(("teacher", "student", "soft_labels", "assistants", "control"), 123.456 * size)
    )
    svg = costs.plot(make_manifest(cost=entry(distillation=made)))
    assert svg is not None and outside(svg) == []
    for label in ("teacher: preparation", "student: soft labels", "control: training"):
        assert label in svg


def test_page_and_card_show_it(make_manifest: Any, make_evidence: Any, tmp_path: Path) -> None:
    manifest = make_manifest(cost=entry())
    write_report(manifest, make_evidence(), tmp_path / "report.html")
    page = Page((tmp_path / "report.html").read_text())
    write_model_card(manifest, tmp_path / "card.md")
    card = (tmp_path / "card.md").read_text()
    assert "cost" in page.ids() and "reused, paid by an earlier call" in page.text
    for line in costs.says(manifest):
        assert line in page.text and line in card
    write_report(make_manifest(), make_evidence(), tmp_path / "report.html")
    assert "cost" not in Page((tmp_path / "report.html").read_text()).ids()
