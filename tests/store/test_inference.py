"""Teacher predictions: of the right views, by the right teacher, in the right dtype."""

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.data.photos import READING, encoded, picture
from tfkd.data.batches import view_batches
from tfkd.data.dataset import Split
from tfkd.errors import RequestError
from tfkd.files import write_sealed
from tfkd.inputs.image.normalization import parse
from tfkd.inputs.image.tensors import signature
from tfkd.inputs.seeds import partners, view_seeds
from tfkd.models.pixels import in_front
from tfkd.models.specialist import in_order
from tfkd.recipe import Augment
from tfkd.store import inference as module
from tfkd.store.inference import ViewPredictor, feature_shapes, in_bfloat16, view_predictor
from tfkd.store.layout import Layout
from tfkd.store.soft_labels import SoftLabels, write_soft_labels

CLASSES, SIZE, IMAGES, SEED = 5, 24, 70, 3


class Pictures:
    """Photos in memory."""

    stamp = "pictures"

    def __init__(self, count: int) -> None:
        self._encoded = [encoded(picture(number), "PNG") for number in range(count)]

    def name(self, number: int) -> str:
        return f"picture {number}"

    def read(self, number: int) -> bytes:
        return self._encoded[number]


@pytest.fixture(scope="module")
def pool() -> Split:
    return Split(Pictures(IMAGES), np.arange(IMAGES), np.arange(IMAGES) % CLASSES, READING)


def network(
    activation: str | None = None, contrast: float = 1.0, margin: float = 0.0, classes: int = CLASSES
) -> keras.Model:
    """A teacher with a nested backbone.

    The lower the contrast, the less its features depend on the view. `margin` is added to the first class.
    """
    keras.utils.set_random_seed(11)
    inner = keras.Input((SIZE, SIZE, 3))
    x = keras.layers.Conv2D(8, 3, strides=2, padding="same", name="conv")(inner)
    x = keras.layers.ReLU(name="relu")(x)
    backbone = keras.Model(inner, keras.layers.GlobalAveragePooling2D(name="pool")(x), name="backbone")
    image = keras.Input((SIZE, SIZE, 3))
    x = backbone(keras.layers.Rescaling(1 / 128, offset=-1.0)(image))
    model = keras.Model(image, keras.layers.Dense(classes, activation, name="head")(x))
    kernel, _ = backbone.get_layer("conv").get_weights()
    backbone.get_layer("conv").set_weights([contrast * kernel, np.ones(8)])
    features = keras.Model(model.input, model.get_layer("head").input)
    kernel, _ = model.get_layer("head").get_weights()
    typical = features(np.full((1, SIZE, SIZE, 3), 128.0)).numpy()[0]
    model.get_layer("head").set_weights([20 * kernel, margin * (np.arange(classes) == 0) - 20 * typical @ kernel])
    model.trainable = False
    return model


def predictor_of(
    model: keras.Model, pool: Split, folder: Path, taps: Any = (), augment: Augment | None = None, views: int = 2
) -> ViewPredictor:
    return view_predictor(model, taps, pool, augment or Augment(), SEED, CLASSES, views, folder)


def collected(predictor: ViewPredictor, images: Any, view: int) -> dict[str, np.ndarray]:
    batches = list(predictor(images, view))
    return {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}


def views_of(pool: Split, images: Any, view: int, augment: Augment) -> Any:
    mixed = partners(SEED, view, images, len(pool))
    batches = view_batches(pool, augment, signature(SIZE), 100, images, view_seeds(SEED, images, view), partners=mixed)
    return next(iter(batches))["inputs"]


