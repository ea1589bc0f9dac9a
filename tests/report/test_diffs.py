"""The tables and the page of a comparison of two bundles."""

from pathlib import Path

import pytest

from tests.releases.bundles import BUNDLE, copied, swap_labels
from tests.report import links
from tfkd.releases.comparing import DiffOutcome, compare
from tfkd.releases.limits import DiffLimits
from tfkd.report import diffs
from tfkd.terminal import drawn
from tfkd.verification.records import ClassFlips, NegativeFlips, PairedTest


@pytest.fixture(scope="module")
def swapped(tmp_path_factory: pytest.TempPathFactory) -> DiffOutcome:
    new = copied(tmp_path_factory.mktemp("bundles") / "<new>")
    swap_labels(new)
    return compare(BUNDLE, new, limits=DiffLimits(max_size_increase=0.05))


def test_the_tables_show_files_changes_and_verdicts(swapped: DiffOutcome) -> None:
    text = " ".join(drawn(*diffs.tables(swapped.diff)).split())
    assert "2 of 13 gates failed: contract/labels, contract/meaning" in text
    assert "52.9 → 52.9" in text and "−1 / +0" in text and "12.8 kB" in text
    assert "labels 3 and 4 are swapped" in text and "breaks" in text


def test_the_page_has_the_pictures_and_escapes_names(swapped: DiffOutcome, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    diffs.write_page(swapped, page)
    text = page.read_text()
    pictures = sum(len(each.lost) + len(each.gained) for each in swapped.thumbnails)
    assert text.count('src="data:image/png;base64,') == pictures == 6 and text.count("<svg") == 1
    assert "Not drawn: " in text and ".mlpackage" in text.partition("Not drawn: ")[2].partition("<")[0]
    assert "&lt;new&gt;" in text and "<new>" not in text
    assert "http" not in text.replace("http-equiv", "").replace("http://www.w3.org", "") and not links.files(page)


def test_equal_bundles_have_no_changes_and_no_flips(tmp_path: Path) -> None:
    outcome = compare(BUNDLE, BUNDLE)
    diffs.write_page(outcome, tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text()
    assert "None: an app can use the new files" in text and "<h2>Flips</h2>" not in text
    assert len(diffs.tables(outcome.diff)) == 2


def test_a_class_with_gains_alone_has_the_number_that_the_old_file_predicts_rightly() -> None:
    test = PairedTest(gained=2, lost=0, p_value=1.0, worst_p_value=0.1)
    gained = NegativeFlips(
        right=9,
        test=PairedTest(gained=0, lost=2, p_value=0.2, worst_p_value=0.1),
        per_class=[ClassFlips(label="cat", flips=2, right=7)],
    )
    file = (
        compare(BUNDLE, BUNDLE)
        .diff.files[0]
        .model_copy(
            update={"negative_flips": NegativeFlips(right=7, test=test, per_class=[]), "positive_flips": gained}
        )
    )
    assert diffs.class_rows(file) == [diffs.ClassRow("cat", 0, 2, 5)]
