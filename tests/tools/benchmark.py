"""Runs a benchmark as its users do."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def run(name: str, *arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Runs tools/benchmarks/NAME.py in a folder; the networks of the tests can be imported there."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}  # a script's own folder is on the path, its caller's is not
    command = [sys.executable, str(ROOT / "tools" / "benchmarks" / f"{name}.py"), *arguments]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
