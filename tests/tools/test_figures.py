"""Figures of the documents come from the evidence, which states how each was measured."""

import json
import re
from pathlib import Path

import pytest

from tests.tools.benchmark import ROOT
from tfkd.bundle.manifest import Manifest
from tools.figures import marks
from tools.figures.__main__ import documents, main, outdated
from tools.figures.evidence import EVIDENCE
from tools.figures.marks import FigureError
from tools.figures.record import record
from tools.figures.registry import figures

BUNDLE = ROOT / "tests/fixtures/0.1.0/bundle"
NUMBERS = re.compile(r"\d+(?:\.\d+)? (?:%|ms|points|kB|MB|times)(?!\w)")


def test_the_documents_show_what_the_evidence_holds() -> None:
    assert outdated(write=False) == [], "run python -m tools.figures"


def test_the_headline_tables_and_every_other_table_of_measurements_are_figures() -> None:
    shown = {name for path in documents() for name in marks.names(path.read_text(encoding="utf-8"))}
    assert {"quickstart table", "clothing table", "runtimes table", "speed table", "files table"} <= shown
    assert shown <= set(figures())
    for path in [ROOT / "README.md", ROOT / "docs/evidence/README.md", ROOT / "docs/quantization.md"]:
        by_hand = re.sub(r"<!--= .*?<!--/-->", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
        rows = [line for line in by_hand.splitlines() if line.startswith("|") and NUMBERS.search(line)]
        assert rows == [], path


@pytest.mark.parametrize("path", sorted(EVIDENCE.glob("*.json")), ids=lambda path: path.stem)
def test_every_evidence_names_its_command(path: Path) -> None:
    found = json.loads(path.read_text(encoding="utf-8"))
    parts = [found] if "command" in found else [found["run"], *filter(None, [found.get("seeds")])]
    assert all(len(part["command"]) > 10 for part in parts)


def test_no_figure_begins_a_line_of_text() -> None:
    """Markdown would read the rest of that line as HTML."""
    for path in documents():
        for line in path.read_text(encoding="utf-8").splitlines():
            assert not re.match(r"\s*(?:[-*] )?<!--= [^>]+ -->.", line), (path, line)


def test_a_changed_figure_is_noticed_and_written_again(tmp_path: Path) -> None:
    text = "It has <!--= gain -->2 points<!--/--> and\n<!--= table -->\n| old |\n<!--/-->\n"
    right = {"gain": lambda: "3 points", "table": lambda: "| a |\n|---|"}
    written = marks.written(text, right, tmp_path)
    assert written == "It has <!--= gain -->3 points<!--/--> and\n<!--= table -->\n| a |\n|---|\n<!--/-->\n"
    assert marks.written(written, right, tmp_path) == written
    with pytest.raises(FigureError, match="no figure 'gain'"):
        marks.written(text, {"table": right["table"]}, tmp_path)
    for damaged in (text.replace("<!--/-->", "", 1), text + "<!--/-->"):
        with pytest.raises(FigureError):
            marks.written(damaged, right, tmp_path)


def test_a_bundle_is_recorded_as_its_manifest_has_it(tmp_path: Path) -> None:
    out, sweep = tmp_path / "quickstart.json", tmp_path / "sweep.json"
    trial = {
        "name": "distill.repeats=3",
        "seeds": [1, 2],
        "accuracies": [0.8, 0.9],
        "control_accuracies": [0.7, 0.7],
        "validation_accuracies": [0.6, 0.6],
        "control_validation_accuracies": [0.5, 0.5],
        "seconds": [1.0, 1.0],
        "p_value": 0.5,
    }
    sweep.write_text(json.dumps({"teacher_accuracy": 0.9, "trials": [trial]}))
    record(BUNDLE, "make fixture", out, sweep, "tfkd sweep fixture.py")
    record(BUNDLE, "make fixture", out)
    found = json.loads(out.read_text(encoding="utf-8"))
    manifest = Manifest.model_validate_json((BUNDLE / "manifest.json").read_text(encoding="utf-8"))
    run = found["run"]
    assert (run["command"], run["machine"]) == ("make fixture", manifest.environment)
    assert [row["accuracy"] for row in run["comparison"]] == [row.accuracy for row in manifest.comparison]
    assert run["control_accuracy"] == manifest.student.control_accuracy and run["test_images"] == 1000
    assert found["seeds"]["accuracies"] == [0.8, 0.9], "an earlier sweep is kept"
    assert found["seeds"]["command"] == "tfkd sweep fixture.py"
    rows = [{**run["comparison"][0], "variant": "teacher dynamic", "notes": "left out"}]
    (tmp_path / "comparison.json").write_text(json.dumps(rows))
    record(BUNDLE, "make fixture", out, comparison=tmp_path / "comparison.json")
    compared = json.loads(out.read_text(encoding="utf-8"))["run"]["comparison"]
    assert compared == [{**run["comparison"][0], "variant": "teacher dynamic"}]
    sweep.write_text(json.dumps({"trials": [trial, trial]}))
    with pytest.raises(FigureError, match="several variations"):
        record(BUNDLE, "make fixture", out, sweep, "tfkd sweep fixture.py")
    with pytest.raises(FigureError, match="cannot be read"):
        record(tmp_path, "make fixture", out)


def test_the_command_compares(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--check"]) == 0 and capsys.readouterr().out == ""
