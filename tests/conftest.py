import os

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

# Half a minute and more. Whichever came last would keep one worker busy and leave the others with nothing to do.
LONG = (
    "test_ways_to_distil.py",
    "test_pipeline.py",
    "test_comparison.py",
    "test_contract.py",
    "test_quickstart.py",
    "test_evaluator.py",
    "test_target.py",
    "test_student.py",
    "test_strategies.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts the files that take long first; pyproject.toml keeps xdist from sorting them otherwise."""
    items.sort(key=lambda item: LONG.index(item.path.name) if item.path.name in LONG else len(LONG))
