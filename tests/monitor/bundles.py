"""A small bundle with a reference of generated predictions, and counts of phones that run it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tests.releases.bundles import copied as copied_bundle
from tfkd.bundle import monitoring
from tfkd.bundle.counts import counted
from tfkd.files import sha256, write_json
from tfkd.verification.counting import features

FILE = "android/fixture_int8.tflite"
CLASSES = 10
DAY = "2026-11-30"  # the bundle is of the day before
EXAMPLES = 1_000


def predictions(
    count: int, seed: int, frequencies: Sequence[float] = (1,) * CLASSES, sharpness: float = 3.0
) -> tuple[np.ndarray, np.ndarray]:
    """Returns probabilities of a classifier of ten classes for examples, and their true classes.

    Args:
        count: number of examples.
        seed: draws them.
        frequencies: of the classes.
        sharpness: how far the logit of the true class is from the others; 3 is right for most examples.
    """
    draw = np.random.default_rng(seed)
    labels = draw.choice(CLASSES, count, p=np.array(frequencies) / np.sum(frequencies))
    logits = draw.normal(size=(count, CLASSES)) + sharpness * np.eye(CLASSES)[labels]
    exponents = np.exp(1.3 * logits)
    return (exponents / exponents.sum(axis=1, keepdims=True)).astype(np.float32), labels


def bundle(folder: Path, examples: int = EXAMPLES, seed: int = 1, teacher: bool = True, learnt: bool = False) -> Path:
    """Writes a bundle with the reference of one file: `predictions`."""
    copied_bundle(folder)
    probabilities, labels = predictions(examples, seed)
    taught = predictions(examples, seed, sharpness=3.5)[0] if teacher else None
    found = monitoring.reference(
        FILE, digest(folder), probabilities, None if learnt else labels, teacher=taught, seed=seed
    )
    assert found is not None
    monitoring.write(folder, found)
    return folder


def digest(folder: Path) -> str:
    """Returns the SHA-256 of the file that phones run."""
    return sha256(folder / FILE)


def day(probabilities: np.ndarray) -> dict[str, Any]:
    """Returns the counts of one day."""
    found = features(probabilities)
    return counted(found.binned(), CLASSES, invalid=int((~found.valid).sum())).model_dump()


def phone(folder: Path, days: dict[str, dict[str, Any]], device: str = "a", **changes: Any) -> dict[str, Any]:
    """Returns the counts of a phone that runs the file of a bundle."""
    counts: dict[str, Any] = {"schema": "tfkd-counts-1", "bundle": "fixture", "file": FILE}
    counts |= {"sha256": digest(folder), "tfkd_version": "0", "device": device, "classes": CLASSES}
    return counts | {"days": days} | changes


def write_phone(path: Path, counts: dict[str, Any]) -> Path:
    write_json(path, counts)
    return path
