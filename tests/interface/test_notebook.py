"""Quickstart's smoke form: the notebook in pipelines/, executed as it stands, and then the command."""

import ast
import shutil
from pathlib import Path
from typing import Any

import nbclient
import nbformat
import pytest

from tests import running
from tfkd.bundle.manifest import Manifest

pytestmark = pytest.mark.slow

PIPELINES = Path(__file__).parents[2] / "pipelines"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the notebook, in which its run and its bundle remain."""
    return tmp_path_factory.mktemp("notebook")


@pytest.fixture(scope="module")
def cells(folder: Path) -> Any:
    """The executed code cells by their source."""
    for name in ("quickstart.ipynb", "quickstart.py"):
        shutil.copy(PIPELINES / name, folder)
    notebook = nbformat.read(folder / "quickstart.ipynb", as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells), "committed with outputs"
    with pytest.MonkeyPatch.context() as patch:
        for name in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR"):
            patch.setenv(name, str(folder / name))
        resources = {"metadata": {"path": str(folder)}}
        nbclient.NotebookClient(notebook, timeout=600, resources=resources, coalesce_streams=True).execute()
    return {cell.source.splitlines()[-1]: cell.outputs for cell in notebook.cells if cell.cell_type == "code"}


def shown(outputs: Any, kind: str = "text/html") -> str:
    return "".join(output["data"][kind] for output in outputs if output.output_type == "execute_result")


def printed(outputs: Any) -> str:
    return "".join(output.text for output in outputs if output.output_type == "stream")


def test_progress_arrives_in_few_lines(cells: Any) -> None:
    outputs = cells["result = tfkd.run(recipe, smoke=True)"]
    lines = printed(outputs).splitlines()
    assert "student …" in lines and any(line.startswith("report: done in") for line in lines)
    assert len(lines) < 100 and len(outputs) < 10
    bars = [output for output in outputs if output.output_type == "display_data"]
    assert [bar["data"]["text/html"] for bar in bars] == [""]  # one bar, which is emptied at the end


def test_no_library_writes_output(cells: Any) -> None:
    for outputs in cells.values():
        assert not any(output.get("name") == "stderr" for output in outputs)


def test_tables_are_html(cells: Any) -> None:
    comparison, gates = shown(cells["result.comparison"]), shown(cells["result.gates"])
    assert "<table>" in comparison and "student int8" in comparison and "control" in comparison
    assert "one_partition/quickstart-smoke_int8.tflite" in gates and "not judged" in gates
    assert "mobilenet_v3_small" in shown(cells["result.networks"])
    assert "int8.tflite" in shown(cells["tfkd.verify(bundle)"]) and ">failed<" not in shown(
        cells["tfkd.verify(bundle)"]
    )


def test_objects_come_out(cells: Any) -> None:
    assert shown(cells['recipe.with_("distill.views=4").distill.views'], "text/plain") == "4"
    predicted = shown(cells["[bundle.labels[best] for best in probabilities.argmax(axis=1)]"], "text/plain")
    assert len(ast.literal_eval(predicted)) == 8
    assert shown(cells['result.student.predict(photos.astype("float32"), verbose=0).shape'], "text/plain") == "(8, 10)"
    shapes = ast.literal_eval(shown(cells["images.shape, labels.shape, teacher_logits.shape"], "text/plain"))
    assert shapes == ((128, 32, 32, 3), (128,), (128, 10))


def test_the_command_takes_over_the_run(cells: Any, folder: Path) -> None:
    code, printed, errors = running.run(folder, "run", "quickstart.py", "--smoke", 'export.coreml=["mlpackage"]')
    assert (code, errors) == (0, "")
    assert "student: reused" in printed
    assert "quickstart-smoke: not judged: " in printed and "All " not in printed
    bundle = folder / "exported_models" / "quickstart-smoke"
    written = [(bundle / name).read_text(encoding="utf-8") for name in ("report.html", "MODEL_CARD.md")]
    for text in (printed, *written):
        assert "gates not judged: switched off by --smoke (" in " ".join(text.split()).replace("\\", "")


def test_a_smoke_run_judges_no_accuracy(cells: Any, folder: Path) -> None:
    bundle = folder / "exported_models" / "quickstart-smoke"
    manifest = Manifest.model_validate_json((bundle / "manifest.json").read_bytes())
    assert manifest.student.model == "mobilenet_v3_small"
    off = {gate.name for gate in manifest.gates if gate.reason == "switched off by --smoke"}
    assert {"better_than_chance", "not_worse_than_control", "min_relative_accuracy"} < off
    for artifact in manifest.artifacts:
        assert (bundle / artifact.path).exists()
        if artifact.precision in ("fp32", "fp16", "int8") and artifact.delegation is not None:
            assert artifact.delegation.partitions == 1
