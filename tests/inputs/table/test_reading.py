"""Rows of tables: what their columns hold, and the numbers that a model takes."""

import base64
import json
from typing import Any

import numpy as np
import pytest

from tests.tables import COLUMNS, SIGNATURE
from tfkd.errors import RequestError
from tfkd.inputs import kind_of
from tfkd.inputs.kind import ExampleError
from tfkd.inputs.seeds import view_seeds
from tfkd.inputs.table.reading import MOST_CATEGORIES, TableReading, encoded_row
from tfkd.inputs.table.tensors import columns_text, parse_columns, signature
from tfkd.recipe import Augment, Data
from tfkd.signature import Column

ROWS: list[dict[str, float | str]] = [
    {"age": 30.0, "job": "nurse", "income": 1.5, "country": "nl"},
    {"age": 50.0, "job": "cook", "income": 2.5, "country": "nl"},
]
READING = TableReading("label")


def test_columns_are_learnt_from_training_rows_alone() -> None:
    facts = READING.adaptation(ROWS, [{"age": 1.0, "job": "diver", "income": 9.0, "country": "be"}])
    columns = READING.adapted(json.loads(json.dumps(facts))).columns
    assert columns == (
        Column("age", mean=40.0, deviation=10.0, lowest=30.0, highest=50.0, whole=True),
        Column("job", ("cook", "nurse")),
        Column("income", mean=2.0, deviation=0.5, lowest=1.5, highest=2.5),
    )
    assert list(READING.adaptation_notes(facts)) == ["2 columns of numbers, 1 of categories"]
    constant, unknown = READING.adaptation_warnings(facts)
    assert constant == "left out, as all training rows have the same value: country"
    assert unknown == (
        "column 'job' has categories in 1 validation or test row that no training row has, which count as another one: "
        "'diver'"
    )


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([ROWS[0], ROWS[0]], "All columns of the training rows are constant"),
        ([ROWS[0], {**ROWS[1], "age": "old"}], "Column 'age' holds numbers and texts in different training rows"),
        ([ROWS[0], {"age": 2.0}], "Column 'job' holds nothing and texts in different training rows"),
        ([{"name": f"n{k}"} for k in range(MOST_CATEGORIES + 1)], "Column 'name' holds 101 different texts"),
    ],
)
def test_columns_that_no_student_can_use_are_refused(rows: list[Any], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        READING.adaptation(rows, [])


def test_a_row_becomes_numbers_in_the_order_of_the_columns() -> None:
    row: dict[str, Any] = {"income": 1.25, "job": "pilot", "age": 31, "shoe": 44}
    np.testing.assert_array_equal(encoded_row(row, COLUMNS), np.float32([31, 2, 1.25]))
    np.testing.assert_array_equal(encoded_row({**row, "job": "diver"}, COLUMNS), np.float32([31, 3, 1.25]))
    with pytest.raises(RequestError, match=r"no column 'income', which the model takes. Did you mean 'incomes'\?"):
        encoded_row({"age": 31, "job": "cook", "incomes": 1.0}, COLUMNS)
    with pytest.raises(RequestError, match="'age' holds 'old' where the model takes a number"):
        encoded_row({**row, "age": "old"}, COLUMNS)


def test_a_view_is_near_its_row_and_depends_on_its_seed_alone() -> None:
    reading, seeds = READING, view_seeds(1, np.arange(500), 0)
    example: Any = {"age": 40.0, "job": "nurse", "income": 2.0}
    (views,) = zip(*(reading.view(example, seed, Augment(jitter=0.2), SIGNATURE) for seed in seeds), strict=True)
    found = np.stack(views)
    assert found.dtype == np.float32 and (found[:, 1] == 1).all()
    np.testing.assert_array_equal(found[:, 0], np.rint(found[:, 0]))
    np.testing.assert_allclose(found.std(axis=0)[[0, 2]], [0.2 * 15, 0.2 * 1.5], rtol=0.15)
    np.testing.assert_array_equal(reading.view(example, seeds[7], Augment(jitter=0.2), SIGNATURE)[0], found[7])
    (plain,) = reading.view(example, seeds[0], Augment(jitter=0.0), SIGNATURE)
    np.testing.assert_array_equal(plain, reading.plain(example, SIGNATURE)[0])
    low: Any = {"age": 18.0, "job": "nurse", "income": 0.0}
    (views,) = zip(*(reading.view(low, seed, Augment(jitter=2.0), SIGNATURE) for seed in seeds), strict=True)
    assert np.stack(views).min(axis=0).tolist() == [18.0, 1.0, 0.0]  # a number leaves its range in no view


def test_what_is_for_images_is_refused() -> None:
    with pytest.raises(RequestError, match="is of images"):
        READING.rendered("grey")
    with pytest.raises(RequestError, match="mixes images"):
        READING.overlay(np.array([1, 2]), Augment())
    with pytest.raises(RequestError, match="not normalised"):
        kind_of("table").normalization("tf", "--normalization")


def test_golden_files_hold_the_values_by_column() -> None:
    kind, row = kind_of("table"), np.float32([31, 1, 1.25])
    encoded = kind.encode_golden(row, SIGNATURE)
    assert json.loads(encoded) == {"age": 31.0, "job": "nurse", "income": 1.25}
    np.testing.assert_array_equal(kind.decode_golden(encoded, SIGNATURE), row)
    other = np.float32([31, 3, 1.25])
    np.testing.assert_array_equal(kind.decode_golden(kind.encode_golden(other, SIGNATURE), SIGNATURE), other)
    shown = kind.encode_shown(other, SIGNATURE)
    assert base64.b64decode(shown).decode() == "age 31, job (another category), income 1.25"
    assert kind.shown_type(shown) == "text/plain"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"[1]", "is no JSON object"),
        (b"{", "is no JSON object"),
        (b'{"age": 1}', "has no column 'job'"),
        (b'{"age": Infinity, "job": "", "income": 1}', "not finite"),
        (b'{"age": "x", "job": "", "income": 1}', "where the model takes a number"),
        (b" " * (1 << 20) + b"1", "larger than 1 MiB"),
    ],
)
def test_damaged_golden_files_are_told(content: bytes, reason: str) -> None:
    with pytest.raises(ExampleError, match=reason):
        kind_of("table").decode_golden(content, SIGNATURE)


