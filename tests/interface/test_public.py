"""The names that tfkd exports: listed, typed, lazy, and not replaced by any module."""

import ast
import importlib
import inspect
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import tfkd
from tfkd.report.tables import Table

SOURCE = Path(tfkd.__file__)
FUNCTIONS = ("run", "export", "verify", "diff", "drift", "bench", "fit", "load_bundle", "load_recipe")


def test_every_public_name_is_listed_documented_and_imported_for_type_checkers() -> None:
    assert set(tfkd.__all__) <= set(dir(tfkd))
    for name in set(tfkd.__all__) - {"__version__"}:
        found = getattr(tfkd, name)
        assert found is getattr(tfkd, name) and inspect.getdoc(found)
    block = next(node for node in ast.parse(SOURCE.read_text()).body if isinstance(node, ast.If))
    typed = {alias.name for node in ast.walk(block) if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert typed == set(tfkd.__all__) - {"__version__"}


def test_no_module_takes_the_name_of_a_public_function() -> None:
    before = {name: getattr(tfkd, name) for name in FUNCTIONS}
    for module in pkgutil.walk_packages(tfkd.__path__, "tfkd."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    assert {name: getattr(tfkd, name) for name in FUNCTIONS} == before
    for _ in range(2):
        for function in (tfkd.run, tfkd.fit, tfkd.verify, tfkd.load_bundle, tfkd.load_recipe):
            with pytest.raises(tfkd.RequestError, match="none"):
                function("none")


@pytest.mark.parametrize(
    "name", ["run", "export", "verify", "diff", "drift", "bench", "fit", "load_bundle", "Recipe", "SoftLabelBatches"]
)
def test_a_name_does_not_load_tensorflow(name: str) -> None:
    script = f"import sys, tfkd; tfkd.{name}; assert not {{'tensorflow', 'keras', 'coremltools'}} & set(sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_names_that_need_tensorflow_load_it_without_output() -> None:
    script = "import sys, tfkd; tfkd.Distiller; assert 'tensorflow' in sys.modules"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_errors_are_of_one_family() -> None:
    for error in (tfkd.RequestError, tfkd.GateError, tfkd.VerifyError, tfkd.MachineError, tfkd.InternalError):
        assert issubclass(error, tfkd.TfkdError)


def test_a_table_is_values_text_and_html() -> None:
    from rich import table
    from rich.text import Text

    shown = table.Table(title=Text("a < b"), caption="about")
    shown.add_column("name")
    shown.add_column("value", justify="right")
    shown.add_row(Text("x & y\n", "dim").append("why"), "1")
    shown.add_row("[red]\x1b[2J", "2")
    found = Table(shown, [{"value": 1.25}, {"value": 2.0}])
    assert (len(found), found[0]["value"], [row["value"] for row in found[1:]]) == (2, 1.25, [2.0])
    html = found._repr_html_()
    assert (
        "a &lt; b" in html
        and "about" in html
        and "x &amp; y<br>why" in html
        and 'right; vertical-align: top">1<' in html
    )
    assert "\x1b" not in html + repr(found) and "[red]" in html and "[red]" in repr(found)
    assert "x & y" in repr(found) and repr(found).splitlines()[0].strip() == "a < b"
