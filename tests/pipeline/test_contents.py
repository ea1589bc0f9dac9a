"""Digests of the files that a network is built from."""

import os
import shutil
import types
from pathlib import Path
from typing import get_args

import pytest

from tfkd.errors import RequestError
from tfkd.pipeline.contents import files_of
from tfkd.recipe import Student, Teacher

NO_FILES = {"activation", "batch_norm", "classes", "domain", "normalization", "output"}
FILES = {"model", "weights", "labels", "rendering", "predictions", "class_embeddings", "vocabulary"}


def test_every_text_field_is_listed_as_a_file_or_not() -> None:
    for block in (Teacher, Student):
        texts = {name for name, field in block.model_fields.items() if _holds_text(field.annotation)}
        assert texts <= NO_FILES | FILES, "decide whether the new field names files, and digest them in files_of"


def _holds_text(annotation: object) -> bool:
    arguments = get_args(annotation)
    if isinstance(annotation, types.GenericAlias | types.UnionType) or arguments:
        return any(map(_holds_text, arguments))
    return annotation is str or isinstance(annotation, str)


def test_names_of_tfkd_have_no_files() -> None:
    assert files_of(Teacher(model="resnet50")) == {}
    assert files_of(Student(model="squeezenet_1_1", weights="imagenet")) == {}


def test_the_files_of_foreign_teachers_have_digests(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("t.csv", "t.onnx", "t.onnx.data", "t.npy")]
    for number, path in enumerate(paths):
        path.write_bytes(bytes([number]))
    table, *others = map(str, paths)
    assert set(files_of(Teacher(predictions=table))) == {table}
    assert set(files_of(Teacher(model=others[0], class_embeddings=others[2]))) == set(others)


def test_a_bert_model_is_named_by_the_files_that_are_read(tmp_path: Path) -> None:
    (tmp_path / "1_Pooling").mkdir()
    names = ("config.json", "vocab.txt", "model.safetensors", "1_Pooling/config.json")
    for name in (*names, "pytorch_model.bin", "README.md"):
        (tmp_path / name).write_text(name)
    expected = {f"{tmp_path}/{name}" for name in names}
    for network in (
        Teacher(model=str(tmp_path)),
        Student(model="word_average", weights=str(tmp_path)),
        Teacher(model="a_module_that_is_not_there:f", vocabulary=str(tmp_path)),
    ):
        assert set(files_of(network)) == expected
    vocabulary = str(tmp_path / "vocab.txt")
    assert set(files_of(Teacher(model=str(tmp_path / "README.md"), vocabulary=vocabulary))) >= {vocabulary}


def test_a_changed_file_of_equal_size_and_time_has_another_digest(tmp_path: Path) -> None:
    path = tmp_path / "t.keras"
    path.write_bytes(b"first")
    os.utime(path, ns=(10**18, 10**18))
    teacher = Teacher(model=str(path))
    before = files_of(teacher)
    other = tmp_path / "other"
    other.write_bytes(b"other")
    os.utime(other, ns=(10**18, 10**18))
    shutil.copy2(other, path)
    assert path.stat().st_mtime_ns == 10**18
    assert files_of(teacher) != before


def test_a_folder_is_named_by_all_of_its_files(tmp_path: Path) -> None:
    saved = tmp_path / "saved"
    (saved / "variables").mkdir(parents=True)
    (saved / "saved_model.pb").write_bytes(b"graph")
    (saved / "variables" / "variables.data-00000-of-00001").write_bytes(b"weights")
    teacher = Teacher(model=str(saved))
    digests = [files_of(teacher)]
    (saved / "variables" / "variables.data-00000-of-00001").write_bytes(b"WEIGHTS")
    digests.append(files_of(teacher))
    (saved / "saved_model.pb").rename(saved / "moved.pb")
    digests.append(files_of(teacher))
    assert len({str(each) for each in digests}) == 3
    assert all(each.keys() == {str(saved)} for each in digests)


def test_weights_count_with_the_model(tmp_path: Path) -> None:
    weights = tmp_path / "w.weights.h5"
    weights.write_bytes(b"1")
    student = Student(model="tests.tiny:build_student", weights=str(weights))
    before = files_of(student)
    assert {"tests/tiny.py", str(weights)} <= before.keys()
    weights.write_bytes(b"2")
    after = files_of(student)
    assert {name for name in before if before[name] != after[name]} == {str(weights)}


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"There is no weights file .*gone\.h5"):
        files_of(Student(weights=str(tmp_path / "gone.h5")))
    assert files_of(Teacher(model="resnet5")) == {}, "a misspelt name is for the builder to explain"
