"""Counts of phones against the reference of a bundle: verdicts, estimates, and what limits them."""

import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.monitor.bundles import DAY, FILE, bundle, day, phone, predictions, write_phone
from tfkd.errors import RequestError
from tfkd.monitor.drifting import DriftRequest, drift
from tfkd.monitor.records import Drift

TODAY = datetime.date(2026, 12, 10)
REQUEST = DriftRequest(today=TODAY)
SKEWED = (4, 4, 1, 1, 1, 1, 1, 1, 1, 1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bundle(tmp_path_factory.mktemp("bundles") / "fixture")


def compared(folder: Path, place: Path, *phones: dict[str, Any], request: DriftRequest = REQUEST) -> Drift:
    files = [write_phone(place / f"{number}.json", counts) for number, counts in enumerate(phones)]
    return drift(folder, files, request)


def of_a_day(folder: Path, count: int, seed: int, device: str = "a", **changes: Any) -> dict[str, Any]:
    return phone(folder, {DAY: day(predictions(count, seed, **changes)[0])}, device)


def test_predictions_as_on_the_test_examples_raise_no_alarm(folder: Path, tmp_path: Path) -> None:
    found = compared(folder, tmp_path, of_a_day(folder, 300, 2), of_a_day(folder, 300, 3, "b"))
    assert (found.verdict, found.predictions, found.phones, len(found.looks)) == ("no alarm", 600, 2, 4)
    assert found.file == FILE and found.reference_examples == 1_000 and not found.notes
    assert found.between_phones and found.between_phones.p_value > 0.001
    assert found.accuracy and found.accuracy.estimate and found.accuracy.reference
    assert found.accuracy.estimate.low < found.accuracy.reference < found.accuracy.estimate.high


def test_changed_frequencies_raise_an_alarm_and_are_estimated(folder: Path, tmp_path: Path) -> None:
    probabilities, labels = predictions(2_000, 2, SKEWED)
    found = compared(folder, tmp_path, phone(folder, {DAY: day(probabilities)}))
    assert found.alarm and next(look for look in found.looks if look.feature == "top1").corrected < 0.001
    shift = found.label_shift
    assert shift and shift.explains and shift.accuracy
    truth = np.bincount(labels, minlength=10) / len(labels)
    estimates = [each.estimated for each in found.classes]
    assert all(
        each and each.low - 0.01 <= true <= each.high + 0.01 for each, true in zip(estimates, truth, strict=True)
    )
    right = float((probabilities.argmax(axis=1) == labels).mean())
    assert shift.accuracy.low <= right <= shift.accuracy.high
    assert found.classes[0].change.low > 0 > found.classes[9].change.high


def test_examples_that_look_otherwise_lower_the_estimated_accuracy(folder: Path, tmp_path: Path) -> None:
    probabilities, labels = predictions(1_000, 2, sharpness=2.0)
    found = compared(folder, tmp_path, phone(folder, {DAY: day(probabilities)}))
    assert found.alarm and found.label_shift and not found.label_shift.explains
    assert found.mean_confidence is not None and found.mean_confidence < found.mean_confidence_reference - 0.02
    right = float((probabilities.argmax(axis=1) == labels).mean())
    assert found.accuracy and found.accuracy.estimate and found.accuracy.reference
    assert right - 0.1 < found.accuracy.estimate.value < found.accuracy.reference - 0.03


def test_a_day_that_differs_is_named(folder: Path, tmp_path: Path) -> None:
    days = {f"2026-12-0{number}": day(predictions(150, number)[0]) for number in range(1, 6)}
    days["2026-12-04"] = day(predictions(150, 4, sharpness=1.5)[0])
    days["2026-12-06"] = day(predictions(10, 6)[0])
    found = compared(folder, tmp_path, phone(folder, days))
    assert {look.period for look in found.looks if look.alarm} >= {"2026-12-04"}
    assert {look.period for look in found.looks if look.alarm} <= {"2026-12-04", "all"}
    assert [each.day for each in found.days if not each.tested] == ["2026-12-06"]
    until = compared(
        folder, tmp_path, phone(folder, days), request=DriftRequest(until=datetime.date(2026, 12, 3), today=TODAY)
    )
    assert not until.alarm and until.predictions == 450


def test_too_few_predictions_are_not_judged(folder: Path, tmp_path: Path) -> None:
    found = compared(folder, tmp_path, of_a_day(folder, 49, 2, sharpness=0.0))
    assert (found.verdict, found.looks, found.classes) == ("too few", [], [])
    assert found.needed and 100 < found.needed < 1_000


def test_counts_without_a_prediction_are_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"^The counts hold no prediction\. Name other counts or days\.$"):
        compared(folder, tmp_path, phone(folder, {}))
    wrong = phone(folder, {"1970-01-01": day(predictions(7, 3)[0])})
    with pytest.raises(
        RequestError, match=r"no prediction\. Left out: 7 predictions before the bundle was created, by"
    ):
        compared(folder, tmp_path, wrong)


