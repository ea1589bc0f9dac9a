"""The shipped quickstart with its real networks, shrunk to a smoke run of about a minute."""

import subprocess
import sys
from pathlib import Path

from tfkd.bundle.manifest import Manifest

PROJECT = Path(__file__).parents[1]


def test_smoke(tmp_path: Path) -> None:
    recipe = PROJECT / "pipelines" / "quickstart.py"
    # Every form of Core ML file has tests of its own.
    command = [sys.executable, "-m", "tfkd.cli", "run", str(recipe), "--smoke", 'export.coreml=["mlpackage"]']
    ran = subprocess.run(command, cwd=tmp_path, text=True, capture_output=True, check=False, timeout=900)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    bundle = tmp_path / "exported_models" / "quickstart-smoke"
    manifest = Manifest.model_validate_json((bundle / "manifest.json").read_bytes())
    assert manifest.student.model == "mobilenet_v3_small"
    assert "quickstart-smoke: not judged: " in ran.stdout and "All " not in ran.stdout
    written = [(bundle / name).read_text(encoding="utf-8") for name in ("report.html", "MODEL_CARD.md")]
    for shown in (ran.stdout, *written):
        assert "gates not judged: switched off by --smoke (" in " ".join(shown.split()).replace("\\", "")
    off = {gate.name for gate in manifest.gates if gate.reason == "switched off by --smoke"}
    assert {"better_than_chance", "not_worse_than_control", "min_relative_accuracy"} < off
    for artifact in manifest.artifacts:
        assert (bundle / artifact.path).exists()
        if artifact.precision in ("fp32", "fp16", "int8") and artifact.delegation is not None:
            assert artifact.delegation.partitions == 1
