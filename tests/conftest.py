import os
from pathlib import Path

import pytest

from tfkd.processes import FORKSERVER

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
if "PYTEST_XDIST_WORKER" in os.environ:  # the workers share the cores, and more threads only wait
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")

# What commands and opened models import, loaded once in the process that the children of tests are forked from.
FORKSERVER.set_forkserver_preload(
    [
        "tfkd.training.preloaded",
        "tfkd.commands",
        "tfkd.pipeline.run",
        "tfkd.pipeline.own_model",
        "tfkd.models.keras2",
        "tfkd.writers.tflite",
        "tfkd.bundle.verification",
        "tfkd.report.html",
        "scipy.optimize",
        "scipy.stats",
    ]
)

TESTS = Path(__file__).parent
# The files that take longest, longest first. Whichever came last would keep one worker busy and leave the others idle.
LONG = (
    "pipeline/test_run.py",
    "models/test_foreign.py",
    "pipeline/test_own_model.py",
    "interface/test_notebook.py",
    "pipeline/test_doctor.py",
    "distill/test_distiller_forms.py",
    "test_judged.py",
    "test_quiet.py",
    "test_examples.py",
    "writers/test_contract.py",
    "test_walkthroughs.py",
    "test_ways_to_distil.py",
    "distill/test_strategies.py",
    "writers/test_own.py",
    "distill/test_distiller.py",
    "models/test_students.py",
    "report/test_html.py",
    "pipeline/test_compare.py",
    "interface/test_exporting.py",
    "compress/test_qat.py",
    "training/test_loop.py",
    "benchmark/arm64/test_target.py",
    "verification/coreml/test_evaluator.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts the files that take long first; pyproject.toml keeps xdist from sorting them otherwise."""
    rank = {TESTS / name: number for number, name in enumerate(LONG)}
    items.sort(key=lambda item: rank.get(item.path, len(LONG)))
