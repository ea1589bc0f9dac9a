"""Tables for the tests: two numbers and a category, whose classes follow rules."""

from pathlib import Path

import numpy as np

from tfkd.inputs.table.tensors import signature
from tfkd.signature import Column

COLUMNS = (
    Column("age", mean=40.0, deviation=15.0, lowest=18.0, highest=80.0, whole=True),
    Column("job", ("cook", "nurse", "pilot")),
    Column("income", mean=2.0, deviation=1.5, highest=20.0),
)
CLASSES = ("no", "perhaps", "yes")
SIGNATURE = signature(COLUMNS)


def rows(count: int, seed: int = 1) -> np.ndarray:
    """Returns rows as a model takes them, float32 [count, 3]; a few are of a job that is not listed."""
    draw = np.random.default_rng(seed)
    columns = draw.integers(18, 80, count), draw.integers(0, 4, count), draw.exponential(2.0, count)
    return np.stack(columns, axis=1).astype(np.float32)


def labels(taken: np.ndarray) -> np.ndarray:
    """Returns the class of each row: pilots and the rich say yes, the old perhaps, others no."""
    age, job, income = taken.T
    return np.where((job == 2) | (income > 3), 2, np.where(age > 50, 1, 0))


def write(path: Path, count: int, seed: int = 1, label: str = "label") -> Path:
    """Writes a table with labels."""
    taken = rows(count, seed)
    jobs = (*COLUMNS[1].categories, "diver")
    lines = [
        f"{age:g},{jobs[int(job)]},{income:.5f},{CLASSES[number]}"
        for (age, job, income), number in zip(taken.tolist(), labels(taken).tolist(), strict=True)
    ]
    path.write_text("\n".join([f"age,job,income,{label}", *lines]) + "\n")
    return path
