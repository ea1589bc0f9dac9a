"""Files of predictions as teachers."""

import csv
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as arrow
import pytest
from pyarrow import parquet

from tests.teachers.conftest import CLASSES, Filled
from tests.teachers.networks import KERNEL, colours
from tfkd.data import Dataset, open_source
from tfkd.data import texts as texts_source
from tfkd.errors import RequestError
from tfkd.inputs.image import KIND as IMAGE
from tfkd.inputs.text import KIND as TEXT
from tfkd.progress import Lines
from tfkd.recipe import Augment, Data, Distill, Hint, Recipe, Student, Teacher
from tfkd.teachers import predictions_file, tables
from tfkd.teachers.row_names import rows_by_image
from tfkd.training.job import TeacherJob

SPLITS = ("train", "validation", "test")


@pytest.fixture
def names(data: Dataset) -> list[str]:
    """Paths of all images in the source, split by split."""
    return [getattr(data, split).name(i) for split in SPLITS for i in range(len(getattr(data, split)))]


@pytest.fixture
def logits(means: dict[str, np.ndarray]) -> np.ndarray:
    found = np.concatenate([means[split] @ KERNEL for split in SPLITS]).astype(np.float32)
    return found - found.mean(axis=1, keepdims=True)


def write(path: Path, names: Sequence[str], values: Any, columns: Sequence[str] = CLASSES) -> Path:
    rows = [",".join([name, *(repr(float(value)) for value in row)]) for name, row in zip(names, values, strict=True)]
    path.write_text("\n".join([",".join(["file", *columns]), *rows]) + "\n")
    return path


def of(path: Path, **changes: Any) -> Teacher:
    return Teacher(predictions=str(path), **changes)


def test_an_onnx_teacher_and_a_file_made_from_it_give_the_same_store(
    filled: Callable[..., Filled], data: Dataset, names: list[str], tmp_path: Path
) -> None:
    """Of plain images: with one view that changes nothing. Floats are written so that they are read unchanged."""
    model = Teacher(model=str(colours(tmp_path / "t.onnx")), normalization="tf")
    taught = filled(model)
    with open_onnx(model) as file:
        images = [plain(data, split, i) for split in SPLITS for i in range(len(getattr(data, split)))]
        made = write(tmp_path / "teacher.csv", names, file.rows(np.stack(images)))
    copied = filled(of(made))
    (first,), (second,) = (list(each.store.folder.glob("view-*.npy")) for each in (taught, copied))
    assert first.name == second.name and first.read_bytes() == second.read_bytes()
    np.testing.assert_array_equal(taught.logits, copied.logits)
    assert (copied.result.accuracy, copied.result.parameters, copied.result.image_size) == (1.0, None, None)


def open_onnx(teacher: Teacher) -> Any:
    from tfkd.inputs.image.normalization import parse
    from tfkd.models.onnx_file import OnnxFile

    return OnnxFile(Path(teacher.model), parse(teacher.normalization))


def plain(data: Dataset, split: str, i: int) -> np.ndarray:
    from tfkd.inputs.image.tensors import signature

    examples = getattr(data, split)
    (image,) = examples.reading.plain(examples.load(i), signature(32))
    return np.asarray(image, np.float32)


def test_every_format_names_and_orders_columns(
    filled: Callable[..., Filled], names: list[str], logits: np.ndarray, tmp_path: Path
) -> None:
    bases = [f"./photos/{name}" for name in names]
    turned, other = logits[:, ::-1], ("red", "green", "blue")
    probabilities = np.exp(turned) / np.exp(turned).sum(axis=1, keepdims=True)
    np.savez(tmp_path / "a.npz", names=np.array(names), logits=turned, classes=np.array(other))
    np.savez(tmp_path / "b.npz", names=np.array(names), scores=turned)
    columns = {name: turned[:, number] for number, name in enumerate(other)}
    parquet.write_table(arrow.table({"path": names, **columns}), tmp_path / "c.parquet")
    found = {
        "csv": filled(of(write(tmp_path / "d.csv", names, turned, other))),
        "named npz": filled(of(tmp_path / "a.npz")),
        "plain npz": filled(of(tmp_path / "b.npz", labels=list(other))),
        "parquet": filled(of(tmp_path / "c.parquet")),
    }
    for form, each in found.items():
        assert each.result.accuracy == 1.0, form
        np.testing.assert_array_equal(each.logits, logits[-len(each.logits) :], err_msg=form)
    read = predictions_file.read(of(write(tmp_path / "e.csv", bases, probabilities, other)), CLASSES, IMAGE)
    assert read.form == "probabilities" and read.names[0] == f"photos/{names[0]}"
    np.testing.assert_allclose(np.exp(read.logits).sum(axis=1), 1.0, atol=1e-5)


