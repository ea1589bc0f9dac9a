"""Defaults of recipes of texts."""

from pathlib import Path

import pytest

from tfkd.errors import RequestError
from tfkd.inputs.text.bert_folders import PACKAGES
from tfkd.recipe import Data, Export, FineTune, Recipe, Student, Teacher, files
from tfkd.recipe.bert import NAMED, is_bert, is_classifier
from tfkd.recipe.texts import with_text_defaults

DATA = Data(source="texts:a.csv", tokens=32)


def recipe(*teachers: Teacher, data: Data = DATA, **fields: object) -> Recipe:
    return Recipe(name="r", data=data, teachers=[*teachers], **fields)


def test_the_default_student_is_that_of_texts() -> None:
    assert recipe(Teacher(model="minilm_l6")).student.model == "word_average"
    assert recipe(Teacher(model="minilm_l6"), student=Student(width=0.5)).student == Student(
        model="word_average", width=0.5
    )
    assert recipe(Teacher(model="minilm_l6"), student=Student(model="a:b")).student.model == "a:b"
    assert recipe(Teacher(model="a:b"), data=Data(source="folder:x")).student.model == "mobilenet_v3_small"


def test_lengths_and_vocabulary_come_from_data_and_teachers() -> None:
    own = Teacher(model="a:b", vocabulary="v.txt", tokens=16)
    found = with_text_defaults(recipe(Teacher(predictions="p.csv"), own, Teacher(model="minilm_l6"), distill=_BY_IMAGE))
    assert [teacher.tokens for teacher in found.teachers] == [None, 16, 32]
    assert found.data.vocabulary == "v.txt"
    changed = recipe(own, Teacher(model="minilm_l6")).with_("teachers.0.vocabulary=w.txt", "data.tokens=8")
    assert with_text_defaults(changed).data.vocabulary == "w.txt"
    assert with_text_defaults(changed).teachers[1].tokens == 8
    stated = recipe(Teacher(model="minilm_l6"), data=DATA.model_copy(update={"vocabulary": "mine.txt"}))
    assert with_text_defaults(stated).data.vocabulary == "mine.txt"
    assert with_text_defaults(recipe(Teacher(model="a:b"))).data.vocabulary is None


_BY_IMAGE = {"targets": "image"}


def test_other_data_stay_as_they_are() -> None:
    images = recipe(Teacher(model="a:b"), data=Data(source="folder:x"))
    assert with_text_defaults(images) == images


@pytest.mark.parametrize("settings", [{"model": "minilm_l6"}, {"model": "a:b", "vocabulary": "v.txt"}])
def test_teachers_of_texts_are_refused_for_images(settings: dict[str, str]) -> None:
    with pytest.raises(RequestError, match="takes texts, and folder:x is of kind 'image'"):
        recipe(Teacher(**settings), data=Data(source="folder:x"))


def test_a_bert_model_is_a_name_or_a_folder_with_its_files(tmp_path: Path) -> None:
    assert set(NAMED) == set(PACKAGES) and is_bert("minilm_l6") and not is_classifier("minilm_l6")
    for name in ("config.json", "vocab.txt", "model.safetensors"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).touch()
        assert is_bert(str(tmp_path / name)) and not is_classifier(str(tmp_path / name))
    (tmp_path / "config.json" / "saved_model.pb").touch()
    assert not any(map(is_bert, (str(tmp_path / "config.json"), str(tmp_path), "", "none", "a.b:c")))
    (tmp_path / "config.json" / "config.json").write_text('{"architectures": ["DistilBertForSequenceClassification"]}')
    assert is_classifier(str(tmp_path / "config.json"))


def test_the_rates_of_a_tuned_bert_model_are_its_own_unless_stated() -> None:
    auto = Teacher(model="minilm_l6", fine_tune="auto").fine_tune
    assert Teacher(model="minilm_l6", fine_tune=FineTune(epochs=3, auto=True)).fine_tune == auto
    tuned = recipe(Teacher(model="minilm_l6")).with_("teachers.0.fine_tune.epochs=3").teachers[0].fine_tune
    assert tuned is not None and (tuned.learning_rate, tuned.head_learning_rate, tuned.head_epochs) == (5e-5, 1e-2, 100)
    stated = FineTune(learning_rate=3e-4, head_learning_rate=1e-3, head_epochs=0)
    assert Teacher(model="minilm_l6", fine_tune=stated).fine_tune == stated
    assert Teacher(model="efficientnet_b0", fine_tune=FineTune(epochs=3)).fine_tune == FineTune(epochs=3)


def test_overrides_reach_the_layers() -> None:
    values = files.values_of(recipe(Teacher(model="minilm_l6"), student=Student(model="text_transformer")))
    changed = files.overridden(values, ["student.weights=teacher", "student.teacher_layers=[0,5]", "student.heads=12"])
    assert files.parse(changed, "here").student.teacher_layers == [0, 5]
    none = files.overridden(values, ["student.weights=teacher", "student.teacher_layers=none"])
    assert files.parse(none, "here").student.teacher_layers == []


@pytest.mark.parametrize(
    ("student", "tflite"),
    [("word_average", ["fp32", "fp16", "dynamic", "int8"]), ("text_transformer", ["fp32", "fp16", "dynamic"])],
)
def test_default_files_are_those_that_texts_can_have(student: str, tflite: list[str]) -> None:
    export = with_text_defaults(recipe(Teacher(model="minilm_l6"), student=Student(model=student))).export
    assert export.tflite == tflite and export.coreml == ["mlpackage"]
    assert export.description == "Text classifier distilled with tfkd"
    stated = recipe(
        Teacher(model="minilm_l6"), export=Export(tflite=["int8"], coreml=["mlmodel"], description="Questions")
    )
    assert with_text_defaults(stated).export == stated.export
    images = recipe(Teacher(model="a:b"), data=Data(source="folder:x"))
    assert with_text_defaults(images) is images


def test_compressions_of_texts_are_refused() -> None:
    with pytest.raises(RequestError, match="compress=prune: most weights of students of texts are word vectors"):
        recipe(Teacher(model="minilm_l6"), compress=[{"kind": "prune"}])
