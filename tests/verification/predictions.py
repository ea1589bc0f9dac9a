"""Generated predictions for the tests of counting: usual ones, ties, edges of bins, and what is no prediction."""

import numpy as np

CLASSES = (1, 2, 10, 101)
CASES = {1: 500, 2: 3_000, 10: 6_000, 101: 500}  # together 10,000
_LARGEST = float(np.finfo(np.float32).max)


def generated(classes: int) -> np.ndarray:
    """Returns float32 [CASES, classes]: a third of softmax outputs, of int8 outputs, and of adversarial values each."""
    draw, count = np.random.default_rng(classes), CASES[classes]
    logits = draw.normal(0, draw.uniform(0.1, 12, (count, 1)), (count, classes))
    exponents = np.exp(logits - logits.max(axis=1, keepdims=True))
    found = (exponents / exponents.sum(axis=1, keepdims=True)).astype(np.float32)
    quantized = slice(count // 3, 2 * count // 3)
    found[quantized] = np.round(found[quantized] * 256) / np.float32(256)
    for row in range(2 * count // 3, count):
        found[row] = _adversarial(draw, found[row])
    return found


def _adversarial(draw: np.random.Generator, row: np.ndarray) -> np.ndarray:
    """Returns equal values, edges of bins, uniform predictions, tiny and huge values, or what is no prediction."""
    kind, changed = int(draw.integers(9)), row.copy()
    if kind == 0:
        changed[:] = np.float32(1 / len(row))
    elif kind == 1:
        changed[draw.integers(len(row), size=2)] = changed.max()
    elif kind in (2, 3):  # confidence or margin at k / 10, and the next float32 on either side
        edge = np.float32(draw.integers(11) / 10)
        for _ in range(int(draw.integers(3))):
            edge = np.nextafter(edge, np.float32(draw.integers(2)))
        changed[:] = (1 - edge) / max(len(row) - 1, 1)
        changed[draw.integers(len(row))] = edge
    elif kind == 4:
        changed *= np.float32(2.0 ** draw.integers(-140, 120))
    elif kind == 5:
        changed[draw.integers(len(row))] = draw.choice([np.nan, np.inf, -np.inf, -1e-9, -0.0, _LARGEST, 1e-45])
    elif kind == 6:
        changed[:] = 0
        changed[draw.integers(len(row))] = draw.choice([0, 1, 1e-30])
    elif kind == 7:  # an entropy near k / 10
        changed[:] = _with_entropy(draw.integers(1, 10) / 10, len(row))
        changed[0] = np.nextafter(changed[0], np.float32(draw.integers(2)))
    else:
        changed *= np.float32(draw.uniform(0.5, 1.5))
    return changed


def _with_entropy(entropy: float, classes: int) -> np.ndarray:
    """Returns a prediction of one likely and otherwise equal classes with a normalised entropy, float64 [classes]."""
    if classes == 1:
        return np.ones(1)
    low, high = 1 / classes, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        row = np.append(middle, np.full(classes - 1, (1 - middle) / (classes - 1)))
        low, high = (middle, high) if -(row * np.log(row + 1e-300)).sum() / np.log(classes) > entropy else (low, middle)
    return row
