"""Networks small enough to train in a test; recipes name them by import path."""

from typing import Any

from tests.compress import network


def build_student(
    k: Any,
    *,
    image_size: int,
    classes: int,
    width: float,
    activation: str,
    dropout: float,
    batch_norm_momentum: float,
) -> Any:
    """A convolution, BatchNorm, dropout and logits: all kinds of state that a checkpoint must restore."""
    image = k.Input((image_size, image_size, 3))
    x = k.layers.Rescaling(1 / 128, offset=-1.0)(image)
    x = k.layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False)(x)
    x = k.layers.BatchNormalization(momentum=batch_norm_momentum)(x)
    x = k.layers.ReLU(max_value=6.0)(x)
    x = k.layers.GlobalAveragePooling2D()(x)
    x = k.layers.Dropout(dropout)(x)
    return k.Model(image, k.layers.Dense(classes)(x))


def build_teacher(*, image_size: int | None, classes: int) -> Any:
    """A wider network of the same kind, for `Teacher(model="tests.tiny:build_teacher")`."""
    import keras

    image = keras.Input((image_size or 40, image_size or 40, 3))
    x = keras.layers.Rescaling(1 / 128, offset=-1.0)(image)
    x = keras.layers.Conv2D(16, 3, strides=2, padding="same", use_bias=False)(x)
    x = keras.layers.BatchNormalization(momentum=0.8)(x)
    x = keras.layers.ReLU()(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(image, keras.layers.Dense(classes)(x))


def build_unconvertible_teacher(*, image_size: int | None, classes: int) -> Any:
    """A teacher with an operation that LiteRT does not have."""
    import keras

    inner = build_teacher(image_size=image_size, classes=classes)
    image = keras.Input(inner.input_shape[1:])
    return keras.Model(image, inner(512.0 * keras.ops.erfinv(image / 512.0)))


def build_unconvertible_student(k: Any, *, image_size: int, **arguments: Any) -> Any:
    """A student with an operation that LiteRT does not have."""
    inner = build_student(k, image_size=image_size, **arguments)
    image = k.Input((image_size, image_size, 3))
    return k.Model(image, inner(512.0 * k.ops.erfinv(image / 512.0)))


def build_blind_teacher(*, image_size: int | None, classes: int) -> Any:
    """A teacher that predicts the same for every image until it is trained."""
    import keras

    image = keras.Input((image_size or 40, image_size or 40, 3))
    x = keras.layers.GlobalAveragePooling2D()(image)
    return keras.Model(image, keras.layers.Dense(classes, kernel_initializer="zeros")(x))


def build_deeper_teacher(*, image_size: int | None, classes: int) -> Any:
    """A teacher with kernels large enough to be pruned."""
    import keras

    return network.build_shallow(
        keras,
        image_size=image_size or 40,
        classes=classes,
        width=1.0,
        activation="relu6",
        dropout=0.0,
        batch_norm_momentum=0.8,
    )
