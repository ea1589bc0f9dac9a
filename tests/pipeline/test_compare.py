"""`tfkd compare` and the compressions of a run: whole runs on a few generated photos."""

import json
from pathlib import Path

import pytest

from tests.pipeline.test_run import RECIPE, home, tfkd  # noqa: F401
from tests.report import links
from tfkd.bundle.manifest import Manifest

pytestmark = pytest.mark.slow

SHORT = "Training(epochs=1, batch_size=16, learning_rate=1e-3)"
COMPRESSED = (
    RECIPE.replace('name="tiny"', 'name="small"')
    .replace('model="tests.tiny:build_teacher"', 'model="tests.tiny:build_deeper_teacher"')
    .replace('Student(model="tests.tiny:build_student"', 'Student(model="tests.compress.network:build_shallow"')
    .replace("golden_images=3", "golden_images=3, coreml=[]")
    .replace("student=", f"compress=[Prune(training={SHORT}), QuantizationAware(training={SHORT})],\n    student=", 1)
)
VARIANTS = [
    "teacher fp32",
    "teacher int8",
    "teacher pruned fp32",
    "teacher pruned int8",
    "control fp32",
    "student fp32",
    "student fp16",
    "student dynamic",
    "student int8",
    "student QAT int8",
    "student pruned int8",
    "student clustered int8",
]


@pytest.fixture(scope="module")
def compared(home: Path) -> tuple[Path, str]:  # noqa: F811
    """The folder after a comparison, and its output."""
    (home / "small.py").write_text(COMPRESSED)
    code, output, errors = tfkd(home, command="compare", recipe="small.py")
    assert code == 0, output + errors
    return home, output


def test_every_variant_is_a_row(compared: tuple[Path, str]) -> None:
    home, output = compared  # noqa: F811
    rows = json.loads((home / "runs/small/compare/comparison.json").read_text())
    assert [row["variant"] for row in rows] == VARIANTS
    for row in rows:
        assert 0 < row["compressed_bytes"] <= row["bytes"] and row["latency_ms"] > 0
        assert 0 <= row["accuracy"] <= 1 and row["seconds"] >= 0
        assert row["variant"] in output
    assert rows[1]["bytes"] < rows[0]["bytes"]
    page = home / "runs/small/compare/report.html"
    assert "student clustered int8" in page.read_text()
    assert links.files(page) and all(file.is_file() for file in links.files(page))


def test_the_compressed_student_ships(compared: tuple[Path, str]) -> None:
    manifest = Manifest.model_validate_json((compared[0] / "runs/small/report/bundle/manifest.json").read_bytes())
    pruned, quantized = manifest.student.compressions
    assert (pruned.kind, quantized.kind) == ("prune", "qat")
    assert 0.4 < pruned.sparsity < 0.6 and 0.4 < quantized.sparsity < 0.6
    assert all(gate.passed for gate in manifest.gates if gate.name.startswith("one_partition"))


def test_a_second_comparison_trains_nothing(compared: tuple[Path, str]) -> None:
    code, output, errors = tfkd(compared[0], command="compare", recipe="small.py")
    assert code == 0, output + errors
    assert "compress: reused" in output and "student clustered int8: reused" in output
    assert "epoch 1" not in output
