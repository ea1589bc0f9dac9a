"""The table and the page of a fit."""

import dataclasses
from pathlib import Path

import pytest

from tests.report import links
from tfkd.benchmark.budget import TargetFigures
from tfkd.report import fits
from tfkd.report.fits import FitResult, FitRow
from tfkd.terminal import drawn


@pytest.fixture
def result(tmp_path: Path) -> FitResult:
    """A fit with one row of each state."""
    rows = (
        FitRow("teacher", "teacher", TargetFigures(kb=9000.0, ms=20.0), {"max_ms": 10.0, "max_kb": 9.0}),
        FitRow("<untrained>", "student", TargetFigures(kb=500.0, ms=1.0, partitions=1), {}),
        FitRow("short", "student", TargetFigures(kb=400.0, ms=1.2, partitions=1), {}, 5, 0.61),
        FitRow("weak", "student", TargetFigures(kb=450.0, ms=1.1), {}, 30, 0.7, True, 0.66, 0.82, 0.6),
        FitRow("best", "student", TargetFigures(kb=800.0, ms=1.9), {}, 30, 0.8, True, 0.77, 0.96, 0.7),
    )
    return FitResult(
        name="shoes",
        target="android:X1",
        device="Acme Phone",
        ships="int8",
        limits={"max_ms": 2.0, "max_kb": 1000.0},
        min_relative_accuracy=0.95,
        teacher_accuracy=0.8,
        rows=rows,
        chosen="best",
        verdict=("best ships: 1.90 ms.",),
        cut=("round 2 was left out",),
        images=100,
        folder=tmp_path,
    )


def test_what_ships_comes_first_and_every_row_says_what_became_of_it(result: FitResult) -> None:
    states = {row.name: fits.state(result, row) for row in fits.in_order(result)}
    assert states == {
        "best": "ships",
        "weak": "final, below the accuracy",
        "short": "dropped in a round",
        "<untrained>": "not trained",
        "teacher": "latency 10 times the limit, size 800 % over the limit",
    }
    assert list(states) == ["best", "weak", "short", "<untrained>", "teacher"]
    assert result.passed and not dataclasses.replace(result, chosen=None).passed


def test_the_table_holds_what_was_measured(result: FitResult) -> None:
    text = drawn(fits.table(result))
    assert "Acme Phone; latency at most 2.00 ms, size at most 1.00 MB" in text
    assert "1.90 ms" in text and "800 kB" in text and "96.0 %" in text and "instructions" not in text


def test_the_page_has_a_plot_per_limit_and_escapes_names(result: FitResult) -> None:
    fits.write_page(result)
    page = result.page.read_text()
    assert page.count("<svg") == 2 and "latency, ms" in page and "size of the file, kB" in page
    assert "&lt;untrained&gt;" in page and "<untrained>" not in page
    assert "best ships: 1.90 ms." in page and "round 2 was left out" in page
    assert all(file.is_file() for file in links.files(result.page))


def test_a_fit_without_trainings_has_no_plot(result: FitResult) -> None:
    untrained = dataclasses.replace(result, rows=result.rows[:2], chosen=None)
    fits.write_page(untrained)
    assert "<svg" not in result.page.read_text()


def test_counts_are_shown_as_counts(result: FitResult) -> None:
    rows = (FitRow("a", "student", TargetFigures(kb=1.0, instructions=1_234_567), {}, 1, 0.5),)
    text = drawn(fits.table(dataclasses.replace(result, rows=rows, limits={"max_instructions": 2e6}, chosen="a")))
    assert "1,234,567 " in text and "latency" not in text and "instructions at most 2,000,000" in text
