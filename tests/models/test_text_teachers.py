"""Teachers of texts as a recipe names them."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from tests.models import bert_folders
from tests.models.bert_folders import CONFIG, PIECES, WIDTH, texts, write_folder
from tfkd.errors import RequestError
from tfkd.inputs.text.tensors import signature_of
from tfkd.models import build_teacher
from tfkd.models.bert import open_teacher
from tfkd.recipe import FineTune, Teacher
from tfkd.store.inference import in_bfloat16

TENSORS = bert_folders.tensors()
IDS = texts(12)
NAMES = ("calm", "happy", "sad")
LABELS = {"0": "sad", "1": "calm", "2": "happy"}
CLASSIFIER = {
    "classifier.weight": np.linspace(-1, 1, 3 * WIDTH, dtype=np.float32).reshape(3, WIDTH),
    "classifier.bias": np.array([0.1, 0.2, 0.3], np.float32),
}


def classifier(place: Path, labels: dict[str, str] = LABELS) -> str:
    config = CONFIG | {"architectures": ["BertForSequenceClassification"], "id2label": labels}
    return str(write_folder(place, TENSORS | CLASSIFIER, config, "bert."))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_folder(tmp_path_factory.mktemp("teachers") / "bert", TENSORS))


def built(model: str, **settings: Any) -> keras.Model:
    return build_teacher(Teacher(model=model, tokens=12, **settings), len(NAMES), 1, NAMES)


def over_ids(pieces: int = PIECES, length: int | None = 12, dtype: str = "int32") -> keras.Model:
    ids = keras.Input((length,), dtype=dtype)
    x = keras.layers.GlobalAveragePooling1D()(keras.layers.Embedding(pieces, 8)(ids))
    return keras.Model(ids, keras.layers.Dense(len(NAMES))(x))


def own(*, length: int, pieces: tuple[str, ...], classes: int) -> keras.Model:
    return over_ids(len(pieces), length)


def test_a_folder_of_features_gets_a_head_that_is_trained_by_default(folder: str) -> None:
    teacher = Teacher(model=folder, tokens=12)
    assert teacher.fine_tune is not None and teacher.fine_tune.epochs == 0 and teacher.weights == "pretrained"
    assert built(folder).output_shape == (None, 3)
    tuned = Teacher(model=folder, fine_tune="auto").fine_tune
    assert tuned is not None and tuned.auto and (tuned.epochs, tuned.learning_rate) == (3, 5e-5)
    with pytest.raises(RequestError, match=r"has no classifier, only features; set fine_tune=FineTune\(epochs=0\)"):
        built(folder, fine_tune=None)


def test_a_classifier_is_used_unchanged_with_its_labels_in_the_order_of_the_classes(tmp_path: Path) -> None:
    place = classifier(tmp_path / "m")
    assert Teacher(model=place).fine_tune is None
    logits = np.asarray(open_teacher(Path(place), 12, 3)(IDS))
    for tuning in (None, FineTune(epochs=0)):
        np.testing.assert_allclose(built(place, fine_tune=tuning)(IDS), logits[:, [1, 2, 0]], atol=1e-6)
    stated = built(place, labels=["happy", "sad", "calm"])
    np.testing.assert_allclose(stated(IDS), logits[:, [2, 0, 1]], atol=1e-6)
    two = build_teacher(Teacher(model=place, tokens=12), 2, 1, ("sad", "happy"))
    np.testing.assert_allclose(two(IDS), logits[:, [0, 2]], atol=1e-6)


def test_labels_without_names_are_in_the_order_of_the_classes(tmp_path: Path) -> None:
    place = classifier(tmp_path / "m", {str(number): f"LABEL_{number}" for number in range(3)})
    np.testing.assert_allclose(built(place)(IDS), open_teacher(Path(place), 12, 3)(IDS), atol=1e-6)
    with pytest.raises(RequestError, match="has 3 outputs, but 4 are needed; set fine_tune"):
        build_teacher(Teacher(model=place, tokens=12), 4, 1, "abcd")


def test_a_classifier_of_other_classes_is_refused_unless_it_is_trained(tmp_path: Path) -> None:
    place = classifier(tmp_path / "m")
    names = ("calm", "angry", "sad")
    with pytest.raises(RequestError, match=r"has the class 'angry', the labels in config\.json do not"):
        build_teacher(Teacher(model=place, tokens=12), 3, 1, names)
    tuned = build_teacher(Teacher(model=place, tokens=12, fine_tune=FineTune(epochs=0)), 3, 1, names)
    assert tuned.output_shape == (None, 3)
    with pytest.raises(RequestError, match="has 3 outputs, its labels name 2"):
        built(place, labels=["sad", "calm"])


def test_random_weights_on_request(folder: str) -> None:
    first, again = (built(folder, weights="none")(IDS) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, built(folder)(IDS))


def test_a_copy_in_bfloat16_gives_the_same_within_its_rounding(folder: str) -> None:
    model = built(folder)
    short = in_bfloat16(model)
    assert short.get_layer("backbone").output.dtype == "bfloat16" and short.output.dtype == "float32"
    logits = np.asarray(model(IDS))
    np.testing.assert_allclose(short(IDS), logits, atol=0.03 * np.abs(logits).max())
    assert signature_of(short) == signature_of(model)


@pytest.mark.parametrize("form", [{}, {"length": None}, {"dtype": "float32"}])
def test_a_keras_file_over_ids_gets_its_vocabulary(folder: str, tmp_path: Path, form: dict[str, Any]) -> None:
    model = over_ids(**form)
    model.save(tmp_path / "own.keras")
    teacher = built(str(tmp_path / "own.keras"), vocabulary=folder)
    assert teacher.inputs[0].dtype == "int32" and len(signature_of(teacher).pieces) == PIECES
    np.testing.assert_allclose(teacher(IDS), model(IDS.astype(form.get("dtype", "int32"))), atol=1e-6)
    teacher.save(tmp_path / "whole.keras")
    np.testing.assert_allclose(built(str(tmp_path / "whole.keras"))(IDS), teacher(IDS), atol=1e-6)


@pytest.mark.parametrize(
    ("form", "settings", "message"),
    [
        ({}, {"vocabulary": None}, "does not say the vocabulary of its ids; set the teacher's vocabulary"),
        ({"pieces": PIECES - 1}, {}, f"has {PIECES} pieces, but .*own.keras has vectors for {PIECES - 1}; use the"),
        ({"length": 16}, {}, r"takes int32 \(None, 16\), not 12 ids of a text; set tokens to 16\."),
    ],
)
def test_a_keras_file_that_does_not_fit_gets_one_line(
    folder: str, tmp_path: Path, form: dict[str, Any], settings: dict[str, Any], message: str
) -> None:
    over_ids(**form).save(tmp_path / "own.keras")
    with pytest.raises(RequestError, match=message):
        built(str(tmp_path / "own.keras"), **{"vocabulary": folder} | settings)


def test_a_function_gets_length_and_pieces(folder: str) -> None:
    model = built(f"{__name__}:own", vocabulary=folder)
    assert len(signature_of(model).pieces) == PIECES and model(IDS).shape == (3, 3)
    with pytest.raises(RequestError, match="own needs a vocabulary; set the teacher's vocabulary"):
        built(f"{__name__}:own")


def test_a_teacher_of_another_kind_of_input_is_refused(folder: str) -> None:
    with pytest.raises(RequestError, match="resnet50 takes images, the data are texts; use minilm_l6, the folder of a"):
        built("resnet50")
    with pytest.raises(RequestError, match="takes texts, the data are others"):
        build_teacher(Teacher(model=folder), 3, 1, NAMES)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"image_size": 64}, "is read without image_size; leave image_size out"),
        ({"normalization": "tf"}, "is read without normalization"),
        ({"vocabulary": "vocab.txt"}, "is read without vocabulary"),
        ({"weights": "imagenet"}, "has its weights in its folder; weights must be pretrained or none, not imagenet"),
    ],
)
def test_settings_that_a_bert_model_does_not_read_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        Teacher(model="minilm_l6", **settings)