def test_missing_extra_and_double_names_are_counted(
    filled: Callable[..., Filled],
    data: Dataset,
    names: list[str],
    logits: np.ndarray,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    kept = slice(1, len(data.train) + len(data.validation))
    listed = [*names[kept], names[1], "other.png"]
    values = np.concatenate([logits[kept], logits[[1, 0]]])
    found = filled(of(write(tmp_path / "t.csv", listed, values)))
    said = capsys.readouterr().out
    for text in ("1 image without a prediction", "1 name of no image", "1 row twice, with equal values"):
        assert text in said
    assert "not measured on test images: 12 of 12 have no prediction" in said
    result = found.result
    assert (result.accuracy, result.calibration_error, found.logits) == (None, None, None)
    assert result.validation_accuracy == 1.0
    stored = found.store.read(np.arange(len(data.train)), 0)["logits"]
    same = data.train.labels == data.train.labels[0]
    assert np.isfinite(stored).all() and stored[0].argmax() == data.train.labels[0]
    likely = np.exp(logits[: len(data.train)][same][1:])
    expected = (likely / likely.sum(axis=1, keepdims=True)).mean(axis=0)
    np.testing.assert_allclose(np.exp(stored[0]), expected, rtol=1e-2)


def test_base_names_suffice_where_they_are_unique(data: Dataset, names: list[str], logits: np.ndarray) -> None:
    splits = predictions_file.splits_of(data)
    whole = predictions_file.Predictions("t.csv", tuple(f"/elsewhere/{name}" for name in names), logits, "logits")
    matching = predictions_file.matched(whole, splits, IMAGE)
    assert matching.rows["train"].tolist() == list(range(len(data.train)))  # the folders above do not matter
    bare = replace(whole, names=tuple(name.rpartition("/")[2] for name in names))
    matching = predictions_file.matched(bare, splits, IMAGE)
    assert (matching.rows["train"] == -1).all()  # every class has an image 00.png
    with pytest.raises(
        RequestError, match=r"t.csv has no prediction for 42 of 42 images .*by their path in the source"
    ):
        predictions_file.require_complete(bare, matching, splits, IMAGE)
    train = {"train": data.train.take(np.arange(1))}
    assert predictions_file.matched(bare, train, IMAGE).rows["train"].tolist() == [-1]
    alone = replace(bare, names=bare.names[:1], logits=logits[:1])  # other images of that name are left out
    assert predictions_file.matched(alone, train, IMAGE).rows["train"].tolist() == [-1]
    one = predictions_file.Predictions("t.csv", (f"/elsewhere/{names[0]}",), logits[:1], "logits")
    assert predictions_file.matched(one, train, IMAGE).rows["train"].tolist() == [0]
    folder, _, base = names[0].partition("/")
    for other in {"blue", "green", "red", "white"} - {folder}:
        foreign = replace(one, names=(f"{other}/{base}",))
        assert predictions_file.matched(foreign, train, IMAGE).rows["train"].tolist() == [-1]


@pytest.mark.parametrize(
    ("names", "images", "expected"),
    [
        (["x/cat/1.png"], ["cat/1.png", "dog/1.png"], {"cat/1.png": 0}),
        (["cat/1.png"], ["train/cat/1.png", "train/dog/1.png"], {"train/cat/1.png": 0}),
        (["cat/1.png"], ["train/cat/1.png", "test/cat/1.png"], {}),
        (["a/cat/1.png", "b/cat/1.png"], ["cat/1.png"], {}),
        (["a/cat/1.png", "cat/1.png"], ["cat/1.png"], {"cat/1.png": 1}),
        (["dog/1.png"], ["1.png", "cat/1.png"], {}),
        (["1.png"], ["cat/1.png", "cat/2.png"], {"cat/1.png": 0}),
        (["1.png", "dog/1.png"], ["cat/1.png"], {}),
    ],
)
def test_names_that_could_mean_two_images_mean_none(
    names: list[str], images: list[str], expected: dict[str, int]
) -> None:
    assert rows_by_image(names, images) == expected


def test_percentages_are_divided_by_100(data: Dataset, names: list[str], tmp_path: Path) -> None:
    values = np.tile([[90.0, 7.0, 2.0]], (len(names), 1))
    teacher = of(write(tmp_path / "t.csv", names, values))
    read = predictions_file.read(teacher, CLASSES, IMAGE)
    np.testing.assert_allclose(np.exp(read.logits[0]), [0.9, 0.07, 0.02], rtol=1e-5)
    with predictions_file.PREDICTIONS.check(teacher, data, 1, ()) as checked:
        assert "percentages (divided by 100) of" in checked.warnings[0]


def test_unlabelled_images_count_too(data: Dataset, names: list[str], logits: np.ndarray, tmp_path: Path) -> None:
    """Here half of the training images."""
    half = np.arange(len(data.train) // 2)
    further = replace(data, train=data.train.take(half), unlabelled=data.train.take(half + len(half)).without_labels())
    table = of(write(tmp_path / "t.csv", names, logits))
    job = TeacherJob(table, Augment(), 1, tmp_path)
    predictions_file.PREDICTIONS.prepare(job, further, Lines())
    stored = np.load(tmp_path / predictions_file.PREDICTIONS.file)
    np.testing.assert_array_equal(stored, logits[: len(data.train)])


BAD = {
    "nan": (CLASSES, [[1.0, float("nan"), 0.0]], "gives NaN or infinity for 'a.png'"),
    "no distribution": (CLASSES, [[0.5, 0.2, 0.2], [0.5, 0.3, 0.2]], "sum to 0.9 for 'a.png'"),
    "other classes": (("cat", "dog", "cow"), [[1, 2, 3]], "has the class 'blue', the columns of"),
    "a column less": (CLASSES[:2], [[1, 2]], "has the class 'red', the columns of"),
    "few percentages": (CLASSES, [[90, 7, 3], [9, 1, 90], [5, 5, 5]], "percentages, but they sum to 15 for 'a.png'"),
    "some probabilities": (CLASSES, [[0.5, 0.3, 0.2], [5, -2, 1], [4, 1, -1]], "probabilities, but they sum to 4 for"),
    "a number too large": (CLASSES, [[1e39, 0, -1]], "gives NaN or infinity for 'a.png'"),
    "independent scores": (CLASSES, [[90, 80, 3]], "has no negative number, so that it holds no logits"),
    "no header": (("0.7", "0.2", "0.1"), [[0.5, 0.3, 0.2]], "its first line must be a header, as in file,blue,green,…"),
    "one column": (CLASSES[:1], [[1]], "has the class 'green', the columns of"),
    "different doubles": (CLASSES, [[1, -2, 3], [1, -2, 4]], "names 'a.png' twice, with different predictions"),
}


@pytest.mark.parametrize(("columns", "values", "message"), BAD.values(), ids=BAD)
def test_wrong_content_is_refused_in_one_line(
    tmp_path: Path, columns: Sequence[str], values: list[list[float]], message: str
) -> None:
    path = write(tmp_path / "bad.csv", ["a.png"] * len(values), values, columns)
    with pytest.raises(RequestError, match=message) as caught:
        predictions_file.read(of(path), CLASSES, IMAGE)
    assert "bad.csv" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.txt", b"file,a\n", "must be a file of predictions: .csv, .npz, .parquet"),
        ("t.csv", b"", "is empty"),
        ("t.csv", b"file,a,b\n", "holds no predictions"),
        ("t.csv", b"\xff\xfe", "is no text in UTF-8"),
        ("t.csv", b"version https://git-lfs.github.com/spec/v1\n", "is a Git LFS pointer; fetch the file itself"),
        ("t.csv", b"file,a,b\nx.png,1\n", "line 2: has 2 columns, the first line has 3"),
        ("t.csv", b"text,a,b\n" + 70_000 * b"a " + b",1,2\n", "a cell has more than 131,072 characters. Close its"),
        ("t.csv", b"file,a,b\nx.png,1,cat\n", "line 2: the column 'b' holds 'cat', not a number"),
        ("t.npz", b"PK\x03\x04no", "is no .npz file of plain arrays"),
        ("t.npz", b"file,a,b\n", "is no .npz file of plain arrays; write it with numpy.savez"),
        ("t.parquet", b"PAR1no", "is no Parquet file"),
    ],
)
def test_other_files_are_refused_in_one_line(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(RequestError, match=message) as caught:
        tables.read(tmp_path / name)
    assert name in str(caught.value) and "\n" not in str(caught.value)


def test_pickles_folders_and_missing_files_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "t.npz", names=np.array(["a", 1], object), logits=np.zeros((2, 2)))
    (tmp_path / "folder.csv").mkdir()
    for name, message in (
        ("t.npz", "an array holds Python objects; save numbers, or text with dtype=str$"),
        ("folder.csv", "is a folder"),
        ("none.csv", "does not exist"),
    ):
        with pytest.raises(RequestError, match=message):
            tables.read(tmp_path / name)


