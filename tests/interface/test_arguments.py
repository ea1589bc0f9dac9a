"""Wrong arguments of the public functions: one line that names the argument and says what it must be."""

import inspect
import re
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from PIL import Image

import tfkd
from tests.tools.bundles import write_bundle
from tfkd.benchmark import TARGETS
from tfkd.benchmark.options import flag, names
from tfkd.bundle.seal import seal
from tfkd.interface import calls
from tfkd.interface.results import Students, UnknownSeedError
from tfkd.recipe import Data, Distill

IMAGES, LABELS = np.zeros((4, 8, 8, 3), np.uint8), np.array([0, 1, 0, 1])
RECIPE = tfkd.Recipe.model_validate(
    {"name": "a", "data": {"source": "folder:nowhere"}, "teachers": [{"model": "resnet50"}]}
)
NO_PATHS = (None, 3, b"x", "a\0b", "\ud800", "x" * 300)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> tfkd.Bundle:
    folder = tmp_path_factory.mktemp("bundle") / "tiny"
    write_bundle(folder, "android/a_fp32.tflite")
    seal(folder)
    return tfkd.load_bundle(folder)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refusal(call: Any, *arguments: Any, **named: Any) -> str:
    """Returns the text of the error that a call raises."""
    with pytest.raises(tfkd.RequestError) as error:
        call(*arguments, **named)
    assert "\n" not in str(error.value) and "--" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("value", NO_PATHS)
@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("subject", tfkd.bench),
        ("bundle", tfkd.verify),
        ("folder", tfkd.load_bundle),
        ("path", tfkd.load_recipe),
        ("recipe", tfkd.run),
        ("runs", lambda value: tfkd.run(RECIPE, runs=value)),
        ("out", lambda value: tfkd.run(RECIPE, out=value)),
        ("runs", lambda value: tfkd.SoftLabelBatches(RECIPE, value)),
        ("runs", lambda value: tfkd.export("m", labels=["a"], data="x", runs=value)),
        ("out", lambda value: tfkd.export("m", labels=["a"], data="x", out=value)),
        ("model", lambda value: tfkd.export(value, labels=["a"], data="x")),
        ("labels", lambda value: tfkd.export("m", labels=value, data="x")),
        ("data", lambda value: tfkd.export("m", labels=["a"], data=value)),
        ("baseline", lambda value: tfkd.bench("x", baseline=value if value is not None else 3, max_regression=0.1)),
        ("golden", lambda value: tfkd.bench("x", golden=value if value is not None else 3)),
    ],
)
def test_what_is_no_path(name: str, call: Any, value: Any) -> None:
    assert re.match(rf"{name} = .* must be .*(path|folder)", refusal(call, value))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"runs": 0}, "runs = 0 must be a whole number from 1 to 100,000."),
        ({"runs": "x"}, "runs = 'x' must be a whole number"),
        ({"runs": True}, "runs = True must be a whole number"),
        ({"threads": 1}, "threads = 1 must be a list or tuple"),
        ({"threads": ()}, "threads = () must be a list or tuple of values, and not empty"),
        ({"threads": (1, "x")}, "threads = 'x' must be a whole number from 0 to 256."),
        ({"patience": "x"}, "patience = 'x' must be a finite number"),
        ({"only": 3}, "only = 3 must be a pattern of files"),
        ({"record": "no"}, "record = 'no' must be True or False."),
        ({"target": None}, "target = None must be the name of a target: host, "),
        ({"progress": "yes"}, "progress = 'yes' must be True, False or None."),
        ({"max_median_ms": "x"}, "max_median_ms = 'x' must be a finite number"),
        ({"max_median_ms": float("nan")}, "max_median_ms = nan must be a finite number of at least 0."),
        ({"max_median_ms": -1}, "max_median_ms = -1 must be a finite number of at least 0."),
        ({"max_regression": 5, "baseline": "x"}, "5 would be 500 % of change. Write 5%"),
        ({"max_regression": "5%"}, "`baseline` FILE and `max_regression` 5% go together"),
        ({"golden": "x.npz"}, "`golden` is for a file in no bundle"),
        ({"keep": True}, "`keep` is for android; the target host does not read it. Leave it out."),
        ({"onyl": "x"}, "There is no option 'onyl'. Did you mean 'only'?"),
    ],
)
def test_wrong_options_of_a_benchmark(bundle: tfkd.Bundle, options: dict[str, Any], message: str) -> None:
    assert refusal(tfkd.bench, bundle, **options).startswith(message)


