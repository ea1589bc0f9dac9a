import numpy as np
import pytest
from scipy.stats import spearmanr

from tfkd.verification import wrong_classes
from tfkd.verification.records import ORDER_BINS
from tfkd.verification.wrong_classes import histogram, order_agreement, rank_correlations


def rows(images: int, classes: int, levels: int = 1000) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns labels and two networks' logits; few levels make ties."""
    random = np.random.default_rng(1)
    first, second = random.integers(0, levels, (2, images, classes)).astype(np.float32)
    return np.arange(images) % classes, first, second + first / 2


@pytest.mark.parametrize(("classes", "levels"), [(3, 1000), (10, 1000), (10, 4)])
def test_it_is_spearmans_correlation_without_the_label(
    classes: int, levels: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wrong_classes, "_CELLS", 7 * classes)  # several blocks
    labels, first, second = rows(30, classes, levels)
    expected = [
        spearmanr(np.delete(one, label), np.delete(other, label)).statistic
        for label, one, other in zip(labels, first, second, strict=True)
    ]
    np.testing.assert_allclose(rank_correlations(labels, first, second), expected, atol=1e-12)


def test_the_label_and_the_scale_of_logits_do_not_matter() -> None:
    labels, first, _ = rows(20, 5)
    other = first / 8 + 3
    other[np.arange(20), labels] = 1e4
    agreement = order_agreement(rank_correlations(labels, first, other), 5)
    assert (agreement.correlation, agreement.standard_error, agreement.images) == (1, 0, 20)
    assert order_agreement(rank_correlations(labels, first, -other), 5).correlation == -1


def test_images_without_an_order_are_left_out() -> None:
    labels, first, second = rows(6, 5)
    second[0], first[1, 4] = 2, np.nan
    found = rank_correlations(labels, first, second)
    assert np.isnan(found).tolist() == [True, True, False, False, False, False]
    agreement = order_agreement(found, 5)
    assert agreement.images == 4 and agreement.correlation == pytest.approx(found[2:].mean())
    assert agreement.standard_error == pytest.approx(found[2:].std(ddof=1) / 2)
    assert sum(histogram(found)) == 4


@pytest.mark.parametrize(("classes", "reason"), [(2, "one wrong class"), (4, "no test example has an order")])
def test_no_order_at_all_has_a_reason(classes: int, reason: str) -> None:
    level = np.zeros((3, classes), np.float32)
    agreement = order_agreement(rank_correlations(np.zeros(3, int), level, level), classes)
    assert agreement.correlation is None and agreement.images == 0 and reason in agreement.reason


def test_bins_run_from_minus_one_to_one() -> None:
    counts = histogram(np.array([-1, -0.95, 0.05, 1, 1, np.nan]))
    assert len(counts) == ORDER_BINS and (counts[0], counts[10], counts[-1], sum(counts)) == (2, 1, 2, 5)