def test_columns_of_no_class_do_not_decide_what_the_others_are(tmp_path: Path) -> None:
    rows = [[3, 0.7, 0.2, 0.1], [1, 0.1, 0.1, 0.8]]
    read = predictions_file.read(
        of(write(tmp_path / "t.csv", ["a.png", "b.png"], rows, ("label", *CLASSES))), CLASSES, IMAGE
    )
    assert (read.form, read.others) == ("probabilities", ("label",))
    np.testing.assert_allclose(np.exp(read.logits), np.array(rows)[:, 1:], atol=1e-6)
    rounded = [[1.000000001, -1e-9, 0.0]]
    assert (
        predictions_file.read(of(write(tmp_path / "r.csv", ["a.png"], rounded)), CLASSES, IMAGE).form == "probabilities"
    )


def test_parquet_may_hold_categories(tmp_path: Path) -> None:
    names = arrow.array(["a.png", "b.png"]).dictionary_encode()
    parquet.write_table(arrow.table({"file": names, "blue": [1.0, -2.0], "green": [0.0, 1.0]}), tmp_path / "t.parquet")
    assert tables.read(tmp_path / "t.parquet").names == ("a.png", "b.png")


def test_names_without_suffix_are_explained(
    data: Dataset, logits: np.ndarray, names: list[str], tmp_path: Path
) -> None:
    stems = [name.removesuffix(".png") for name in names]
    read = predictions_file.read(of(write(tmp_path / "t.csv", stems, logits)), data.classes, IMAGE)
    splits = predictions_file.splits_of(data)
    with pytest.raises(RequestError, match=r"base name where it is unique, with the suffix, e.g. \.jpg\.$"):
        predictions_file.require_complete(read, predictions_file.matched(read, splits, IMAGE), splits, IMAGE)


