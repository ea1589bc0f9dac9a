"""Students of a few thousand weights: one with every kind of layer that the real ones have, and one of few layers."""

from typing import Any

from tfkd.models.layers import activate, hard_sigmoid, normalise

CLASSES = 3
SIZE = 32


def build(
    k: Any,
    *,
    image_size: int,
    classes: int,
    width: float,
    activation: str,
    dropout: float,
    batch_norm_momentum: float,
) -> Any:
    """An inverted residual block with squeeze-and-excite, and a fire module; `tests.compress.network:build`."""

    def norm(x: Any) -> Any:
        return k.layers.BatchNormalization(momentum=batch_norm_momentum)(x)

    image = k.Input((image_size, image_size, 3))
    x = k.layers.Conv2D(16, 3, strides=4, padding="same", use_bias=False, name="stem")(normalise(k, image))
    x = shortcut = activate(k, norm(x), activation, "stem_act")
    x = k.layers.Conv2D(64, 1, use_bias=False, name="expand")(x)
    x = activate(k, norm(x), activation, "expand_act")
    x = k.layers.DepthwiseConv2D(3, padding="same", use_bias=False, name="depthwise")(x)
    x = activate(k, norm(x), activation, "depthwise_act")
    gate = k.layers.Dense(8)(k.layers.GlobalAveragePooling2D()(x))
    gate = hard_sigmoid(k, k.layers.Dense(64, name="excite")(k.layers.ReLU()(gate)), "gate")
    x = k.layers.Multiply()([x, k.layers.Reshape((1, 1, 64))(gate)])
    x = norm(k.layers.Conv2D(16, 1, use_bias=False, name="project")(x))
    x = k.layers.MaxPooling2D(2)(k.layers.Add()([shortcut, x]))
    left = k.layers.ReLU()(k.layers.Conv2D(16, 1, name="left")(x))
    right = k.layers.ReLU()(k.layers.Conv2D(16, 3, padding="same", name="right")(x))
    x = k.layers.GlobalAveragePooling2D()(k.layers.Concatenate()([left, right]))
    x = k.layers.Dropout(dropout)(x)
    return k.Model(image, k.layers.Dense(classes, name="logits")(x), name="small")


def build_shallow(
    k: Any,
    *,
    image_size: int,
    classes: int,
    width: float,
    activation: str,
    dropout: float,
    batch_norm_momentum: float,
) -> Any:
    """Two kernels that are pruned and clustered, and two that are not; `tests.compress.network:build_shallow`."""

    def norm(x: Any) -> Any:
        return k.layers.BatchNormalization(momentum=batch_norm_momentum)(x)

    image = k.Input((image_size, image_size, 3))
    x = k.layers.Conv2D(16, 3, strides=4, padding="same", use_bias=False, name="stem")(normalise(k, image))
    x = k.layers.Conv2D(64, 1, use_bias=False, name="expand")(activate(k, norm(x), activation, "stem_act"))
    x = k.layers.Conv2D(16, 3, padding="same", name="project")(activate(k, norm(x), activation, "expand_act"))
    x = k.layers.GlobalAveragePooling2D()(k.layers.ReLU()(x))
    return k.Model(image, k.layers.Dense(classes, name="logits")(k.layers.Dropout(dropout)(x)), name="shallow")


def build_for_keras_alone(k: Any, **arguments: Any) -> Any:
    """A source that has another meaning in each of the two libraries."""
    image = k.Input((arguments["image_size"], arguments["image_size"], 3))
    x = k.layers.Dense(arguments["classes"])(k.layers.GlobalAveragePooling2D()(normalise(k, image)))
    return k.Model(image, k.layers.Activation("hard_sigmoid")(x))
