"""files:LIST.csv: path, label, and optionally split and group."""

from pathlib import Path

import numpy as np
import pytest

from tests.data.photos import READING, fill
from tfkd.data import Dataset, Split, open_source, table
from tfkd.errors import RequestError
from tfkd.recipe import Data


def opened(path: Path, **fields: object) -> Dataset:
    return open_source(Data(source=f"files:{path}", **fields), 1)


def write(path: Path, *lines: str, encoding: str = "utf-8") -> Path:
    path.write_text("".join(f"{line}\n" for line in lines), encoding=encoding)
    return path


def names(split: Split) -> list[str]:
    return [split.name(i) for i in range(len(split))]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return fill(tmp_path, {"x": 24, "y": 24})


def test_paths_are_relative_to_the_list_and_columns_come_in_any_order(photos: Path) -> None:
    (photos / "lists").mkdir()
    lines = [f"dog; ignored;../x/{i:03}.jpg;Training Set" for i in range(5)]
    lines += [f" cat ; ;{photos}/y/{i:03}.jpg;train" for i in range(5)]
    lines += ["dog;;..\\x\\006.jpg;val", "", "cat;;../y/006.jpg;TEST"]
    path = write(photos / "lists" / "a.csv", "Label;notes;Path;split", *lines, encoding="utf-8-sig")
    data = opened(path)
    assert data.classes == ("cat", "dog")
    assert [len(split) for split in (data.train, data.validation, data.test)] == [10, 1, 1]
    assert data.train.labels.tolist() == [1] * 5 + [0] * 5
    assert names(data.validation) == ["../x/006.jpg"] and names(data.test) == ["../y/006.jpg"]
    assert data.train.load(0).size == (24, 16)


def test_only_the_list_decides_the_labels_of_the_same_files(photos: Path, tmp_path: Path) -> None:
    lines = [f"x/{i:03}.jpg,{'ab'[i % 2]}" for i in range(20)]
    path, kept = write(photos / "a.csv", "path,label", *lines), tmp_path / "kept"
    first = open_source(Data(source=f"files:{path}"), 1, checked=kept)
    write(path, "path,label", *(line.replace(",a", ",c") for line in lines))
    second = open_source(Data(source=f"files:{path}"), 1, checked=kept)
    assert (first.classes, second.classes) == (("a", "b"), ("b", "c"))
    write(path, "path,label", *(f"x/{i:03}.jpg,{'ba'[i % 2]}" for i in range(20)))
    assert open_source(Data(source=f"files:{path}"), 1, checked=kept).fingerprint != first.fingerprint


def test_groups_are_never_in_two_splits(photos: Path) -> None:
    lines = [f"x/{i:03}.jpg,{'ab'[i // 12]},p{i // 3}" for i in range(24)]
    lines += [f"y/{i:03}.jpg,{'ab'[i // 12]}," for i in range(24)]
    path = write(photos / "a.csv", "path,label,group", *lines)
    data = opened(path, test_share=0.2, validation_share=0.2)
    patients = [
        {f"p{int(name[2:5]) // 3}" for name in names(split) if name[0] == "x"}
        for split in (data.train, data.validation, data.test)
    ]
    assert not (patients[0] & patients[1] or patients[0] & patients[2] or patients[1] & patients[2])
    assert sum(map(len, patients)) == 8
    for split, share in ((data.test, 0.2), (data.validation, 0.2), (data.train, 0.6)):
        assert np.abs(np.bincount(split.labels, minlength=2) - 24 * share).max() <= 3
    assert names(opened(path, test_share=0.2, validation_share=0.2).test) == names(data.test)
    other = open_source(Data(source=f"files:{path}", test_share=0.2, validation_share=0.2), 2)
    assert names(other.test) != names(data.test)


def test_other_groups_give_other_splits(photos: Path) -> None:
    def fingerprint(size: int) -> str:
        lines = [f"x/{i:03}.jpg,{'ab'[i % 2]},{i // size}" for i in range(24)]
        return opened(write(photos / "a.csv", "path,label,group", *lines)).fingerprint

    assert len({fingerprint(1), fingerprint(2), fingerprint(3)}) == 3


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["x/000.jpg,a"], "line 1: there is no column path and no column label; begin the list with the line path"),
        (["path,labels", "x/000.jpg,a"], "line 1: there is no column 'labels'. Did you mean 'label'?"),
        (["path,label,spilt", "x/000.jpg,a,test"], "there is no column 'spilt'. Did you mean 'split'?"),
        (["path,label,path", "x/000.jpg,a,b"], "there are two columns path"),
        (["path,label"], "lists no examples"),
        ([], "lists no examples"),
        (["path,label", "x/000.jpg,a", "", "x/001.jpg"], "line 4: has no label"),
        (["path,label", '"x/000.jpg,a'], "is not CSV"),
        (["path,label,split", "x/000.jpg,a,"], "line 2: has no split"),
        (["path,label,split", "x/000.jpg,a,somewhere"], "line 2: the split 'somewhere' is none of train"),
        (["path,label", "x/000.jpg,a", "x/001.jpg,b", "x/000.jpg,b"], "line 4: x/000.jpg is on line 2 as well"),
        (["path,label,split", "x/000.jpg,a,train", "x/1.jpg,b,test"], "line 3: test has class 'b', which train has"),
        (
            ["path,label,split,group", "x/000.jpg,a,train,p", "x/001.jpg,a,test,p"],
            "line 3: group 'p' is in test, and on line 2 in train",
        ),
        (["path,label", 'x/000.jpg,"a\nb"', "x/001.jpg,c"], "cannot be a label: the name holds a line break"),
        (
            ["path,label,group", *(f"x/{i:03}.jpg,{'ab'[i % 2]},p" for i in range(9))],
            "examples of 1 group, too few",
        ),
    ],
)
def test_a_wrong_list_names_the_line(photos: Path, lines: list[str], message: str) -> None:
    path = write(photos / "a.csv", *lines)
    with pytest.raises(RequestError) as error:
        opened(path)
    assert message in str(error.value) and str(error.value).count("\n") == 0