def test_images_that_are_left_out_are_no_unknown_names(
    data: Dataset, logits: np.ndarray, names: list[str], tmp_path: Path
) -> None:
    read = predictions_file.read(
        of(write(tmp_path / "t.csv", [*names, "none.png"], [*logits, logits[0]])), data.classes, IMAGE
    )
    train = replace(data.train, numbers=data.train.numbers[:2], labels=data.train.labels[:2])
    assert predictions_file.matched(read, {"train": train}, IMAGE).extra == ("none.png",)


TEXTS = [f'{"is" if number % 2 else "No,"} "{number}" far?\nor n{number}/a' for number in range(40)]
FAR = ("far", "near")


@pytest.fixture
def texts(tmp_path: Path) -> Dataset:
    """Texts with quotes, line breaks and slashes, whose classes take turns."""
    with (tmp_path / "texts.csv").open("w", newline="") as stream:
        rows = [(text, FAR[number % 2]) for number, text in enumerate(TEXTS)]
        csv.writer(stream).writerows([("text", "label"), *rows])
    return open_source(Data(source=f"texts:{tmp_path / 'texts.csv'}"), 1)


def of_texts(path: Path, names: Sequence[str], values: Any) -> Teacher:
    np.savez(path, names=np.array(names), logits=values, classes=np.array(FAR))
    return of(path)


