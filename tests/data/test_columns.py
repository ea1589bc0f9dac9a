"""table:FILE.csv."""

from pathlib import Path

import numpy as np
import pytest

from tests.tables import write
from tfkd.data import open_source
from tfkd.errors import RequestError
from tfkd.recipe import Data

GOOD = "age,job,label\n" + "".join(f"{20 + k},{('cook', 'nurse')[k % 3 > 0]},{('a', 'b')[k % 2]}\n" for k in range(40))

COMMAS = "age;label\n" + "".join(f"2,{50 + k};{('a', 'b')[k % 2]}\n" for k in range(40))
GREAT = "age,label\n" + "".join(f"{17_000_000_000 + k},{('a', 'b')[k % 2]}\n" for k in range(40))


def opened(content: str, folder: Path, **settings: object):
    (folder / "t.csv").write_text(content)
    return open_source(Data(source=f"table:{folder / 't.csv'}", **settings), seed=1)


def test_rows_are_opened_split_and_typed(tmp_path: Path) -> None:
    data = open_source(Data(source=f"table:{write(tmp_path / 't.csv', 200)}"), seed=1)
    assert data.kind.name == "table" and data.classes == ("no", "perhaps", "yes")
    assert len(data.train) + len(data.validation) + len(data.test) == 200
    assert [(column.name, bool(column.categories), column.whole) for column in data.columns] == [
        ("age", False, True),
        ("job", True, False),
        ("income", False, False),
    ]
    row = data.test.load(0)
    assert isinstance(row["age"], float) and row["job"] in ("cook", "nurse", "pilot", "diver")
    assert data.test.name(0).startswith(f"{tmp_path / 't.csv'}, line ")
    numbers = np.array([data.train.load(i)["income"] for i in range(len(data.train))])
    assert data.columns[2].mean == pytest.approx(numbers.mean())


def test_splits_groups_other_labels_and_chosen_columns_are_read(tmp_path: Path) -> None:
    lines = [f"{k};{k % 7};{k % 5};{'ab'[k % 2]};{('train', 'test')[k % 10 == 9]};g{k}" for k in range(60)]
    content = "\n".join(["age;code;shoe;class;split;group", *lines])
    data = opened(content, tmp_path, label_column="class", columns=["age", "code"], categorical=["code"])
    assert len(data.test) == 6 and data.classes == ("a", "b")
    assert [column.name for column in data.columns] == ["age", "code"]
    assert data.columns[1].categories == tuple("0123456")


def test_unlabelled_rows_come_from_another_table(tmp_path: Path) -> None:
    (tmp_path / "more.csv").write_text("job,age\ncook,99\nnurse,98\n")
    data = opened(GOOD, tmp_path, unlabelled=f"table:{tmp_path / 'more.csv'}")
    assert data.unlabelled is not None and data.unlabelled.load(0) == {"job": "cook", "age": 99.0}
    (tmp_path / "more.csv").write_text("job,age\ncook,old\nnurse,young\n")
    with pytest.raises(RequestError, match="Column 'age' holds numbers and texts in different training rows"):
        opened(GOOD, tmp_path, unlabelled=f"table:{tmp_path / 'more.csv'}")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", r"t\.csv holds no rows"),
        ("age,label\n", r"t\.csv holds no rows"),
        ("age,job\n1,x\n2,y\n", r"no column 'label' with the classes.*Name it in data\.label_column"),
        ("label\na\nb\n", r"no column beside label"),
        ("age,age,label\n1,2,a\n", r"line 1: there are two columns 'age'"),
        ("age,,label\n1,2,a\n", r"line 1: a column has no name"),
        (GOOD + "30,nurse\n", r"line 42: has 2 cells, the header has 3"),
        (GOOD + ",nurse,a\n", r"line 42: column 'age' has no value"),
        (GOOD + "NA,nurse,a\n", r"line 42: column 'age' has no value"),
        (GOOD + "30,,a\n", r"line 42: column 'job' has no value"),
        (GOOD + "thirty,nurse,a\n", r"line 42: column 'age' holds 'thirty', and numbers in 40 of 41 rows"),
        (GOOD + "1e99,nurse,a\n", r"line 42: column 'age' holds 1e99, too large"),
        (GOOD + "inf,nurse,a\n", r"line 42: column 'age' holds inf, too large"),
        (GOOD + "1e31,nurse,a\n", r"line 42: column 'age' holds 1e31, too large"),
        (COMMAS, r"line 2: column 'age' holds '2,50', and numbers with a comma in"),
        (
            GREAT,
            r"'age' holds numbers that differ by less than float32 can tell, such as",
        ),
        (GOOD + "30,nurse,\n", r"line 42: has no label"),
        ("age,job,label\n" + "1,x,a\n2,y,a\n" * 20, r"has only one class"),
        (GOOD + '30,"nurse,a\n', r"line 42: is not CSV"),
    ],
)
def test_bad_tables_get_one_line(content: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=message) as raised:
        opened(content, tmp_path, drop_duplicates=False)
    assert "\n" not in str(raised.value)


def test_wrong_settings_and_files_get_one_line(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"no column 'agee' of data\.columns. Did you mean 'age'\?"):
        opened(GOOD, tmp_path, columns=["agee"])
    with pytest.raises(RequestError, match=r"no column 'shop' of data\.categorical"):
        opened(GOOD, tmp_path, categorical=["shop"])
    with pytest.raises(RequestError, match=r"data\.columns names 'label', which is no feature"):
        opened(GOOD, tmp_path, columns=["age", "label"])
    with pytest.raises(RequestError, match=r"is a table, and data\.kind is 'image'"):
        opened(GOOD, tmp_path, kind="image")
    with pytest.raises(RequestError, match=r"none\.csv cannot be read: No such file"):
        open_source(Data(source=f"table:{tmp_path / 'none.csv'}"), seed=1)
    with pytest.raises(RequestError, match=r"data\.categorical is for examples of kind 'table'"):
        open_source(Data(source="embedded:fashion_mnist_mini", categorical=["a"]), seed=1)


def test_the_embedded_digits_are_a_table() -> None:
    data = open_source(Data(source="embedded:digits", kind="table"), seed=1)
    assert data.classes == tuple("0123456789") and len(data.columns) == 60
    assert sum(len(split) for split in (data.train, data.validation, data.test)) == 1797
    assert data.warnings == ("left out, as all training rows have the same value: r0c0; r4c0; r4c7 and 1 more",)
    with pytest.raises(RequestError, match=r"embedded:digits is a table, and data\.kind is 'image'"):
        open_source(Data(source="embedded:digits"), seed=1)
