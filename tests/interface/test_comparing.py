"""`tfkd.diff`: two bundles from Python."""

from pathlib import Path

import numpy as np
import pytest

import tfkd
from tests.releases.bundles import BUNDLE, copied, swap_labels


def test_it_returns_values_and_tables(tmp_path: Path) -> None:
    swap_labels(copied(tmp_path / "new"))
    report = tfkd.diff(BUNDLE, tmp_path / "new", max_size_increase="5%", max_negative_flips=0.5)
    assert not report.passed and [change.part for change in report.changes] == ["labels", "meaning"]
    assert [len(table) for table in report.tables()] == [6, 2, 6 + 13]
    assert "labels 3 and 4 are swapped" in report._repr_html_() and len(report.files) == 6
    report.write_page(tmp_path / "page.html")
    assert (tmp_path / "page.html").is_file()
    assert tfkd.diff(tfkd.load_bundle(BUNDLE), BUNDLE).passed
    with pytest.raises(tfkd.RequestError, match="`max_size_increase`: 'x' is not a limit"):
        tfkd.diff(BUNDLE, BUNDLE, max_size_increase="x")
    with pytest.raises(tfkd.RequestError, match="old = 3 must be a Bundle"):
        tfkd.diff(3, BUNDLE)


@pytest.mark.slow
def test_photos_in_memory_are_predicted_by_the_files(tmp_path: Path) -> None:
    swap_labels(copied(tmp_path / "swapped"))
    golden = tfkd.load_bundle(BUNDLE).golden
    images = np.concatenate([np.roll(golden.images, shift, axis=2) for shift in range(-5, 6)])
    data = images, np.tile(golden.labels, 11)
    equal = tfkd.diff(BUNDLE, copied(tmp_path / "equal"), data)
    assert equal.passed and all(file.negative_flips and file.images == 4 for file in equal.files)
    assert all(file.old.accuracy == file.new.accuracy for file in equal.files)
    swapped = tfkd.diff(BUNDLE, tmp_path / "swapped", data)
    failed = [gate.name for gate in swapped.gates if gate.verdict == "failed"]
    assert failed == ["contract/labels", "contract/meaning", "contract/files"], "the names in the files are others"
