"""Bodies from keras.applications, with weights downloaded by Keras or read from a file."""

from pathlib import Path
from typing import Any

import keras
import numpy as np

from tfkd.errors import RequestError
from tfkd.models.weights import application, read_apart, read_h5


def application_body(name: str, size: int, weights: str, classes: int) -> tuple[Any, list[np.ndarray] | None]:
    """Returns a model of keras.applications up to its pooled features, and the classifier that fits `classes`.

    Args:
        name: name of the function in keras.applications.
        size: side of the square input, pixels.
        weights: "none", "imagenet", or a `.h5` file in keras.applications' layout, with or without the classifier.
        classes: number of classes.

    Raises:
        RequestError: the weights are not available or don't fit.
    """
    with_top = weights == "imagenet" and classes == 1000
    model = application(
        name,
        weights="imagenet" if weights == "imagenet" else None,
        input_shape=(size, size, 3),
        include_top=with_top,
        pooling="avg",
        **({"classifier_activation": None} if with_top else {}),
    )
    pooled = model.get_layer("avg_pool").output
    body = keras.Model(model.inputs, pooled, name="backbone")
    if with_top:
        return body, model.layers[-1].get_weights()
    if weights in ("none", "imagenet"):
        return body, None
    classifier = _load_by_position(body, Path(weights))
    return body, classifier if classifier is not None and len(classifier[1]) == classes else None


def _load_by_position(body: Any, path: Path) -> list[np.ndarray] | None:
    """Sets the body's weights from a `.h5` file and returns the remaining classifier, if there is one.

    By position, like Keras, because some layers of keras.applications get new names in every session.
    """
    groups = list(read_apart(read_h5, path, str(path)).values())
    layers = [layer for layer in body.layers if layer.weights]
    shapes = [[tuple(weight.shape) for weight in layer.weights] for layer in layers]
    if [[value.shape for value in group] for group in groups[: len(layers)]] != shapes or len(groups) > len(layers) + 1:
        raise RequestError(f"{path} doesn't hold the weights of this teacher; check which member of the family it is.")
    for layer, group in zip(layers, groups, strict=False):
        layer.set_weights(group)
        if isinstance(layer, keras.layers.Normalization):
            layer.finalize_state()  # the normalised kernel is derived from its weights
    return groups[-1] if len(groups) > len(layers) else None