@pytest.mark.parametrize("by", ["text", "words", "line"])
def test_texts_are_known_by_their_content_or_by_their_line(texts: Dataset, tmp_path: Path, by: str) -> None:
    values = np.arange(80.0).reshape(40, 2) * [1, -1]
    lines = [texts.train.examples.name(number) for number in range(40)]
    assert lines[1] == f"{tmp_path}/texts.csv, line 4"
    names = {
        "text": TEXTS,
        "words": [text.upper().replace("\n", "  ") for text in TEXTS],
        "line": [line.removeprefix(f"{tmp_path}/") for line in lines],
    }
    teacher = of_texts(tmp_path / "t.npz", names[by], values)
    result = predictions_file.PREDICTIONS.prepare(TeacherJob(teacher, Augment(), 1, tmp_path), texts, Lines())
    stored = np.load(tmp_path / predictions_file.PREDICTIONS.file)
    np.testing.assert_array_equal(stored, values[texts.train.numbers].astype(np.float32))
    assert result.accuracy == np.mean(texts.test.labels == 0)


def test_texts_that_are_missing_or_of_no_example_are_named(texts: Dataset, tmp_path: Path) -> None:
    values = np.ones((40, 2)) * [1, -1]
    first = int(texts.train.numbers[0])
    other = "what\nis this? " * 20
    names = [other if number == first else text for number, text in enumerate(TEXTS)]
    teacher = of_texts(tmp_path / "t.npz", names, values)
    with predictions_file.PREDICTIONS.check(teacher, texts, 1, ()) as checked:
        (warning,) = checked.warnings
    assert "1 text without a prediction" in warning and "1 name of no text (what is this? what" in warning
    teacher = of_texts(tmp_path / "t.npz", [*names[:5], *(f"{other}{number}" for number in range(35))], values)
    with (
        pytest.raises(
            RequestError, match=r"of 32 texts \(.*/texts.csv, line .* Name rows by the text itself"
        ) as caught,
        predictions_file.PREDICTIONS.check(teacher, texts, 1, ()),
    ):
        pass
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 900


def test_texts_that_differ_in_capitals_keep_their_own_rows(tmp_path: Path) -> None:
    """Another spelling than those of the rows has none, where the rows of its words differ."""
    (tmp_path / "texts.csv").write_text("text,label\n" + "".join(f"{word},near\n" for word in ("May", "may", "MAY")))
    examples = texts_source.unlabelled(str(tmp_path / "texts.csv"), TEXT.reading(Data(source="texts:x"), {}))
    found = predictions_file.Predictions("t.npz", ("may", "May"), np.array([[0.0, 1], [1, 0]]), "logits")
    assert predictions_file.matched(found, {"train": examples}, TEXT).rows["train"].tolist() == [1, 0, -1]
    same = replace(found, logits=np.zeros((2, 2)))
    assert predictions_file.matched(same, {"train": examples}, TEXT).rows["train"].tolist() == [1, 0, 0]


def test_npz_needs_a_row_for_each_name(tmp_path: Path) -> None:
    np.savez(tmp_path / "t.npz", names=np.array(["a.png", "b.png"]), logits=np.zeros((3, 2)))
    with pytest.raises(RequestError, match="has 2 names, and 3 rows of logits; give one row per name"):
        tables.read(tmp_path / "t.npz")


def test_a_recipe_with_predictions_needs_targets_by_image_and_no_features() -> None:
    parts = {"name": "r", "data": Data(source="folder:x"), "student": Student()}
    file = [Teacher(predictions="t.csv")]
    with pytest.raises(RequestError, match=r"t.csv has one prediction per example; set distill.targets='image'"):
        Recipe(teachers=file, distill=Distill(), **parts)
    assert Recipe(teachers=file, **parts).distill.auto  # which chooses targets by image
    with pytest.raises(RequestError, match=r"t.csv has predictions alone, no feature 'pooled'"):
        Recipe(teachers=file, distill=Distill(targets="image", losses=[Hint()]), **parts)
    with pytest.raises(RequestError, match="needs either a model or a file of predictions"):
        Teacher(model="resnet20", predictions="t.csv")
    with pytest.raises(RequestError, match=r"t.csv is read without normalization; leave normalization out"):
        Teacher(predictions="t.csv", normalization="tf")
