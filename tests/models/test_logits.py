"""Logits and probabilities at every kind of classifier end: recognised, and converted to float32 logits."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops

from tfkd.errors import RequestError
from tfkd.models.logits import are_probabilities, logits_of, with_logits

CLASSES = 4


def features() -> tuple[Any, Any]:
    keras.utils.set_random_seed(3)
    image = keras.Input((16, 16, 3))
    x = layers.Rescaling(1 / 128, offset=-1.0)(image)
    x = layers.Conv2D(6, 3, strides=2, activation="relu")(x)
    return image, layers.GlobalAveragePooling2D()(layers.BatchNormalization()(x))


def dense(**options: Any) -> Any:
    return layers.Dense(CLASSES, kernel_initializer=keras.initializers.RandomNormal(stddev=3.0, seed=1), **options)


def behind_dense(end: Callable[[Any], Any]) -> keras.Model:
    image, x = features()
    return keras.Model(image, end(dense()(x)), name="classifier")


def with_activation(activation: Any) -> keras.Model:
    image, x = features()
    return keras.Model(image, dense(activation=activation)(x))


def nested(inner: keras.Model) -> keras.Model:
    image = keras.Input((16, 16, 3))
    return keras.Model(image, layers.Identity()(inner(image)))


def ends_in_a_convolution() -> keras.Model:
    image, x = features()
    x = layers.Conv2D(CLASSES, 1, activation="softmax")(layers.Reshape((1, 1, 6))(x))
    return keras.Model(image, layers.GlobalAveragePooling2D()(x))


def one_softmax_layer_twice() -> keras.Model:
    image, x = features()
    softmax = layers.Softmax()
    return keras.Model(image, softmax(dense()(softmax(layers.Dense(CLASSES)(x)))))


def in_half_precision() -> keras.Model:
    keras.config.set_dtype_policy("mixed_float16")
    try:
        return behind_dense(lambda x: layers.Activation("linear", dtype="float32")(layers.Softmax()(x)))
    finally:
        keras.config.set_dtype_policy("float32")


class Wrapper(layers.Layer):
    def call(self, inputs: Any) -> Any:
        return tf.identity(inputs)


class Subclassed(keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.network = behind_dense(lambda x: x)

    def call(self, images: Any) -> Any:
        return tf.nn.softmax(self.network(images))


class Overridden(keras.Model):
    """A functional model that does more than its graph of layers."""

    def __init__(self) -> None:
        image, x = features()
        super().__init__(inputs=image, outputs=dense()(x))

    def call(self, inputs: Any, training: bool = False) -> Any:
        return ops.softmax(super().call(inputs, training=training))


@tf.function
def traced_softmax(x: Any) -> Any:
    return tf.nn.softmax(x)


CUT: dict[str, Callable[[], keras.Model]] = {
    "Softmax": lambda: behind_dense(layers.Softmax()),
    "Activation": lambda: behind_dense(layers.Activation("softmax")),
    "keras.ops": lambda: behind_dense(ops.softmax),
    "Dense(softmax)": lambda: with_activation("softmax"),
    "Dense(tf.nn.softmax)": lambda: with_activation(tf.nn.softmax),
    "Dense(keras.ops.softmax)": lambda: with_activation(ops.softmax),
    "Dense(a function)": lambda: with_activation(lambda x: tf.nn.softmax(x)),
    "Dense(a tf.function)": lambda: with_activation(traced_softmax),
    "convolution": ends_in_a_convolution,
    "then linear float32": lambda: behind_dense(
        lambda x: layers.Activation("linear", dtype="float32")(layers.Softmax()(x))
    ),
    "then dropout": lambda: behind_dense(lambda x: layers.Dropout(0.3)(layers.Softmax()(x))),
    "then reshaped": lambda: behind_dense(lambda x: layers.Flatten()(layers.Reshape((1, CLASSES))(ops.softmax(x)))),
    "then cast": lambda: behind_dense(lambda x: ops.cast(ops.cast(ops.softmax(x), "float64"), "float32")),
    "then a wrapper": lambda: behind_dense(lambda x: Wrapper()(layers.Softmax()(x))),
    "of a map": lambda: behind_dense(lambda x: layers.Flatten()(layers.Softmax()(layers.Reshape((1, CLASSES))(x)))),
    "other axis": lambda: behind_dense(lambda x: layers.Flatten()(layers.Softmax(1)(layers.Reshape((CLASSES, 1))(x)))),
    "Lambda": lambda: behind_dense(layers.Lambda(lambda x: tf.nn.softmax(x))),
    "temperature": lambda: behind_dense(lambda x: layers.Softmax()(x / 2.5)),
    "some classes": lambda: behind_dense(lambda x: ops.softmax(x)[:, 1:]),
    "nested": lambda: nested(behind_dense(layers.Softmax())),
    "nested twice": lambda: nested(nested(with_activation("softmax"))),
    "sequential": lambda: keras.Sequential([keras.Input((16, 16, 3)), with_activation("softmax"), layers.Dropout(0.1)]),
    "sequential without an input": lambda: keras.Sequential([layers.Flatten(), dense(activation="softmax")]),
    "sequential of a model": lambda: keras.Sequential([behind_dense(lambda x: x), layers.Softmax()]),
    "one layer twice": one_softmax_layer_twice,
    "half precision": in_half_precision,
}
LOGARITHM: dict[str, Callable[[], keras.Model]] = {
    "Lambda with temperature": lambda: behind_dense(layers.Lambda(lambda x: tf.nn.softmax(x / 3.0))),
    "by hand": lambda: behind_dense(lambda x: ops.exp(x) / ops.sum(ops.exp(x), axis=-1, keepdims=True)),
    "clipped": lambda: behind_dense(lambda x: ops.clip(ops.softmax(x), 1e-7, 1 - 1e-7)),
    "mean of two": lambda: behind_dense(lambda x: layers.Average()([ops.softmax(x), ops.softmax(2 * x)])),
    "subclassed": Subclassed,
    "overridden": Overridden,
    "nested subclassed": lambda: nested(Subclassed()),
}


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(1).uniform(0, 255, (6, 16, 16, 3)).astype(np.float32)


def logits_model(model: keras.Model) -> keras.Model:
    return with_logits(model, "The model", (None, 16, 16, 3))


@pytest.mark.parametrize("end", [*CUT, *LOGARITHM])
def test_the_softmax_of_the_logits_equals_the_models_output(images: np.ndarray, end: str) -> None:
    model = {**CUT, **LOGARITHM}[end]()
    found = logits_model(model)
    before = np.asarray(model(images))
    logits = found(images, training=False)
    assert logits.dtype == tf.float32
    probabilities = before / before.sum(axis=-1, keepdims=True)
    np.testing.assert_allclose(tf.nn.softmax(logits), probabilities, atol=1e-6 if end != "half precision" else 1e-3)
    assert [id(weight) for weight in found.weights] == [id(weight) for weight in model.weights]


@pytest.mark.parametrize("end", ["Softmax", "Dense(softmax)", "nested twice", "by hand"])
def test_the_model_itself_does_not_change(images: np.ndarray, end: str) -> None:
    model = {**CUT, **LOGARITHM}[end]()
    before = np.asarray(model(images))
    logits_model(model)
    np.testing.assert_array_equal(model(images), before)


@pytest.mark.parametrize("end", CUT)
def test_a_softmax_in_reach_is_taken_off(images: np.ndarray, end: str) -> None:
    """Logarithms of probabilities sum to 1 when they are raised again; the logits of a dense layer do not."""
    logits = np.asarray(with_logits(CUT[end](), "The model", (None, 16, 16, 3), exact=True)(images))
    assert (np.abs(np.exp(logits).sum(axis=-1) - 1) > 0.05).any()


@pytest.mark.parametrize("end", LOGARITHM)
def test_a_softmax_out_of_reach_is_refused_where_it_must_come_off(end: str) -> None:
    with pytest.raises(RequestError, match="cannot be removed"):
        with_logits(LOGARITHM[end](), "The model", (None, 16, 16, 3), exact=True)


def attention_before_the_end() -> keras.Model:
    image, x = features()
    hidden = layers.Dense(CLASSES)(x)
    return keras.Model(image, dense()(layers.Multiply()([layers.Softmax()(hidden), hidden])))


def two_small_logits() -> keras.Model:
    """Both are between 0 and 1, and their sum is near 1 but varies."""
    image, x = features()
    squashed = layers.Dense(2, activation="sigmoid")(x)
    model = keras.Model(image, layers.Dense(2, use_bias=False)(squashed))
    model.layers[-1].set_weights([np.array([[0.6, 0.1], [0.2, 0.3]], np.float32)])
    return model


@pytest.mark.parametrize(
    "make",
    [
        lambda: behind_dense(lambda x: x),
        lambda: behind_dense(lambda x: layers.Dropout(0.2)(x)),
        lambda: behind_dense(ops.log_softmax),
        lambda: behind_dense(layers.Activation("log_softmax")),
        lambda: behind_dense(lambda x: ops.log(ops.softmax(x))),
        attention_before_the_end,
        two_small_logits,
        lambda: nested(two_small_logits()),
    ],
)
def test_logits_stay_as_they_are(make: Callable[[], keras.Model]) -> None:
    model = make()
    assert logits_model(model) is model


def test_logits_of_half_precision_become_float32(images: np.ndarray) -> None:
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = behind_dense(lambda x: x)
    finally:
        keras.config.set_dtype_policy("float32")
    assert logits_model(model)(images).dtype == tf.float32


def test_zero_probabilities_of_half_precision_do_not_become_a_float32_minus_87(images: np.ndarray) -> None:
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = behind_dense(layers.Lambda(lambda x: tf.nn.softmax(x * 100.0)))
    finally:
        keras.config.set_dtype_policy("float32")
    assert (np.asarray(model(images)) == 0).any()
    assert np.asarray(logits_model(model)(images)).min() == pytest.approx(np.log(6e-8), abs=0.1)


def test_the_only_output_of_a_mapping_is_taken(images: np.ndarray) -> None:
    plain = behind_dense(lambda x: x)
    mapped = keras.Model(plain.input, {"classes": layers.Softmax()(plain.output)})
    np.testing.assert_allclose(logits_model(mapped)(images), plain(images), rtol=1e-6)


def single(activation: str | None) -> keras.Model:
    return keras.Sequential([keras.Input((16, 16, 3)), layers.Flatten(), layers.Dense(1, activation=activation)])


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: behind_dense(ops.sigmoid), "sigmoid for each class"),
        (lambda: single("sigmoid"), "gives one number per image"),
        (lambda: single(None), "gives one number per image"),
        (lambda: with_activation("sigmoid"), "sigmoid for each class"),
        (lambda: nested(with_activation(tf.nn.sigmoid)), "sigmoid for each class"),
        (lambda: behind_dense(lambda x: layers.Flatten()(ops.softmax(layers.Reshape((2, 2))(x)))), "they sum to 2"),
        (lambda: keras.Model(*(lambda m: (m.input, [m.output, m.output]))(behind_dense(ops.relu))), "model.outputs[0]"),
        (lambda: "teacher.keras", "is a str, not a keras.Model"),
    ],
)
def test_a_model_without_logits_is_refused_in_one_line(make: Callable[[], Any], says: str) -> None:
    with pytest.raises(RequestError) as caught:
        logits_model(make())
    assert says in str(caught.value) and "\n" not in str(caught.value)


def test_a_model_of_tf_keras_is_named() -> None:
    tf_keras = pytest.importorskip("tf_keras")
    with pytest.raises(RequestError, match=r"tf_keras \(Keras 2\)"):
        logits_model(tf_keras.Sequential([tf_keras.layers.Dense(3)]))


def test_a_subclassed_model_of_unknown_input_is_refused_with_the_remedy() -> None:
    with pytest.raises(RequestError, match="call the model once"):
        with_logits(Subclassed(), "The teacher")


def test_predictions_are_classified_by_their_values() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 3, (16, CLASSES)).astype(np.float32)
    probabilities = tf.nn.softmax(logits).numpy()
    small = rng.uniform(0, 1, (16, 2)).astype(np.float32)
    assert are_probabilities(probabilities) and are_probabilities(probabilities.astype(np.float16))
    assert are_probabilities(probabilities.round(3))
    assert not are_probabilities(logits) and not are_probabilities(small)
    np.testing.assert_array_equal(logits_of(tf.constant(logits)), logits)
    np.testing.assert_array_equal(logits_of(tf.constant(small)), small)
    np.testing.assert_allclose(tf.nn.softmax(logits_of(tf.constant(probabilities))), probabilities, atol=1e-6)
    certain = logits_of(tf.constant([[1.0, 0.0]], tf.float16))
    assert np.isfinite(certain).all() and certain.dtype == tf.float32
