"""What a student knows of wrong classes: whether it ranks them as its teacher does.

A teacher's soft labels say that a 7 looks more like a 1 than like an 8 (Hinton, Vinyals, Dean, "Distilling the
Knowledge in a Neural Network", 2015, arXiv:1503.02531). For each image, the classes other than the label are ranked by
the logits of both networks; Spearman's rank correlation compares the two orders (Spearman, "The Proof and Measurement
of Association between Two Things", 1904). It does not depend on temperatures, which change no order. Equal logits get
their mean rank.
"""

import numpy as np

from tfkd.verification.records import ORDER_BINS, OrderAgreement

_TWO_CLASSES = "with two classes there is one wrong class, which has no order"
_NO_ORDER = "no test example has an order of the wrong classes in both networks"
_CELLS = 1 << 22  # logits that are ranked at a time: memory stays below 300 MB


def order_agreement(correlations: np.ndarray, classes: int) -> OrderAgreement:
    """Returns the mean of the correlations over the images that have one.

    Args:
        correlations: float [n] (see `rank_correlations`).
        classes: number of classes.
    """
    found = correlations[np.isfinite(correlations)]
    if not len(found):
        return OrderAgreement(images=0, reason=_TWO_CLASSES if classes == 2 else _NO_ORDER)
    return OrderAgreement(
        correlation=float(found.mean()),
        standard_error=float(found.std(ddof=1) / np.sqrt(len(found))) if len(found) > 1 else None,
        images=len(found),
    )


def histogram(correlations: np.ndarray) -> list[int]:
    """Counts the images in equal bins of their correlation from -1 to 1."""
    found = correlations[np.isfinite(correlations)]
    counts: list[int] = np.histogram(found, bins=ORDER_BINS, range=(-1, 1))[0].tolist()
    return counts


def rank_correlations(labels: np.ndarray, logits: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Returns Spearman's rank correlation of each image over the classes that are not its label.

    Args:
        labels: int [n], the true classes.
        logits: of a network, float [n, classes]; probabilities have the same order.
        reference: of the network that it is compared with.

    Returns:
        float64 [n], -1 to 1; NaN where a network gives all these classes the same logit or a NaN, and where there are
        two classes.
    """
    images, classes = logits.shape
    found = np.full(images, np.nan)
    if classes < 3:
        return found
    block = max(1, _CELLS // classes)
    for start in range(0, images, block):
        rows = slice(start, start + block)
        ranks = _ranks(labels[rows], logits[rows]), _ranks(labels[rows], reference[rows])
        found[rows] = _correlations(*ranks)
    return found


def _ranks(labels: np.ndarray, logits: np.ndarray) -> np.ndarray:
    """Returns the centred ranks of the classes that are not the label, float64 [n, classes - 1]; NaN for NaN."""
    from scipy.stats import rankdata

    others = np.arange(logits.shape[1]) != labels[:, None]
    ranks = rankdata(logits[others].reshape(len(logits), -1), axis=1)
    centred: np.ndarray = ranks - ranks.mean(axis=1, keepdims=True)
    return centred


def _correlations(ranks: np.ndarray, others: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        found = (ranks * others).sum(axis=1) / np.sqrt(np.square(ranks).sum(axis=1) * np.square(others).sum(axis=1))
    clipped: np.ndarray = np.clip(found, -1, 1)
    return clipped