def test_all_options_of_a_benchmark_are_listed(bundle: tfkd.Bundle) -> None:
    listed = refusal(tfkd.bench, bundle, zzz=1).partition("Known: ")[2].rstrip(".").split(", ")
    assert {"only", "golden", "record", "runs", "max_median_ms", "baseline", "delegate"} <= set(listed)
    assert not {"path", "target", "options", "limits"} & set(listed)


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ({"data": [IMAGES, LABELS]}, "data = <list> must be a source such as 'folder:PATH', or a pair: (images"),
        ({"data": IMAGES}, "data = <ndarray> must be a source"),
        ({"data": (IMAGES,)}, "data = <tuple> must be a source"),
        ({"data": (IMAGES, LABELS, LABELS)}, "data = <tuple> must be a source"),
        ({"data": iter(IMAGES)}, "data = <"),
        ({"data": (None, LABELS)}, "images = None must be an array, or a list of images"),
        ({"data": (IMAGES, None)}, "The labels have the shape () and the dtype object, and there are 4 images"),
        (
            {"data": (IMAGES, [[0], [0, 1], 1, 1])},
            "the labels = [[0], [0, 1], 1, 1] must be one whole number per image",
        ),
        ({"data": (IMAGES, LABELS[:2])}, "The labels have the shape (2,) and the dtype int64, and there are 4 images"),
        ({"labels": [0, 1]}, "labels = [0, 1] must be the class names"),
        ({"labels": {"a": 0, "b": 1}}, "labels = {'a': 0, 'b': 1} must be the class names"),
        ({"name": 3}, "name = 3 must be text or None."),
        ({"tflite": "fp32"}, "tflite = 'fp32' must be a list of precisions"),
        ({"tflite": ["fp33"]}, "tfkd export: export.tflite.0 = 'fp33': Input should be 'fp32'"),
        ({"coreml": "none"}, "coreml = 'none' must be a list of formats"),
        ({"imports": "layers"}, "imports = 'layers' must be a list of the names of modules"),
        ({"normalization": None}, "normalization = None must be text."),
        ({"normalization": "foo"}, "`normalization` 'foo' is not a normalization"),
        ({"image_size": "x"}, "image_size = 'x' must be a whole number"),
        ({"image_size": 16}, "m takes images of 8 x 8 pixels, not 16; leave image_size out."),
        ({"onnx": 1}, "onnx = 1 must be True or False."),
        ({"progress": "yes"}, "progress = 'yes' must be True, False or None."),
        ({"out": "/proc/x"}, "Cannot write /proc/x/m: /proc is not writable. Choose another one with `out`."),
    ],
)
def test_wrong_arguments_of_an_export(named: dict[str, Any], message: str) -> None:
    model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(2)], name="m")
    assert refusal(tfkd.export, model, **{"labels": ["a", "b"], "data": (IMAGES, LABELS), **named}).startswith(message)


def test_an_override_does_not_replace_an_argument(here: Path) -> None:
    (here / "mine.txt").write_text("mine")
    message = refusal(tfkd.export, "m", "labels=mine.txt", labels=["a", "b"], data=(IMAGES, LABELS))
    assert "labels is an argument of tfkd.export" in message and (here / "mine.txt").read_text() == "mine"


@pytest.mark.parametrize("data", [3, [IMAGES, LABELS], (IMAGES, LABELS, LABELS)])
def test_wrong_data_of_a_verification(bundle: tfkd.Bundle, data: Any) -> None:
    assert "must be a source such as 'folder:PATH', or a pair: (images or texts" in refusal(tfkd.verify, bundle, data)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: tfkd.run(RECIPE, until=3), "until = 3 must be the name of a stage or None."),
        (lambda: tfkd.run(RECIPE, fresh=1), "fresh = 1 must be True or False."),
        (lambda: tfkd.run(RECIPE, smoke="no"), "smoke = 'no' must be True or False."),
        (lambda: tfkd.run(RECIPE, locked="no"), "locked = 'no' must be True or False."),
        (
            lambda: tfkd.run(RECIPE, locked=True),
            "`locked` needs a file: the recipe has none, so name the lock file with",
        ),
        (lambda: tfkd.run(RECIPE, lock=True, relock=True), "`lock` and `relock` exclude each other"),
        (lambda: tfkd.run(RECIPE, lock_file="x.lock"), "`lock_file` x.lock is read with `lock`, `locked` or `relock`"),
        (lambda: tfkd.run(RECIPE, locked=True, lock_file=3), "lock_file = 3 must be a path"),
        (
            lambda: tfkd.run(RECIPE, locked=True, lock_file="gone.lock"),
            "There is no lock file gone.lock; write it with",
        ),
        (lambda: tfkd.verify("x", teacher=3), "teacher = 3 must be a path"),
        (lambda: tfkd.run(RECIPE, 3), "overrides = (3,) must be texts"),
        (lambda: tfkd.load_recipe("x.py", 3), "overrides = (3,) must be texts"),
        (lambda: tfkd.verify("x", progress=3), "progress = 3 must be True, False or None."),
        (lambda: tfkd.SoftLabelBatches("recipe.py"), "recipe = 'recipe.py' must be a Recipe"),
        (lambda: RECIPE.with_(None), "overrides = (None,) must be texts such as 'distill.views=4', one argument each."),
        (lambda: RECIPE.with_(4), "overrides = (4,) must be texts"),
        (lambda: RECIPE.with_(["distill.views=4"]), "overrides = (['distill.views=4'],) must be texts"),
        (lambda: RECIPE.with_("=4"), "Override '=4' is not of the form key.path=value"),
        (lambda: tfkd.Recipe(nmae="x"), "Recipe: the field 'name' is missing."),
        (lambda: Data(source="x", student=1), "Data: there is no field 'student'. It is a field of Recipe: Recipe(stu"),
        (lambda: Distill(veiws=1), "Distill: there is no field 'veiws'. Did you mean 'views'?"),
        (lambda: setattr(RECIPE, "name", "x"), "name of a Recipe cannot be set; take another recipe: recipe.with_("),
        (lambda: delattr(RECIPE, "name"), "name of a Recipe cannot be deleted"),
    ],
)
def test_wrong_arguments_of_runs_and_recipes(call: Any, message: str) -> None:
    assert refusal(call).startswith(message)


