"""Recipes: read, overridden, and refused in one line."""

import json
from pathlib import Path

import pytest

from tfkd.errors import RequestError
from tfkd.recipe import FineTune, files

SOURCE = """
from tfkd.recipe import Data, Recipe, Teacher
recipe = Recipe(name="r", data=Data(source="folder:photos"), teachers=[Teacher(model="resnet50")])
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "recipe.py"
    path.write_text(SOURCE)
    return path


def test_the_json_of_a_recipe_is_the_same_recipe(file: Path, tmp_path: Path) -> None:
    recipe = files.load(file)
    copy = tmp_path / "recipe.json"
    copy.write_text(json.dumps(recipe.model_dump(mode="json")))
    assert files.load(copy) == recipe


def test_overrides_reach_into_blocks_and_lists(file: Path) -> None:
    recipe = files.load(
        file,
        [
            "distill.training.epochs=7",
            "student.model=squeezenet_1_1",
            "distill.losses.0.temperature=2.5",
            'export.tflite=["int8"]',
            "teachers.0.fine_tune=null",
        ],
    )
    assert recipe.distill.training.epochs == 7
    assert recipe.student.model == "squeezenet_1_1"
    assert recipe.distill.losses[0].temperature == 2.5
    assert recipe.export.tflite == ["int8"]
    assert recipe.teachers[0].fine_tune is None


def test_a_lone_entry_of_a_list_needs_no_number(file: Path) -> None:
    recipe = files.load(file, ["distill.losses.temperature=2.5", "teachers.model=resnet101"])
    assert recipe.distill.losses[0].temperature == 2.5
    assert recipe.teachers[0].model == "resnet101"
    several = ['distill.losses=[{"kind": "hint"}, {"kind": "soft_targets"}]', "distill.losses.temperature=2"]
    with pytest.raises(RequestError, match=r"'temperature' is not an index of that list \(0 to 1\)"):
        files.load(file, several)


def test_names_are_separated_by_commas(file: Path) -> None:
    recipe = files.load(file, ["export.tflite=fp32,int8", "export.coreml=none", "teachers.0.classes=a, b"])
    assert recipe.export.tflite == ["fp32", "int8"]
    assert recipe.export.coreml == []
    assert recipe.teachers[0].classes == ["a", "b"]
    assert files.load(file, ["export.tflite=int8"]).export.tflite == ["int8"]
    fit = files.load(file, ["fit.widths=0.35", "fit.sizes=32"]).fit
    assert fit is not None and (fit.widths, fit.sizes) == ([0.35], [32])


def test_a_model_file_is_used_as_it_is_and_a_named_teacher_is_fine_tuned(file: Path, tmp_path: Path) -> None:
    assert files.load(file).teachers[0].fine_tune == FineTune()
    assert files.load(file, ["teachers.0.model=tests.tiny:build_teacher"]).teachers[0].fine_tune == FineTune()
    for path in ("mine.keras", "mine.h5", "saved/"):
        recipe = files.load(file, [f"teachers.0.model={path}"])
        assert recipe.teachers[0].fine_tune is None
        (tmp_path / "recipe.json").write_text(json.dumps(recipe.model_dump(mode="json")))
        assert files.load(tmp_path / "recipe.json") == recipe
    onnx = files.load(file, ["teachers.0.model=mine.onnx"]).teachers[0].fine_tune
    assert onnx == files.load(file, ["teachers.0.model=mine.onnx", "teachers.0.fine_tune=auto"]).teachers[0].fine_tune
    assert onnx is not None and (onnx.auto, onnx.epochs) == (True, 0)
    assert files.load(file, ["teachers.0.fine_tune=auto"]).teachers[0].fine_tune == FineTune(auto=True)
    tuned = files.load(file, ["teachers.0.model=mine.keras", "teachers.0.fine_tune.epochs=2"])
    assert tuned.teachers[0].fine_tune == FineTune(epochs=2)


def test_labels_are_read_when_the_recipe_is(file: Path, tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text("b\na\n")
    recipe = files.load(file, [f"teachers.0.labels={tmp_path / 'labels.txt'}"])
    assert recipe.teachers[0].labels == ["b", "a"]
    assert files.load(file, ['teachers.0.labels=["b", "a"]']).teachers[0].labels == ["b", "a"]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("distil.views=3", "Did you mean 'distill'"),
        ("distill.viws=3", "Did you mean 'views'"),
        ("teachers.0.fine_tune.hed_epochs=3", "Did you mean 'head_epochs'"),
        ("distill.losses.0.temprature=3", "Did you mean 'temperature'"),
        ("distill.losses.0.temperature=0", "distill.losses.0.temperature = 0"),
        (
            "distill.temperature=4",
            "no field 'distill.temperature'. It is distill.losses.0.temperature or export.temperature.",
        ),
        ("training.epochs=4", "It is distill.training.epochs or compress.0.training.epochs."),
        ("epochs=4", "It is teachers.0.fine_tune.epochs or distill.training.epochs"),
        ("student.temprature=4", "Did you mean 'distill.losses.0.temperature'?"),
        ("distill.losses.1.temperature=4", "'1' is not an index of that list (0 to 0)"),
        ("compress.sparsity=0.5", "'sparsity' is not an index of that list (it is empty)"),
        ("export.tflite=fp31,int8", "export.tflite.0 = 'fp31'"),
        ("export.tflite=[fp32,int8]", 'this is no JSON list; write fp32,int8 or ["fp32", "int8"].'),
        ("export.tflite=['int8']", 'write int8 or ["int8"].'),
        ("teachers.0.labels=none.txt", "teachers.0.labels = 'none.txt': The labels none.txt cannot be read"),
        ('teachers.0={"model": "a.keras", "labels": ["a"], "classes": ["a"]}', "set labels for all outputs"),
        ("distill.losses.0.kind=soft_target", "Did you mean 'soft_targets'"),
        ('compress=[{"kind": "prun"}]', "there is no such kind. Did you mean 'prune'"),
        ("teachers.4.model=x", "'4' is not an index"),
        ("seed.x=1", "has no fields"),
        ("data.image_size=many", "data.image_size = 'many'"),
        ("student.activation=mish", "hard_swish"),
        ("distill.views", "key.path=value"),
        ('export.tflite=["int8","int8"]', "twice"),
        ("name=../evil", "name = '../evil'"),
    ],
)
def test_a_wrong_override_is_one_helpful_line(file: Path, override: str, message: str) -> None:
    with pytest.raises(RequestError) as caught:
        files.load(file, [override])
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("recipe = 1", "does not define"),
        ("import no_such_module", "ModuleNotFoundError"),
        ("recipe = (", "SyntaxError"),
        ("raise SystemExit(7)", "cannot be run: SystemExit: 7"),
        ("import sys; sys.exit('enough')", "cannot be run: SystemExit: enough"),
        ("raise GeneratorExit", "GeneratorExit"),
        ("raise BaseException('odd')", "BaseException: odd"),
        ("def again(): again()\nagain()", "RecursionError"),
        ("import h5py_hidden", "ModuleNotFoundError"),
        (SOURCE.replace("name=", "nme="), "'name'"),
    ],
)
def test_a_file_without_a_recipe(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "recipe.py"
    path.write_text(content)
    with pytest.raises(RequestError, match=message):
        files.load(path)


@pytest.mark.parametrize("name", ["recipe.yaml", "recipe.toml", "recipe"])
def test_a_file_of_another_kind_is_never_run(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n{SOURCE}")
    with pytest.raises(RequestError, match="neither a Python file"):
        files.load(tmp_path / name)
    assert not (tmp_path / "ran").exists()


def test_a_missing_file_and_broken_json(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="No recipe at"):
        files.load(tmp_path / "none.py")
    broken = tmp_path / "recipe.json"
    broken.write_text("[1, 2")
    with pytest.raises(RequestError, match="not readable JSON"):
        files.load(broken)
    broken.write_text("[1, 2]")
    with pytest.raises(RequestError, match="list"):
        files.load(broken)
    broken.write_text('{"name": "a", "data": {"tokens": 8, "tokens": 9}}')
    with pytest.raises(RequestError, match=r"recipe\.json: has two values of 'tokens'\. Remove one of them"):
        files.load(broken)


def test_an_override_with_a_key_twice_is_refused(file: Path) -> None:
    with pytest.raises(RequestError, match=r"min_recall.*: has two values of 'a'\. Remove one of them"):
        files.load(file, ['gates.min_recall={"a": 0.1, "a": 0.9}'])


def test_an_error_of_a_whole_block_does_not_print_the_block(file: Path) -> None:
    changes = ['teachers=[{"predictions": "t.csv"}]', "distill.targets=view", "teachers.0.image_size=20"]
    for several in (changes[:2], changes[2:]):
        with pytest.raises(RequestError) as raised:
            files.load(file, several)
        assert "{" not in str(raised.value) and "Undefined" not in str(raised.value)
        assert len(str(raised.value)) < 300
