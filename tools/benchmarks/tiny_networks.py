"""A teacher and a student that train in a second, for the smoke forms of benchmarks."""

from typing import Any


def teacher(*, image_size: int | None, classes: int) -> Any:
    """Two strided convolutions and a pooling, for `Teacher(model="tiny_networks:teacher", weights="none")`."""
    import keras

    image = keras.Input((image_size or 32, image_size or 32, 3))
    x = keras.layers.Rescaling(1 / 128, offset=-1.0)(image)
    x = keras.layers.ReLU()(keras.layers.Conv2D(16, 3, strides=4, padding="same")(x))
    x = keras.layers.ReLU()(keras.layers.Conv2D(32, 3, strides=4, padding="same")(x))
    return keras.Model(image, keras.layers.Dense(classes)(keras.layers.GlobalAveragePooling2D()(x)))


def student(
    k: Any,
    *,
    image_size: int,
    classes: int,
    width: float,
    activation: str,
    dropout: float,
    batch_norm_momentum: float,
) -> Any:
    """The same with BatchNorm, dropout and kernels that can be pruned and clustered."""
    channels = max(4, round(16 * width))
    image = k.Input((image_size, image_size, 3))
    x = k.layers.Rescaling(1 / 128, offset=-1.0)(image)
    x = k.layers.Conv2D(channels, 3, strides=4, padding="same", use_bias=False)(x)
    x = k.layers.ReLU(max_value=6.0)(k.layers.BatchNormalization(momentum=batch_norm_momentum)(x))
    x = k.layers.Conv2D(4 * channels, 1, use_bias=False)(x)
    x = k.layers.ReLU(max_value=6.0)(k.layers.BatchNormalization(momentum=batch_norm_momentum)(x))
    x = k.layers.ReLU(max_value=6.0)(k.layers.Conv2D(channels, 3, strides=4, padding="same")(x))
    x = k.layers.Dropout(dropout)(k.layers.GlobalAveragePooling2D()(x))
    return k.Model(image, k.layers.Dense(classes)(x))
