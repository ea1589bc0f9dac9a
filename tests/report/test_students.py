import io
from typing import Any

from rich.console import Console
from rich.table import Table

from tfkd.models import STUDENTS
from tfkd.recipe import Activation
from tfkd.report.students import ACTIVATIONS, activation_table, cost_table


def printed(table: Table) -> str:
    console = Console(file=io.StringIO(), width=120)
    console.print(table)
    file: Any = console.file
    return file.getvalue()


def test_every_student_is_listed_with_its_costs() -> None:
    text = printed(cost_table())
    rows = [line.split("│")[1:-1] for line in text.splitlines() if line.startswith("│")]
    cells = [[cell.strip() for cell in row] for row in rows]
    assert [row[0] for row in cells] == list(STUDENTS)
    assert cells[0] == ["mobilenet_v3_small", "2.55 M", "57 M", "10.2 MB", "2.55 MB"]
    assert "224 px with 1,000 classes" in text


def test_every_activation_of_a_recipe_is_shown() -> None:
    assert {activation.name for activation in ACTIVATIONS} == set(Activation.__args__)  # type: ignore[attr-defined]
    assert "arXiv:1905.02244, table 5" in printed(activation_table())
