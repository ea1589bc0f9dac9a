import functools
import io
from pathlib import Path

from rich.console import Console

from tests.report.conftest import give
from tfkd.commands.recipes import command_of
from tfkd.report.console import cause_lines, comparison_table, gates_table
from tfkd.verification.records import Diagnosis


def printed(table) -> str:
    console = Console(file=io.StringIO(), width=140)
    console.print(table)
    return console.file.getvalue()


def test_comparison_shows_every_row(make_manifest):
    text = printed(comparison_table(make_manifest()))
    lines = [[cell.strip() for cell in line.split("│")[1:-1]] for line in text.splitlines() if line.startswith("│")]
    assert lines[0] == ["teacher fp32", "18.6 MB", "–", "21.4 ms", "–", "91.4 % ± 0.9", "0.0", "–", "–"]
    assert lines[5] == ["student int8", "1.66 MB", "–", "1.39 ms", "–", "88.7 % ± 1.0", "−2.7", "–", "–"]
    assert len(lines) == 6 and "on 1,000 test images" in " ".join(text.split()) and "15.4 times faster" in text


def test_a_row_shows_all_that_was_measured(make_manifest):
    rows = make_manifest().model_dump()["comparison"]
    rows[1] |= {"compressed_bytes": 5_432_100, "latency_all_ms": 0.987, "agreement": 0.9034, "seconds": 754.0}
    lines = printed(comparison_table(make_manifest(comparison=rows))).splitlines()
    cells = next([cell.strip() for cell in line.split("│")[1:-1]] for line in lines if line.startswith("│ control"))
    assert cells[2] == "5.43 MB" and cells[4] == "0.987 ms" and cells[7:] == ["90.3 %", "12.6 min"]


def test_memory_is_a_column_where_it_was_measured(make_manifest):
    manifest = make_manifest()
    rows = [row for row in manifest.model_dump()["comparison"] if not row["variant"].startswith("control")]
    rows[-1] |= {"peak_memory_mb": 12.34}
    text = printed(comparison_table(make_manifest(comparison=rows)))
    lines = [[cell.strip() for cell in line.split("│")[1:-1]] for line in text.splitlines() if line.startswith("│")]
    control = ["control", "not exported", "", "", "", "", "87.1 % ± 1.1", "−4.3", "", ""]
    assert "memory" in text and "memory" not in printed(comparison_table(manifest))
    assert (lines[0][5], lines[1], lines[-1][5]) == ("–", control, "12.3 MB")


def test_a_missing_control_is_shown(make_manifest):
    text = printed(comparison_table(make_manifest(control=False)))
    assert "control" in text and "not run" in text


def test_control_that_was_not_exported_shows_its_accuracy(make_manifest):
    rows = [row for row in make_manifest().model_dump()["comparison"] if not row["variant"].startswith("control")]
    lines = printed(comparison_table(make_manifest(comparison=rows))).splitlines()
    cells = next([cell.strip() for cell in line.split("│")[1:-1]] for line in lines if line.startswith("│ control"))
    assert cells == ["control", "not exported", "", "", "", "87.1 % ± 1.1", "−4.3", "", ""]


def test_a_teacher_that_could_not_be_exported_shows_its_accuracy(make_manifest):
    manifest = make_manifest()
    rows = [row for row in manifest.model_dump()["comparison"] if row["variant"].startswith("student")]
    teachers = [manifest.teachers[0].model_dump() | {"not_exported": "LiteRT has no operator"}]
    text = printed(comparison_table(make_manifest(teachers=teachers, comparison=rows)))
    lines = [[cell.strip() for cell in line.split("│")[1:-1]] for line in text.splitlines() if line.startswith("│")]
    assert lines[0] == ["teacher", "not exported", "", "", "", "91.4 % ± 0.9", "0.0", "", ""]
    control = next(line for line in lines if line[0] == "control")
    assert control == ["control", "not exported", "", "", "", "87.1 % ± 1.1", "−4.3", "", ""]


def test_names_are_not_markup(make_manifest):
    manifest = make_manifest()
    manifest.comparison[2].variant = "student [red]x[/] [/nothing]"
    manifest.gates[0].name = "[bold]gate[/bold]"
    assert "student [red]x[/] [/nothing]" in printed(comparison_table(manifest))
    assert "[bold]gate[/bold]" in printed(gates_table(manifest))


def test_gates_show_value_limit_and_verdict(make_manifest):
    manifest = make_manifest()
    give(manifest.gates[3], "failed")
    manifest.gates[3].reason = "the machine is slow"
    text = printed(gates_table(manifest))
    assert "the machine is slow" in text
    line = next(line for line in text.splitlines() if line.startswith("│") and "min_speed_ratio" in line)
    assert [cell.strip() for cell in line.split("│")[1:-1]] == ["min_speed_ratio", "15.4", "≥ 3", "failed"]
    assert "1 of 4 gates failed" in text


def test_a_cause_is_followed_by_a_command_for_each_remedy():
    remedies = [["student.width=2"], ['distill.assistants=[{"width": 2}]', "seed=2"]]
    cause = Diagnosis(subject="student", cause="c", evidence="It is small.", proposal="a=1", overrides=remedies)
    unknown = Diagnosis(subject="student", cause="unknown", evidence="Nothing applies.")
    given = ["seed=1", "student.width=1", "data.fraction=0.5"]
    command = functools.partial(command_of, Path("r.py"), given, Path("runs"))
    assert cause_lines([cause, unknown], command) == [
        "It is small. Try a=1.",
        "    tfkd run r.py seed=1 data.fraction=0.5 student.width=2",
        "    tfkd run r.py student.width=1 data.fraction=0.5 'distill.assistants=[{\"width\": 2}]' seed=2",
        "Nothing applies.",
    ]