def test_an_error_inside_a_block_has_the_whole_path_and_its_cause() -> None:
    with pytest.raises(tfkd.RequestError, match=r"^Recipe: data\.source = 3: Input should be a valid string") as error:
        tfkd.Recipe(name="a", data={"source": 3}, teachers=[{"model": "resnet50"}])
    assert type(error.value.__cause__).__name__ == "ValidationError"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda it: it.predict(IMAGES, 3), "file = 3 must be the path of a file in the bundle"),
        (lambda it: it.predict(IMAGES, ""), "has no file ''"),
        (lambda it: it.artifact(None), "name = None must be the path of a file in the bundle"),
        (lambda it: it.content(3), "name = 3 must be the path of a file in the bundle"),
        (lambda it: it.save("a_fp32.tflite", None), "folder = None must be a path"),
        (
            lambda it: it.predict(IMAGES[..., 0]),
            "has the shape (4, 8, 8); give RGB [H, W, 3], values 0 to 255. For a gr",
        ),
        (lambda it: it.predict(IMAGES[..., :1]), "has the shape (8, 8, 1); give RGB"),
        (lambda it: it.predict(IMAGES > 0), "has the dtype bool; give RGB values from 0 to 255"),
        (lambda it: it.predict(7), "images = 7 must be an array, or a list of images"),
        (lambda it: it.predict("x.png"), "images = 'x.png' must be an array"),
        (lambda it: it.predict({"image": IMAGES}), "images = <dict> must be an array"),
        (lambda it: it.predict([Image.new("I;16", (8, 8))]), "has the mode 'I;16'; convert it"),
    ],
)
def test_wrong_arguments_of_a_bundle(bundle: tfkd.Bundle, call: Any, message: str) -> None:
    assert message in refusal(call, bundle)


def test_a_seed_without_a_student() -> None:
    students = Students.__new__(Students)
    students._files, students._loaded = {1: Path("a.keras")}, {}
    with pytest.raises(UnknownSeedError) as error:
        students[99]
    assert str(error.value) == "There is no student of seed 99. Known: 1." and isinstance(error.value, KeyError)
    assert 99 not in students and students.get(99) is None


@pytest.fixture
def batches() -> tfkd.SoftLabelBatches:
    made = tfkd.SoftLabelBatches.__new__(tfkd.SoftLabelBatches)
    made._recipe, made._folder = RECIPE.with_("distill.training.batch_size=16"), Path("runs/a")
    made.classes, made.examples, made.views = ("x", "y"), 100, 2
    return made


@pytest.mark.parametrize("number", [-1, "x", None, 0.5, True])
def test_a_wrong_number_of_an_epoch(batches: tfkd.SoftLabelBatches, number: Any) -> None:
    assert refusal(batches.epoch, number).startswith(f"number = {number!r} must be a whole number of at least 0")


@pytest.mark.parametrize("size", [0, -3, "x", 101])
def test_a_wrong_size_of_batches(batches: tfkd.SoftLabelBatches, size: Any) -> None:
    assert refusal(batches.epoch, 0, size) == f"batch_size = {size!r} must be a whole number from 1 to 100."


def test_batches_show_what_they_are(batches: tfkd.SoftLabelBatches) -> None:
    assert repr(batches) == "SoftLabelBatches('runs/a': 100 examples, 2 views, 2 classes)" and len(batches) == 6


def test_messages_name_arguments_in_place_of_flags() -> None:
    functions = (tfkd.run, tfkd.export, tfkd.verify, tfkd.bench)
    arguments = {name for function in functions for name in inspect.signature(function).parameters}
    options = {name for target in TARGETS.values() for name in names(target.options)}
    for name in arguments | options | {"only", "golden", "record", "baseline", "max_p90_ms"}:
        if name not in ("model", "overrides", "recipe", "bundle", "subject", "options", "progress", "imports"):
            assert calls.with_arguments(f"Leave {flag(name)} out.") == f"Leave `{name}` out."
    assert calls.with_arguments("`tfkd export --allow-code` runs it.") == "`tfkd.export(..., allow_code=True)` runs it."
    assert calls.with_arguments("writable, or add --no-record.") == "writable, or add record=False."
    assert calls.with_arguments("pip install --no-deps x, a--runs") == "pip install --no-deps x, a--runs"