def test_wrong_clocks_and_empty_days_are_left_out(folder: Path, tmp_path: Path) -> None:
    days = {DAY: day(predictions(100, 2)[0]), "2026-12-01": day(predictions(0, 2)[0])}
    days |= {"2026-11-01": day(predictions(7, 3)[0]), "2027-06-01": day(predictions(8, 4)[0])}
    found = compared(folder, tmp_path, phone(folder, days))
    assert found.predictions == 100 and [each.day for each in found.days] == [DAY]
    left = {each.reason: (each.days, each.predictions) for each in found.left_out}
    assert left == {"before the bundle was created": (1, 7), "in the future": (1, 8)}
    assert any("left out: 7 predictions of 1 day before" in note for note in found.notes)
    assert any("one phone's" in note for note in found.notes)


def test_phones_that_differ_from_each_other_are_noted(folder: Path, tmp_path: Path) -> None:
    found = compared(folder, tmp_path, of_a_day(folder, 300, 2, "a", frequencies=SKEWED), of_a_day(folder, 300, 3, "b"))
    assert found.between_phones and found.between_phones.dispersion > 2
    assert any("differ from each other more than by chance" in note for note in found.notes)


def test_invalid_predictions_are_noted(folder: Path, tmp_path: Path) -> None:
    probabilities = predictions(100, 2)[0]
    probabilities[:5] = np.nan
    found = compared(folder, tmp_path, phone(folder, {DAY: day(probabilities)}))
    assert (found.predictions, found.invalid) == (95, 5)
    assert any("5 of 100 predictions were no probabilities" in note for note in found.notes)


def test_without_true_classes_no_accuracy_is_estimated(tmp_path: Path) -> None:
    folder = bundle(tmp_path / "learnt", learnt=True)
    found = compared(folder, tmp_path, of_a_day(folder, 200, 2))
    assert found.accuracy and found.accuracy.estimate is None and "no true classes" in found.accuracy.reason
    assert found.label_shift and "no true classes" in found.label_shift.reason
    assert any("alarms on confidence, entropy and margin may be false" in note for note in found.notes)


def test_a_small_reference_is_noted_and_its_rare_classes_are_not_estimated(tmp_path: Path) -> None:
    folder = bundle(tmp_path / "small", examples=60)
    found = compared(folder, tmp_path, of_a_day(folder, 200, 2))
    assert found.label_shift and "10 of each are needed" in found.label_shift.reason
    assert any("60 test examples only" in note for note in found.notes)


@pytest.mark.parametrize(
    ("request_of", "message"),
    [
        (lambda: DriftRequest(alarm_rate=0), "--alarm-rate 0 is not between"),
        (
            lambda: DriftRequest(since=datetime.date(2026, 12, 2), until=datetime.date(2026, 12, 1)),
            "--since 2026-12-02 is after --until 2026-12-01",
        ),
    ],
)
def test_wrong_requests_are_refused(request_of: Any, message: str) -> None:
    with pytest.raises(RequestError, match=message):
        request_of()


def test_bundles_without_a_reference_and_damaged_ones_are_refused(folder: Path, tmp_path: Path) -> None:
    other = bundle(tmp_path / "other")
    place = other / "monitor" / "fixture_int8.tflite.json"
    counts = write_phone(tmp_path / "a.json", of_a_day(folder, 60, 2))
    text = place.read_text()
    for damaged, message in (
        (text[:100], "monitor/fixture_int8.tflite.json: Invalid JSON"),
        (text.replace('"classes":10', '"classes":9'), "is none of the 9"),
        (text.replace('"examples":1000', '"examples":999'), "rows have 10,000 bytes, not 9,990"),
        (text.replace('"rows":"', '"rows":"!'), "rows are not base64"),
    ):
        place.write_text(damaged)
        with pytest.raises(RequestError, match=message):
            drift(other, [counts], REQUEST)
    place.unlink()
    with pytest.raises(RequestError, match="Bundles of earlier versions have none"):
        drift(other, [counts], REQUEST)
    with pytest.raises(RequestError, match="is no bundle"):
        drift(tmp_path, [counts], REQUEST)
