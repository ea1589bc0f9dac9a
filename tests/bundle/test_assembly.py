"""What a bundle's manifest and golden examples are put together from."""

from pathlib import Path

import numpy as np
import pytest

from tfkd.bundle.assembly import comparison_row, with_ensemble
from tfkd.bundle.manifest import TeacherEntry
from tfkd.bundle.results import BenchEntry
from tfkd.distill.measures import accuracy


def teacher(model: str, parameters: int, size: int, reason: str | None = None) -> TeacherEntry:
    return TeacherEntry(
        model=model,
        weights="none",
        fingerprint="0123",
        parameters=parameters,
        image_size=size,
        accuracy=0.5,
        calibration_error=0.1,
        not_exported=reason,
    )


LOGITS = np.array([[3, 0], [0, 2], [1, 0], [0, 1]], np.float32)
LABELS = np.array([0, 1, 1, 1])


def test_several_teachers_come_behind_what_they_are_together() -> None:
    single = [teacher("a", 10, 32, "Erfinv"), teacher("b", 20, 64)]
    together, *others = with_ensemble(single, LOGITS, LABELS, ("a", "b"))
    assert others == single
    assert (together.model, together.parameters, together.image_size) == ("a + b", 30, 64)
    assert together.accuracy == accuracy(LOGITS, LABELS) == 0.75
    assert together.chance is not None and together.not_exported == "Erfinv"


def test_one_teacher_is_alone() -> None:
    single = [teacher("a", 10, 32)]
    assert with_ensemble(single, LOGITS, LABELS, ("a", "b")) == single


def entry(artifact: str, threads: int, median: float, memory: float | None = None) -> BenchEntry:
    return BenchEntry.model_validate(
        {
            "target": "host",
            "device": "a machine",
            "runtime": "LiteRT",
            "artifact": artifact,
            "threads": threads,
            "runs": 5,
            "latency_ms": {"median": median, "min": median},
            "peak_memory_mb": memory,
            "emulated": False,
        }
    )


def test_files_that_run_one_after_the_other_are_one_row(tmp_path: Path) -> None:
    files = {name: tmp_path / name for name in ("a", "b")}
    for path in files.values():
        path.write_bytes(bytes(1_000))
    bench = [entry("a", 1, 2.0), entry("b", 1, 3.0), entry("a", 2, 1.0), entry("b", 2, 1.5), entry("c", 1, 9.0)]
    row = comparison_row("teacher fp32", files, bench, accuracy=0.7, reference=0.75)
    assert (row.bytes, row.latency_ms, row.latency_all_ms) == (2_000, 5.0, 2.5)
    assert row.compressed_bytes is not None and row.compressed_bytes < 100
    assert row.drop == pytest.approx(0.05)
    assert comparison_row("teacher fp32", files, bench[:3], 0.7, 0.75).latency_all_ms is None


def test_the_memory_of_files_is_the_largest_with_one_thread_and_known_only_if_all_were_measured(tmp_path: Path) -> None:
    files = {name: tmp_path / name for name in ("a", "b")}
    for path in files.values():
        path.write_bytes(bytes(1_000))
    one, other, parallel = entry("a", 1, 2.0, 10.5), entry("b", 1, 3.0, 7.25), entry("a", 2, 1.0, 99.0)

    def memory(*bench: BenchEntry) -> float | None:
        return comparison_row("teacher fp32", files, bench, accuracy=0.7, reference=None).peak_memory_mb

    assert memory(one, other, parallel) == 10.5
    assert memory(one, entry("b", 1, 3.0), parallel) is None
