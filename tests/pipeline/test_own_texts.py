"""`tfkd export` of a classifier of texts: its vocabulary goes into the bundle, and its files are compared on texts."""

import contextlib
import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import tfkd
from tfkd import cli
from tfkd.bundle.manifest import Manifest
from tfkd.errors import RequestError
from tfkd.inputs.text.vocabulary import SPECIAL
from tfkd.pipeline import own_inputs
from tfkd.pipeline.own_request import Request, request
from tfkd.progress import Silent
from tfkd.verification import tflite
from tfkd.writers import Card, ConversionError
from tfkd.writers.own import OwnModel
from tfkd.writers.tflite import write_tflite

layers = keras.layers

LENGTH = 12
WORDS = {"hot": ["red", "fire"], "plant": ["leaf", "grass"], "water": ["sea", "rain"]}
LABELS = ["water", "plant", "hot", "other"]  # another order than the data's, and a class without texts
PIECES = (*SPECIAL, *(word for words in WORDS.values() for word in words), "the", "##s", "1", "2", ",")


def texts() -> list[tuple[str, str]]:
    """Returns eight texts per class with their labels, of which the last one of each class is longer than the input."""
    found = []
    for label, (first, second) in WORDS.items():
        found += [
            (f"The {first} {number % 2 + 1},\n{second}S" + number // 7 * " the" * 9, label) for number in range(8)
        ]
    return found


def over_ids(
    dtype: str = "int32", length: int | None = LENGTH, pieces: int = len(PIECES), outputs: int = len(LABELS)
) -> keras.Model:
    """Returns a network with attention that ends in a softmax, and whose word vectors are of the class of the word."""
    keras.utils.set_random_seed(1)
    ids = keras.Input((length,), dtype=dtype)
    x = layers.Embedding(pieces, 4, name="words")(ids)
    x = layers.add([x, layers.MultiHeadAttention(2, 4)(x, x)])
    model = keras.Model(ids, layers.Dense(outputs, "softmax")(layers.GlobalAveragePooling1D()(x)))
    vectors = np.zeros((pieces, 4), np.float32)
    for label, words in WORDS.items():
        vectors[[PIECES.index(word) for word in words], LABELS.index(label)] = 1
    model.get_layer("words").set_weights([vectors])
    model.layers[-1].set_weights([30 * np.eye(4, outputs, dtype=np.float32), np.array([0.1] * outputs)])
    return model


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("own-texts")
    (home / "vocab.txt").write_text("".join(f"{piece}\n" for piece in PIECES))
    (home / "labels.txt").write_text("".join(f"{name}\n" for name in LABELS))
    with (home / "texts.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([("text", "label"), *texts()])
    over_ids().save(home / "topics.keras")
    return home


@pytest.fixture(scope="module")
def bundle(home: Path) -> Path:
    command = ("export", "topics.keras", "--vocabulary", "vocab.txt", "--labels", "labels.txt", "--tflite", "fp32,int8")
    fields = ("export.require=fp32", "export.golden_images=3", "bench.runs=5", "bench.warmup=1")
    with contextlib.chdir(home):
        assert cli.execute([*command, "--data", "texts:texts.csv", "--coreml", "none", *fields]) == 0
    return home / "exported_models" / "topics"


def test_a_bundle_of_texts_has_vocabulary_golden_texts_and_the_answers_of_its_files(home: Path, bundle: Path) -> None:
    manifest = Manifest.model_validate_json((bundle / "manifest.json").read_bytes())
    assert manifest.data.classes == LABELS and manifest.student.accuracy == 1.0 and manifest.student.image_size is None
    assert (bundle / "vocab.txt").read_text() == (home / "vocab.txt").read_text()
    (artifact,), (missing,) = manifest.artifacts, manifest.missing
    assert artifact.top1_vs_keras == 1.0 and artifact.max_abs_error is not None and artifact.max_abs_error < 1e-5
    assert missing.path == "android/topics_int8.tflite" and missing.reason.startswith("Attention in int8 loses")
    golden = json.loads((bundle / "golden" / "golden.json").read_text())
    assert [set(each["probabilities"]) for each in golden["images"]] == [{"keras", artifact.path}] * 3
    first = (bundle / "golden" / golden["images"][0]["file"]).read_text()
    assert first.startswith("the ") and not first.endswith(" the"), "what the tokenizer makes of it"
    card = (bundle / "MODEL_CARD.md").read_text()
    assert "tfkd export topics.keras --labels=labels.txt --data=texts:texts.csv --vocabulary=vocab.txt" in card
    assert manifest.recipe["export"]["description"] == "Text classifier"
    assert list(bundle.glob("android/*Tokenizer*.kt"))


def test_a_bundle_of_texts_predicts_and_is_verified_on_texts_in_memory(bundle: Path) -> None:
    examples, names = zip(*texts(), strict=True)
    labels = np.array([LABELS.index(name) for name in names])
    predicted = tfkd.load_bundle(bundle).predict(list(examples))
    assert (predicted.argmax(axis=1) == labels).all()
    checks = {check.name: check for check in tfkd.verify(bundle, data=(list(examples), labels)).checks}
    assert {check.verdict for check in checks.values()} <= {"passed", "not judged"}
    assert any("1.0000 on 24 " in check.found for check in checks.values())


def request_of(home: Path, **fields: Any) -> Request:
    files = {"labels": str(home / "labels.txt"), "data": f"texts:{home / 'texts.csv'}"}
    vocabulary = {"vocabulary": str(home / "vocab.txt")}
    return request({"name": "topics", "model": "topics", **files, **vocabulary, **fields}, {"onnx": False}, [])


def opened(home: Path, model: Any, **fields: Any) -> OwnModel:
    return own_inputs.opened(request_of(home, **fields), model, Silent())


@pytest.mark.parametrize("form", [{"dtype": "float32"}, {"length": None}, {"dtype": "int64"}])
def test_ids_of_other_dtypes_and_any_length_are_taken(home: Path, form: dict[str, Any]) -> None:
    model = opened(home, over_ids(**form), tokens=None if form.get("length", LENGTH) else LENGTH)
    assert model.signature.single.dtype == "int32" and model.signature.pieces == PIECES
    expected = over_ids()
    ids = np.arange(LENGTH, dtype=np.int32)[np.newaxis]
    np.testing.assert_allclose(model.predict(ids), expected(ids), atol=1e-6)
    again = opened(home, model.opened, vocabulary=None)  # it carries its vocabulary
    assert again.signature == model.signature


def test_a_recurrent_network_has_files_in_float(home: Path, tmp_path: Path) -> None:
    ids = keras.Input((LENGTH,), dtype="int32")
    x = layers.LSTM(4)(layers.Embedding(len(PIECES), 4, mask_zero=True)(ids))
    model = opened(home, keras.Model(ids, layers.Dense(4, bias_initializer="ones")(x)))
    card, rows = Card("topics", tuple(LABELS), "", "", "1", ""), np.arange(2 * LENGTH, dtype=np.int32).reshape(2, -1)
    rows %= len(PIECES)
    write_tflite(model, "fp32", tmp_path / "x.tflite", card)
    found = tflite.predict(tmp_path / "x.tflite", [rows])
    np.testing.assert_allclose(found, model.predict(rows), atol=1e-5)
    with pytest.raises(ConversionError, match="Loops of recurrent layers are not quantized; use dynamic"):
        write_tflite(model, "int8", tmp_path / "y.tflite", card, rows)


def image() -> keras.Model:
    pixels = keras.Input((32, 32, 3))
    return keras.Model(pixels, layers.Dense(4)(layers.GlobalAveragePooling2D()(pixels)))


def numbers() -> keras.Model:
    values = keras.Input((10,))
    return keras.Model(values, layers.Dense(4)(values))


def bert() -> keras.Model:
    ids, mask = (keras.Input((LENGTH,), dtype="int32", name=name) for name in ("ids", "mask"))
    return keras.Model([ids, mask], layers.Dense(4)(layers.Flatten()(layers.Embedding(len(PIECES), 4)(ids * mask))))


class Table(layers.Layer):
    """Word vectors that are no Embedding."""

    def build(self, shape: Any) -> None:
        self.table = self.add_weight(shape=(len(PIECES) - 1, 4))

    def call(self, ids: Any) -> Any:
        return keras.ops.take(self.table, ids, axis=0)


def own_table() -> keras.Model:
    ids = keras.Input((LENGTH,), dtype="int32")
    return keras.Model(ids, layers.Dense(4)(layers.Flatten()(Table()(ids))))


@pytest.mark.parametrize(
    ("model", "fields", "message"),
    [
        (
            lambda: over_ids(pieces=20),
            {},
            r"vocab\.txt has 15 pieces, but topics has vectors for 20; use the vocabulary",
        ),
        (own_table, {}, r"topics cannot predict texts: .*14 is not in \[0, 14\)"),
        (image, {}, r"takes float32 \(None, 32, 32, 3\), not the ids of a text; .* leave the vocabulary out"),
        (numbers, {}, r"takes float32 \(None, 10\), not the ids of a text"),
        (bert, {}, r"has 2 inputs \(ids, mask\); a model of texts takes their ids alone; compute a mask inside"),
        (over_ids, {"vocabulary": None}, "topics does not say the vocabulary of its ids; name it: `--vocabulary"),
        (
            over_ids,
            {"vocabulary": None, "data": "folder:x"},
            r"takes int32 \(None, 12\), the ids of a text; name their",
        ),
        (over_ids, {"tokens": 16}, r"takes int32 \(None, 12\), not 16 ids of a text; set tokens to 12\."),
        (lambda: over_ids(length=None), {}, r"takes int32 \(None, None\), texts of any length; set one: `--tokens 64`"),
        (lambda: over_ids(outputs=1), {}, "gives one number per text, as a sigmoid for two classes does"),
    ],
)
def test_a_model_that_does_not_fit_gets_one_line(
    home: Path, model: Callable[[], keras.Model], fields: dict[str, Any], message: str
) -> None:
    with pytest.raises(RequestError, match=message) as caught:
        opened(home, model(), **fields)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "lacks .*PAD.*UNK"),
        (b"\xff\xfe[PAD]", "begins with a byte order mark"),
        (b"[PAD]\n[UNK]\n[CLS]\n[SEP]\n\xe9t\xe9\n", "line 5: is not UTF-8; save the vocabulary as UTF-8"),
        (b"[PAD]\n[CLS]\n[SEP]\nthe\n", r"lacks \[UNK\]"),
        (b"the\n[PAD]\n[UNK]\n[CLS]\n[SEP]\n", r"has \[PAD\] on line 2; phones pad with id 0, so it must be first"),
        (None, "cannot be read: No such file"),
    ],
)
def test_a_file_that_is_no_vocabulary_is_refused(
    home: Path, tmp_path: Path, content: bytes | None, message: str
) -> None:
    if content is not None:
        (tmp_path / "v.txt").write_bytes(content)
    with pytest.raises(RequestError, match=rf"v\.txt.* {message}"):
        opened(home, over_ids(), vocabulary=str(tmp_path / "v.txt"))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"image_size": 64}, "image_size is for models of images, and this one is of texts .*; leave image_size out"),
        ({"normalization": "tf"}, "normalization is for models of images"),
        (
            {"vocabulary": None, "data": "folder:x", "tokens": 16},
            "tokens is for models of texts, and this one is of image",
        ),
        ({"tokens": 3}, "tokens = 3: Input should be greater than or equal to 4"),
    ],
)
def test_settings_of_another_kind_of_input_are_refused(home: Path, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        request_of(home, **fields)


def test_files_that_texts_cannot_have_are_not_written_by_default(home: Path) -> None:
    assert request_of(home).export.coreml == ["mlpackage"]
    assert request_of(home, vocabulary=None, data="folder:x").export.coreml == ["mlmodel", "mlpackage"]
