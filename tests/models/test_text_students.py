"""Students of texts: what holds for each, and their files."""

import random
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from tfkd.distill.taps import tapped
from tfkd.errors import RequestError
from tfkd.inputs.image.tensors import signature as signature_of_image
from tfkd.inputs.text.tensors import signature, signature_of
from tfkd.inputs.text.vocabulary import SPECIAL
from tfkd.models import STUDENTS, build_student, require_kind, students_of, text_students
from tfkd.models.cost import multiply_adds
from tfkd.models.text_layers import WordVectors
from tfkd.recipe import Student
from tfkd.verification.tflite import delegation, load

BUILDS = {name: getattr(text_students, name) for name in ("word_average", "text_convolution", "text_transformer")}
PIECES = (*SPECIAL, *(f"word{number}" for number in range(36)))
SMALL = {"length": 12, "pieces": PIECES, "classes": 5, "width": 0.25, "dropout": 0.1}


def own_student(k: Any, *, length: int, pieces: tuple[str, ...], classes: int, width: float, dropout: float) -> Any:
    """A student as a user writes it, without tfkd's layers."""
    ids = k.Input((length,), dtype="int32")
    x = k.layers.Embedding(len(pieces), int(8 * width))(ids)
    x = k.layers.Dropout(dropout)(k.layers.GlobalAveragePooling1D()(x))
    return k.Model(ids, k.layers.Dense(classes, "softmax")(x))


def own_image_student(k: Any, *, length: int, classes: int, **others: Any) -> Any:
    image = k.Input((length, length, 3))
    return k.Model(image, k.layers.Dense(classes)(k.layers.Flatten()(image)))


def texts(length: int, count: int = 4) -> np.ndarray:
    ids = np.random.default_rng(1).integers(4, len(PIECES), (count, length)).astype(np.int32)
    ids[:, 0] = 2
    for row, text in enumerate(ids):
        text[min(3 + 3 * row, 12) :] = 0
    return ids


def built(name: str, k: Any = keras, seed: int = 1, **changes: Any) -> Any:
    state = random.getstate()
    random.seed(seed)
    model = BUILDS[name](k, **SMALL | changes)
    random.setstate(state)
    return model


@pytest.fixture(scope="module")
def students() -> dict[str, keras.Model]:
    return {name: built(name) for name in BUILDS}


@pytest.mark.parametrize("name", BUILDS)
def test_ids_become_linear_logits_and_the_seed_decides_the_start(name: str, students: dict[str, Any]) -> None:
    model = students[name]
    assert (model.input_shape, model.inputs[0].dtype, model.name) == ((None, 12), "int32", name)
    assert model.layers[1].pieces == PIECES
    assert (model.layers[-1].name, model.layers[-1].activation) == ("logits", keras.activations.linear)
    logits = np.asarray(model(texts(12), training=False))
    assert logits.shape == (4, 5) and logits.dtype == np.float32 and logits.std(axis=0).min() > 0
    assert all(map(np.array_equal, model.get_weights(), built(name).get_weights()))
    assert not np.array_equal(model(texts(12), training=True), model(texts(12), training=True))


@pytest.mark.parametrize("name", BUILDS)
def test_logits_do_not_depend_on_the_padding(name: str, students: dict[str, Any]) -> None:
    model, longer = students[name], built(name, length=20)
    weights = {weight.path: weight.numpy() for weight in model.weights}
    for weight in longer.weights:
        value = weights[weight.path]
        weight.assign(np.pad(value, ((0, 8), (0, 0))) if "positions" in weight.path else value)
    ids = np.pad(texts(12), ((0, 0), (0, 8)))
    np.testing.assert_allclose(longer(ids), model(texts(12)), atol=1e-6)


@pytest.mark.parametrize("name", BUILDS)
def test_the_vector_of_padding_is_never_used(name: str) -> None:
    model = built(name)
    before = np.asarray(model(texts(12)))
    table = model.get_layer("words").table
    table.assign(np.concatenate([np.full((1, table.shape[1]), 50.0), table[1:]]))
    np.testing.assert_array_equal(model(texts(12)), before)