@pytest.fixture
def always_measuring(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine without recorded measurements."""
    monkeypatch.setattr(module, "WORTH_MEASURING", 0)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def quick_bfloat16(monkeypatch: pytest.MonkeyPatch, always_measuring: None) -> None:
    """A machine on which bfloat16 is twice as fast, and more than 64 views at a time are no faster."""

    def seconds(run: Any, images: Any) -> float:
        run(images)
        operations = run.get_concrete_function().graph.get_operations()
        short = any(op.type == "Conv2D" and op.outputs[0].dtype == tf.bfloat16 for op in operations)
        return (1 + max(64, len(images))) / (2 if short else 1)

    monkeypatch.setattr(module, "_seconds", seconds)
    monkeypatch.setattr(module, "SAMPLE", 3 * IMAGES)


@pytest.mark.parametrize("augment", [Augment(), Augment(mix="mixup", mix_share=1.0)])
def test_predictions_are_those_on_the_views_of_the_student(pool: Split, tmp_path: Path, augment: Augment) -> None:
    model = network()
    predictor = predictor_of(model, pool, tmp_path, augment=augment)
    images = np.array([5, 69, 0, 5])
    for view in (0, 3):
        expected = model(views_of(pool, images, view, augment), training=False)
        np.testing.assert_allclose(collected(predictor, images, view)["logits"], expected, atol=1e-5)


def test_a_store_is_filled_with_logits_and_features(pool: Split, tmp_path: Path) -> None:
    model, taps = network(), ("pooled", "backbone/relu")
    layout = Layout.for_classes(CLASSES, feature_shapes(model, taps))
    assert layout.features == {"pooled": (8,), "backbone/relu": (12, 12, 8)}
    header = {"fingerprint": "abc", "images": IMAGES, "views": 2, "layout": layout.described()}
    write_soft_labels(tmp_path, header, predictor_of(model, pool, tmp_path, taps), lambda views: None)
    images = np.array([69, 3])
    read = SoftLabels(tmp_path, header).read(images, 1)
    views = views_of(pool, images, 1, Augment())
    backbone = model.get_layer("backbone")
    pooled = backbone(views / 128 - 1)
    relu = keras.Model(backbone.input, backbone.get_layer("relu").output)(views / 128 - 1)
    for name, expected in {"logits": model(views), "pooled": pooled, "backbone/relu": relu}.items():
        np.testing.assert_allclose(read[name], expected, rtol=1e-3, atol=1e-3)


def test_a_partial_batch_is_not_traced_again(pool: Split, tmp_path: Path) -> None:
    predictor = predictor_of(network(), pool, tmp_path)
    assert [len(batch["logits"]) for batch in predictor(np.arange(IMAGES), 0)] == [64, 6]
    assert predictor._run.experimental_get_tracing_count() == 1  # type: ignore[attr-defined]


def test_a_teacher_of_probabilities_is_stored_as_its_logits(pool: Split, tmp_path: Path) -> None:
    images = np.arange(9)
    logits = collected(predictor_of(network(), pool, tmp_path / "plain"), images, 0)["logits"]
    ended = network()
    ended = keras.Model(ended.input, keras.layers.Activation("linear")(keras.ops.softmax(ended.output)))
    for number, model in enumerate((network("softmax"), ended)):
        stored = collected(predictor_of(model, pool, tmp_path / str(number)), images, 0)["logits"]
        np.testing.assert_allclose(stored, logits, atol=1e-3)


def test_a_probability_of_zero_has_a_finite_logarithm(pool: Split, tmp_path: Path) -> None:
    model = network()
    clipped = keras.Model(model.input, keras.ops.clip(keras.ops.softmax(500.0 * model.output), 0.0, 1.0))
    logits = collected(predictor_of(clipped, pool, tmp_path), np.arange(9), 0)["logits"]
    assert np.isfinite(logits).all()
    assert (logits < -80).any()


def test_a_teacher_of_other_classes_is_refused_before_the_first_view(pool: Split, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"\[7\] values per example, the data has 5 classes"):
        predictor_of(network(classes=7), pool, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_teacher_that_predicts_nan_is_refused_before_the_first_view(pool: Split, tmp_path: Path) -> None:
    model = network()
    kernel, bias = model.get_layer("head").get_weights()
    model.get_layer("head").set_weights([kernel, np.full_like(bias, np.nan)])
    with pytest.raises(RequestError, match="NaN"):
        predictor_of(model, pool, tmp_path)


def test_a_tap_that_does_not_exist_is_refused(pool: Split, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="pooled"):
        predictor_of(network(), pool, tmp_path, taps=["poled"])


def test_a_short_filling_is_not_measured(pool: Split, tmp_path: Path) -> None:
    inference = predictor_of(network(), pool, tmp_path).inference
    assert (inference.batch, inference.dtype, inference.images_per_second) == (64, "float32", {})
    assert str(inference) == "batches of 64 in float32"


def test_a_long_filling_is_measured_on_this_machine(pool: Split, tmp_path: Path, always_measuring: None) -> None:
    inference = predictor_of(network(), pool, tmp_path).inference
    assert inference.batch in module.BATCHES
    assert all(rate > 0 for rate in inference.images_per_second.values())
    assert inference.images_per_second.keys() == {"float32", "bfloat16"}


def test_bfloat16_is_used_if_it_is_faster_and_agrees(pool: Split, tmp_path: Path, quick_bfloat16: None) -> None:
    model = network(margin=50.0)
    predictor = predictor_of(model, pool, tmp_path)
    assert (predictor.inference.batch, predictor.inference.dtype) == (64, "bfloat16")
    assert predictor.inference.top1_changed is not None
    assert predictor.inference.top1_changed <= module.MOST_CHANGED
    images = np.arange(20)
    exact = model(views_of(pool, images, 0, Augment())).numpy()
    short = collected(predictor, images, 0)["logits"]
    assert 0 < np.abs(short - exact).max() < 0.02 * np.abs(exact).max()
    assert "bfloat16 2" in str(predictor.inference)


def test_bfloat16_is_not_used_if_it_changes_the_top_class(pool: Split, tmp_path: Path, quick_bfloat16: None) -> None:
    inference = predictor_of(network(contrast=1e-4), pool, tmp_path).inference
    assert inference.dtype == "float32"
    assert inference.top1_changed is not None
    assert inference.top1_changed > 0.1


def test_bfloat16_is_not_compared_where_it_is_slower(
    pool: Split, tmp_path: Path, always_measuring: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_seconds", lambda run, images: float(len(images)))
    inference = predictor_of(network(), pool, tmp_path).inference
    assert (inference.batch, inference.dtype, inference.top1_changed) == (16, "float32", None)


def test_a_resumed_filling_keeps_its_batch_size_and_dtype(pool: Split, tmp_path: Path, always_measuring: None) -> None:
    begun = {"batch": 32, "dtype": "bfloat16"}
    begun |= {"images_per_second": {"float32": 1.0, "bfloat16": 2.0}, "top1_changed": 0.0}
    write_sealed(tmp_path / "inference.json", begun)
    predictor = predictor_of(network(), pool, tmp_path)
    assert (predictor.inference.batch, predictor.inference.dtype) == (32, "bfloat16")
    assert [len(batch["logits"]) for batch in predictor(np.arange(IMAGES), 0)] == [32, 32, 6]


@pytest.mark.slow
@pytest.mark.parametrize("damage", [("bfloat16", "cfloat16"), ("{", "[")])
def test_a_damaged_record_is_recreated(
    pool: Split, tmp_path: Path, always_measuring: None, damage: tuple[str, str]
) -> None:
    record = tmp_path / "inference.json"
    before = predictor_of(network(), pool, tmp_path).inference
    write_sealed(record, {**json.loads(record.read_text())["value"], "dtype": "bfloat16"})
    record.write_text(record.read_text().replace(*damage))
    assert predictor_of(network(), pool, tmp_path).inference == before


def test_another_run_on_this_machine_uses_the_same_settings(
    pool: Split, tmp_path: Path, always_measuring: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = predictor_of(network(), pool, tmp_path / "first").inference
    monkeypatch.setattr(module, "_fastest", None)  # measures no more
    assert predictor_of(network(), pool, tmp_path / "second").inference == first
    with pytest.raises(TypeError):
        predictor_of(network(margin=1.0), pool, tmp_path / "other")


def test_a_sample_of_a_small_transfer_set_takes_more_views(pool: Split) -> None:
    views = module.TransferViews(pool, Augment(), SEED, signature(SIZE))
    drawn = np.concatenate([batch.numpy() for batch in views.sample(100, 64)])
    assert len(drawn) == 2 * IMAGES
    assert len(np.unique(drawn.reshape(len(drawn), -1), axis=0)) == len(drawn)
    assert sum(len(batch) for batch in views.sample(10, 64)) == 10


def test_the_copy_in_bfloat16_keeps_its_ends_in_float32() -> None:
    model = network()
    copy = in_bfloat16(model)
    backbone = copy.get_layer("backbone")
    assert {
        layer.name: layer.compute_dtype for layer in (*copy.layers[1:2], *backbone.layers[1:], copy.layers[-1])
    } == {
        copy.layers[1].name: "float32",
        "conv": "bfloat16",
        "relu": "bfloat16",
        "pool": "bfloat16",
        "head": "float32",
    }
    for theirs, ours in zip(copy.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(theirs, ours)
    assert copy.output.dtype == model.output.dtype == "float32"
    assert model.get_layer("backbone").get_layer("conv").compute_dtype == "float32"


def test_an_order_of_labels_and_a_normalization_keep_the_ends_in_float32() -> None:
    model = in_order(in_front(parse("bgr,tf"), network()), [4, 3, 2, 1, 0])
    copy = in_bfloat16(model)
    dtypes = {layer.name: layer.compute_dtype for layer in copy._flatten_layers(include_self=False)}
    assert {dtypes[name] for name in ("normalization", "head", "labels")} == {"float32"}
    assert dtypes["conv"] == "bfloat16"


class Stubborn(keras.layers.Layer):
    """A layer without a configuration."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def call(self, inputs: Any) -> Any:
        return self.factor * inputs


def test_a_teacher_that_cannot_be_copied_predicts_in_float32(
    pool: Split, tmp_path: Path, always_measuring: None
) -> None:
    image = keras.Input((SIZE, SIZE, 3))
    pooled = keras.layers.GlobalAveragePooling2D()(Stubborn(0.5)(image))
    inference = predictor_of(keras.Model(image, keras.layers.Dense(CLASSES)(pooled)), pool, tmp_path).inference
    assert inference.dtype == "float32"
    assert inference.images_per_second.keys() == {"float32"}
