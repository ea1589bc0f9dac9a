"""The command `tfkd diff`: what it prints and writes, and its exit codes."""

import json
from pathlib import Path

import pytest

from tests.releases.bundles import BUNDLE, copied, swap_labels
from tfkd.cli import execute
from tfkd.releases.records import Diff


def test_exit_codes_and_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    equal, swapped = copied(tmp_path / "equal"), copied(tmp_path / "swapped")
    swap_labels(swapped)
    written = ["--json", str(tmp_path / "diff.json"), "--out", str(tmp_path / "diff.html")]
    assert execute(["diff", str(BUNDLE), str(equal), "--max-size-increase", "0%", *written]) == 0
    assert "All 13 gates passed" in capsys.readouterr().out
    diff = Diff.model_validate_json((tmp_path / "diff.json").read_bytes())
    assert diff.passed and json.loads((tmp_path / "diff.json").read_text())["schema"] == "tfkd-diff-1"
    assert (tmp_path / "diff.html").read_text().startswith("<!doctype html>")
    assert execute(["diff", str(BUNDLE), str(swapped)]) == 1
    assert "labels 3 and 4 are swapped" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["gone"], "gone is no bundle"),
        ([str(BUNDLE), "--max-negative-flips", "x"], "--max-negative-flips: 'x' is not a limit of a change"),
        ([str(BUNDLE), "--out", "."], "cannot be written"),
        ([str(BUNDLE), "--json", str(BUNDLE / "new.json")], "is sealed. Name a file outside of it."),
        ([str(BUNDLE), "--data", "folder:gone"], "gone"),
    ],
)
def test_a_wrong_request_is_one_line(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["diff", str(BUNDLE), *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