def test_rows_in_memory_are_mappings_or_numbers() -> None:
    kind = kind_of("table")
    mappings = [{"age": 31, "job": "nurse", "income": 1.25}, {"age": 60, "job": "?", "income": 0}]
    expected = np.float32([[31, 1, 1.25], [60, 3, 0]])
    np.testing.assert_array_equal(kind.from_memory(mappings, SIGNATURE), expected)
    np.testing.assert_array_equal(kind.from_memory(mappings[0], SIGNATURE), expected[:1])
    np.testing.assert_array_equal(kind.from_memory(expected.tolist(), SIGNATURE), expected)
    for wrong, message in (
        ({"age": float("nan")}, "'age' holds a number that is not finite"),
        ({"age": 10**400}, "'age' holds a number that is not finite"),
        ({"job": None}, "has no value of column 'job'"),
    ):
        with pytest.raises(RequestError, match=message):
            kind.from_memory({**mappings[0], **wrong}, SIGNATURE)
    zips = signature((Column("zip", ("1234567", "2.5")),))
    numbers = [{"zip": value} for value in (1234567, np.int64(1234567), 1234567.0, "1234567", 2.5, True)]
    assert kind.from_memory(numbers, zips)[:, 0].tolist() == [0, 0, 0, 0, 1, 2]
    for wrong in ([[1, 2]], "abc", [[1, 2, float("nan")]], 3):
        with pytest.raises(RequestError, match=r"must be mappings of values by column, or numbers \[n, 3\]"):
            kind.from_memory(wrong, SIGNATURE)


def test_rows_in_memory_can_be_written_as_a_source(tmp_path: Any) -> None:
    from tfkd.data import open_evaluation

    rows = [{"age": 31, "job": "nurse"}, {"age": 60, "job": "cook"}]
    source = kind_of("table").write_source(rows, [1, 0], ("no", "yes"), tmp_path)
    found = open_evaluation(Data(source=source), 1)
    assert found.classes == ("no", "yes") and found.test.labels.tolist() == [1, 0]
    assert found.test.load(0) == {"age": 31.0, "job": "nurse"}
    with pytest.raises(RequestError, match="all of the same columns"):
        kind_of("table").write_source([{"age": 31}, {"job": "cook"}], [1, 0], ("no", "yes"), tmp_path)


def test_the_file_of_the_columns_is_read_back() -> None:
    assert parse_columns(columns_text(COLUMNS).encode(), "columns.json") == COLUMNS


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[]", "columns.json has 0 columns"),
        (b"{", "columns.json is no list of columns"),
        (b'[{"name": "a", "name": "b"}]', "columns.json is no list of columns"),
        (b'[{"name": 3}]', r"no list of columns: 0\.name"),
        (b'[{"name": "a", "deviation": 0.0}]', "without a positive deviation"),
        (b'[{"name": "a"}, {"name": "a"}]', "names a column twice"),
        (b'[{"name": "a", "mean": NaN}]', "columns.json is no list of columns"),
        (b'[{"name": "a", "code": "x"}]', "columns.json is no list of columns"),
        (b"[" * 100_000, "columns.json is no list of columns"),
    ],
)
def test_a_damaged_file_of_the_columns_gets_one_line(content: bytes, message: str) -> None:
    with pytest.raises(RequestError, match=message):
        parse_columns(content, "columns.json")