@pytest.mark.parametrize("name", BUILDS)
def test_every_weight_is_trained(name: str, students: dict[str, Any]) -> None:
    model = students[name]
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(model(texts(12), training=True) ** 2)
    for weight, gradient in zip(model.weights, tape.gradient(loss, model.weights), strict=True):
        assert np.abs(tf.convert_to_tensor(gradient)).max() > 0, weight.path


@pytest.mark.parametrize("name", BUILDS)
def test_the_tf_keras_copy_and_a_file_give_the_same_logits(name: str, students: dict[str, Any], tmp_path: Path) -> None:
    model, copy = students[name], built(name, tf_keras)
    copy.set_weights(model.get_weights())
    assert [layer.name for layer in copy.layers] == [layer.name for layer in model.layers]
    np.testing.assert_allclose(copy(texts(12)), model(texts(12)), atol=1e-6)
    model.save(tmp_path / "student.keras")
    np.testing.assert_array_equal(keras.saving.load_model(tmp_path / "student.keras")(texts(12)), model(texts(12)))


def test_the_features_of_a_text_are_tapped_as_pooled(students: dict[str, Any]) -> None:
    widths = {"word_average": 32, "text_convolution": 3 * 32, "text_transformer": 32}
    for name, model in students.items():
        assert tapped(model, ["pooled"])(texts(12))["pooled"].shape == (4, widths[name])


def test_the_mean_is_that_of_the_words(students: dict[str, Any]) -> None:
    model = students["word_average"]
    table = model.get_layer("words").table.numpy()
    pooled = tapped(model, ["pooled"])(texts(12))["pooled"]
    expected = [table[text[text != 0]].mean(axis=0) for text in texts(12)]
    np.testing.assert_allclose(pooled, expected, atol=1e-6)


def test_word_vectors_of_another_width_are_projected() -> None:
    models = {name: built(name, vector_width=48) for name in BUILDS}
    for name, model in models.items():
        assert model.get_layer("words").table.shape == (len(PIECES), 48)
        assert any(layer.name == "projection" for layer in model.layers) == (name != "word_average")
        assert model(texts(12)).shape == (4, 5)


def test_layers_heads_and_width_shape_the_transformer() -> None:
    model = built("text_transformer", layers=3, heads=4, width=0.5)
    taps = [f"layer_{number}_{what}" for number in range(3) for what in ("hidden", "attention_logits")]
    shapes = {name: tuple(tap.shape[1:]) for name, tap in tapped(model, taps)(texts(12)).items()}
    assert shapes["layer_2_hidden"] == (12, 64) and shapes["layer_0_attention_logits"] == (4, 12, 12)
    with pytest.raises(RequestError, match="5 heads do not divide the hidden width 64; change either"):
        built("text_transformer", heads=5, width=0.5)


def test_a_text_shorter_than_a_window_is_refused() -> None:
    with pytest.raises(RequestError, match="text_convolution needs texts of 4 tokens or more, not 3"):
        built("text_convolution", length=3)


def test_the_word_average_has_the_size_that_was_measured() -> None:
    pieces = (*SPECIAL, *map(str, range(2320)))
    model = built("word_average", length=64, pieces=pieces, classes=77, width=1.0)
    assert model.count_params() == 350_285


def test_the_mask_is_exact_in_half_precision() -> None:
    layer = WordVectors(len(PIECES), 8, dtype="mixed_bfloat16")
    vectors, mask = layer(texts(12))
    assert vectors.dtype == mask.dtype == tf.bfloat16
    np.testing.assert_array_equal(tf.cast(mask[..., 0], tf.int32), texts(12) != 0)


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
def test_training_looks_up_the_same_vectors_and_mask(dtype: str) -> None:
    layer = WordVectors(len(PIECES), 8, dtype=dtype)
    for trained, exported in zip(layer(texts(12), training=True), layer(texts(12)), strict=True):
        assert trained.dtype == exported.dtype
        np.testing.assert_allclose(tf.cast(trained, tf.float32), tf.cast(exported, tf.float32), rtol=1e-6)


