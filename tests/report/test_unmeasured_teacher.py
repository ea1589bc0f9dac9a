"""A teacher that was not measured on the test images: no report states an accuracy of it, nor a difference from it."""

import re
from pathlib import Path
from typing import Any

import pytest

from tests.report.test_console import printed
from tfkd.bundle.manifest import Manifest
from tfkd.report import facts
from tfkd.report.card import write_model_card
from tfkd.report.console import comparison_table, network_rows, networks_table
from tfkd.report.html import write_report

UNKNOWN = ("parameters", "image_size", "accuracy", "calibration_error", "chance")
AGAINST_TEACHER = ("agreement_with_teacher", "negative_flips", "wrong_classes", "control_wrong_classes")


@pytest.fixture
def manifest(make_manifest: Any) -> Manifest:
    values = make_manifest().model_dump()
    values["teachers"][0] |= dict.fromkeys(UNKNOWN) | {"model": "teacher.csv", "not_exported": "It is a file."}
    rows = [row | {"drop": None} for row in values["comparison"] if row["variant"].startswith("student")]
    student = values["student"] | dict.fromkeys(AGAINST_TEACHER)
    artifacts = [each | {"agreement": None, "negative_flips": None} for each in values["artifacts"]]
    return make_manifest(teachers=values["teachers"], comparison=rows, student=student, artifacts=artifacts)


def test_the_console_says_that_it_was_not_measured(manifest: Manifest) -> None:
    lines = printed(comparison_table(manifest)).splitlines()
    cells = {
        line.split("│")[1].strip(): [cell.strip() for cell in line.split("│")[6:8]]
        for line in lines
        if line.startswith("│")
    }
    assert cells["teacher"] == ["not measured", "–"]
    assert cells["control"] == ["87.1 % ± 1.1", "–"] and cells["student int8"] == ["88.7 % ± 1.0", "–"]
    assert "not measured" in printed(networks_table(manifest))
    assert network_rows(manifest)[0]["accuracy"] is None


def test_the_pages_say_that_it_was_not_measured(manifest: Manifest, make_evidence: Any, tmp_path: Path) -> None:
    write_report(manifest, make_evidence(), tmp_path / "report.html")
    write_model_card(manifest, tmp_path / "card.md")
    page = re.sub(r"<[^>]+>", " ", (tmp_path / "report.html").read_text(encoding="utf-8"))
    card = (tmp_path / "card.md").read_text(encoding="utf-8")
    for text in (page, card):
        assert "not measured" in text and "None" not in text and "0.0 points" not in text
    assert "the teacher was not measured" in page


def test_what_is_known_of_a_teacher_is_one_sentence(manifest: Manifest) -> None:
    (teacher,) = manifest.teachers
    assert facts.teacher_described(teacher) == "teacher.csv, not measured on the test examples"
    named = teacher.model_copy(update={"model": "resnet50"})
    assert facts.teacher_described(named) == "resnet50, weights imagenet, not measured on the test examples"