def test_a_file_that_is_not_a_list_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"nowhere\.csv cannot be read: No such file"):
        table.listing(str(tmp_path / "nowhere.csv"), READING)
    with pytest.raises(RequestError, match="cannot be read"):
        table.listing(str(tmp_path), READING)
    (tmp_path / "old.csv").write_bytes(b"path,label\na.jpg,caf\xe9\n")
    with pytest.raises(RequestError, match="line 2: is no text in UTF-8"):
        table.listing(str(tmp_path / "old.csv"), READING)


def test_a_missing_photo_is_rejected_by_name(photos: Path) -> None:
    lines = [f"x/{i:03}.jpg,{'ab'[i % 2]}" for i in range(26)]
    (photos / "x" / "025.jpg").mkdir()
    data = opened(write(photos / "a.csv", "path,label", *lines), max_rejected=0.1)
    assert data.rejected == ("x/024.jpg: there is no such file in the list's folder", "x/025.jpg: a folder, not a file")


def test_a_path_in_the_other_unicode_form_finds_its_file(photos: Path) -> None:
    (photos / "x" / "000.jpg").rename(photos / "x" / "caf\u00e9.jpg")
    lines = ["x/cafe\u0301.jpg,a", *(f"x/{i:03}.jpg,{'ab'[i % 2]}" for i in range(1, 20))]
    assert not opened(write(photos / "a.csv", "path,label", *lines)).rejected


@pytest.mark.parametrize("spelling", ["./x/000.jpg", "x/../x/000.jpg", "{root}/x/000.jpg"])
def test_one_photo_under_two_paths_is_refused(photos: Path, spelling: str) -> None:
    lines = ["x/000.jpg,a", "y/000.jpg,b", f"{spelling.format(root=photos)},b"]
    with pytest.raises(RequestError, match=r"line 4: .*x/000.jpg is on line 2 as well, as x/000.jpg. Remove one"):
        table.listing(str(write(photos / "a.csv", "path,label", *lines)), READING)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["https://example.com/0.jpg,a"], "line 2: https://example.com/0.jpg is a URL. Download the file"),
        (["x/a,b.jpg,cat"], "line 2: has 3 cells, the header has 2. Put cells that hold the separator into double"),
        (["x/000.jpg,a", '"x/001.jpg,a', "x/002.jpg,a"], "line 3: is not CSV"),
    ],
)
def test_ambiguous_lines_are_refused(photos: Path, lines: list[str], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        table.listing(str(write(photos / "a.csv", "path,label", *lines)), READING)


def test_a_misspelt_column_is_named_where_it_is_a_required_one(photos: Path) -> None:
    with pytest.raises(RequestError, match=r"there is no column 'lable'. Did you mean 'label'?"):
        table.listing(str(write(photos / "a.csv", "path,lable", "x/000.jpg,a")), READING)


def test_columns_that_are_not_used_are_named(photos: Path) -> None:
    lines = [f"x/{i:03}.jpg,{'ab'[i % 2]},p{i}," for i in range(20)]
    notes = opened(write(photos / "a.csv", "path,label,patient_id,", *lines)).notes
    assert any("columns that are not used: patient_id (used are path, label, split, group;" in note for note in notes)


def test_as_many_groups_as_splits_are_enough(photos: Path) -> None:
    lines = [f"x/{i:03}.jpg,{'ab'[i % 2]},p{i // 2 % 3}" for i in range(24)]
    data = opened(write(photos / "a.csv", "path,label,group", *lines))
    assert [len(split) for split in (data.train, data.validation, data.test)] == [8, 8, 8]
    with pytest.raises(RequestError, match="class 'a' has examples of 2 groups, too few"):
        opened(write(photos / "a.csv", "path,label,group", *(line.replace("p2", "p1") for line in lines)))