@pytest.mark.parametrize("name", BUILDS)
def test_a_recipe_builds_it_with_the_listed_costs(name: str) -> None:
    pieces = (*SPECIAL, *map(str, range(8188)))
    model = build_student(Student(model=name), signature(64, pieces), classes=1000, seed=1)
    assert (model.count_params(), multiply_adds(model)) == (STUDENTS[name].parameters, STUDENTS[name].multiply_adds)
    assert signature_of(model) == signature(64, pieces)


def test_a_recipe_sets_the_layers_and_heads_of_the_transformer_alone() -> None:
    student = Student(model="text_transformer", layers=3, heads=4, width=0.25, dropout=0.0)
    model = build_student(student, signature(12, PIECES), 5, seed=1)
    assert model.get_layer("layer_2_attention_logits").heads == 4
    unread = [
        Student(model="word_average", heads=4),
        Student(model="text_transformer", activation="silu"),
        Student(model="text_convolution", batch_norm_momentum=0.5),
        Student(model=f"{__name__}:own_student", layers=3),
    ]
    for student, name in zip(unread, ("heads", "activation", "batch_norm_momentum", "layers"), strict=True):
        with pytest.raises(RequestError, match=rf"does not read student\.{name}; leave it out"):
            build_student(student, signature(12, PIECES), 5, seed=1)
    with pytest.raises(RequestError, match=r"mobilenet_v2 does not read student\.layers"):
        build_student(Student(model="mobilenet_v2", layers=3), signature_of_image(32), 5, seed=1)


def test_a_student_of_another_kind_of_input_is_refused() -> None:
    with pytest.raises(RequestError, match="takes images, texts:a are texts; use word_average, text_convolution or te"):
        require_kind(Student(), "text", "texts:a")
    with pytest.raises(RequestError, match="word_average takes texts, the data are images; use mobilenet_v3_small, "):
        build_student(Student(model="word_average"), signature_of_image(32), 5, seed=1)
    assert list(students_of("text")) == list(BUILDS)


def test_a_function_of_the_users_gets_length_and_pieces() -> None:
    model = build_student(Student(model=f"{__name__}:own_student", width=2.0), signature(12, PIECES), 5, seed=1)
    assert signature_of(model) == signature(12, PIECES)
    assert np.asarray(model(texts(12))).min() < 0  # logits
    with pytest.raises(
        RequestError, match=r"takes float32 \(None, 12, 12, 3\); a classifier of texts here takes int32"
    ):
        build_student(Student(model=f"{__name__}:own_image_student"), signature(12, PIECES), 5, seed=1)


@pytest.mark.slow
@pytest.mark.parametrize("optimized", [False, True], ids=["fp32", "dynamic"])
@pytest.mark.parametrize("name", BUILDS)
def test_the_look_up_is_the_one_operator_outside_of_xnnpack(name: str, optimized: bool, tmp_path: Path) -> None:
    model = built(name, vector_width=48)
    table = model.get_layer("words").table
    table.assign(tf.minimum(table, 0.01))  # the mask must be exact in 8 bits whatever the signs of the vectors
    specification = tf.TensorSpec((1, 12), tf.int32)
    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint("serve", lambda ids: model(ids, training=False), [specification])
    archive.write_out(tmp_path / "saved", verbose=False)
    converter = tf.lite.TFLiteConverter.from_saved_model(str(tmp_path / "saved"))
    converter.optimizations = [tf.lite.Optimize.DEFAULT] if optimized else []
    path = tmp_path / "student.tflite"
    path.write_bytes(converter.convert())
    assert (delegation(path).partitions, delegation(path).outside) == (1, ["GATHER"])
    interpreter = load(path)
    for text in texts(12):
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], text[None])
        interpreter.invoke()
        found = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
        expected = np.asarray(model(text[None]))
        tolerance = (0.05 if optimized else 1e-5) * np.abs(expected).max()
        np.testing.assert_allclose(found, expected, atol=tolerance)
