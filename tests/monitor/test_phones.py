"""Counts of phones that are damaged, of another bundle, or twice the same: one line each."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.monitor.bundles import DAY, bundle, day, phone, predictions, write_phone
from tfkd.errors import RequestError
from tfkd.monitor.drifting import drift


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bundle(tmp_path_factory.mktemp("bundles") / "fixture")


@pytest.fixture
def good(folder: Path) -> dict[str, Any]:
    return phone(folder, {DAY: day(predictions(60, 2)[0])})


def changed(counts: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """Returns counts with other values in their only day."""
    return counts | {"days": {DAY: counts["days"][DAY] | changes}}


DAMAGED = {
    "no JSON": (lambda good: "counts", "is not JSON"),
    "no counts": (lambda good: "[1]", "has no schema"),
    "another schema": (lambda good: good | {"schema": "tfkd-counts-2"}, "has the schema 'tfkd-counts-2', this version"),
    "another bundle": (lambda good: good | {"sha256": "0" * 64}, "which is no file of"),
    "negative": (lambda good: changed(good, invalid=-1), "invalid: Input should be greater than or equal to 0"),
    "no whole number": (lambda good: changed(good, n=60.0), "n: Input should be a valid integer"),
    "more than 64 bits": (lambda good: changed(good, invalid=2**63), "less than or equal to 9223372036854775807"),
    "other sums": (lambda good: changed(good, n=61), "top1 adds up to 60, n is 61"),
    "other classes": (lambda good: changed(good, top1=[60]), "counts 1 classes, classes is 10"),
    "no day": (lambda good: good | {"days": {"2026-13-01": good["days"][DAY]}}, "month must be in 1..12"),
    "a name of a person": (lambda good: good | {"device": "Ada's phone"}, "device: String should match pattern"),
    "unknown fields": (lambda good: good | {"image": "…"}, "image: Extra inputs are not permitted"),
    "twice the same name": (lambda good: json.dumps(good)[:-1] + ', "days": {}}', "has two values of 'days'"),
    "deeply nested": (lambda good: "[" * 100_000, "nested too deeply"),
    "more predictions than a phone makes": (
        lambda good: changed(
            good,
            n=2**60,
            top1=[2**60, *[0] * 9],
            **{name: [2**60, *[0] * 9] for name in ("confidence", "entropy", "margin")},
        ),
        "which no phone makes",
    ),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_counts_get_one_line(name: str, folder: Path, good: dict[str, Any], tmp_path: Path) -> None:
    change, message = DAMAGED[name]
    content, path = change(good), tmp_path / "phone.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(RequestError) as error:
        drift(folder, [path])
    assert message in str(error.value) and "\n" not in str(error.value) and "phone.json" in str(error.value)


def test_a_phone_counts_once(folder: Path, good: dict[str, Any], tmp_path: Path) -> None:
    first, second = (write_phone(tmp_path / f"{name}.json", good) for name in "xy")
    with pytest.raises(RequestError, match=f"both hold {DAY} of the phone 'a'"):
        drift(folder, [first, second])
    for path in (first, second):
        write_phone(path, good | {"device": ""})
    with pytest.raises(RequestError, match="hold the same counts"):
        drift(folder, [tmp_path])
    write_phone(second, phone(folder, {DAY: day(predictions(60, 3)[0])}, device=""))
    assert drift(folder, [first, second]).predictions == 120


def test_counts_of_two_files_need_a_choice(folder: Path, good: dict[str, Any], tmp_path: Path) -> None:
    from tfkd.files import sha256

    other = good | {"sha256": sha256(folder / "android/fixture_fp32.tflite"), "device": "b"}
    places = [write_phone(tmp_path / "a.json", good), write_phone(tmp_path / "b.json", other)]
    with pytest.raises(RequestError, match="Choose one with --file"):
        drift(folder, places)
    from tfkd.monitor.drifting import DriftRequest

    assert drift(folder, places, DriftRequest(file="fixture_int8.tflite")).phones == 1
    with pytest.raises(RequestError, match="None of the counts is of fixture_fp16"):
        drift(folder, places, DriftRequest(file="fixture_fp16.tflite"))
    with pytest.raises(RequestError, match="has no file 'x'"):
        drift(folder, places, DriftRequest(file="x"))


def test_missing_and_huge_files_are_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"gone\.json cannot be read"):
        drift(folder, [tmp_path / "gone.json"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(RequestError, match=r"holds no \.json file"):
        drift(folder, [tmp_path / "empty"])
    with (tmp_path / "huge.json").open("wb") as stream:
        stream.truncate((1 << 26) + 1)
    with pytest.raises(RequestError, match="is larger than"):
        drift(folder, [tmp_path / "huge.json"])
