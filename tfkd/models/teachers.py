"""Teachers put together: a family's backbone under a head, or a model of the user's own without its softmax."""

import importlib
from pathlib import Path
from typing import Any

import keras

from tfkd.errors import RequestError
from tfkd.models.backbone import Backbone
from tfkd.models.weights import load_whole
from tfkd.recipe import Teacher


def assemble(module: str, variant: str, teacher: Teacher, classes: int) -> Any:
    """Builds a named teacher: normalisation, "backbone", "head" (see tfkd.models.build_teacher).

    Weights of a whole teacher (`.weights.h5`, `.keras`) are loaded into all of it, others into the backbone.
    """
    whole = teacher.weights.endswith((".weights.h5", ".keras"))
    build = importlib.import_module(module).build
    parts: Backbone = build(variant, teacher.image_size, "none" if whole else teacher.weights, classes)
    image = keras.Input((parts.image_size, parts.image_size, 3), name="image")
    x = image
    for layer in parts.normalisation:
        x = layer(x)
    head = keras.layers.Dense(classes, name="head")
    model = keras.Model(image, head(parts.body(x)), name=teacher.model)
    if parts.classifier is not None:
        head.set_weights(parts.classifier)
    if whole:
        load_whole(model, Path(teacher.weights))
    return model


def with_logits(model: Any, name: str) -> Any:
    """Returns the model without the softmax or sigmoid at its end.

    Raises:
        RequestError: it isn't a keras.Model of layers with a known last layer.
    """
    if not isinstance(model, keras.Model) or not getattr(model, "outputs", None):
        raise RequestError(
            f"{name} is not a functional or sequential Keras model with a fixed input; rebuild it as one."
        )
    last = last_layer(model)
    if isinstance(last, keras.layers.Softmax):
        if model.layers[-1] is not last:
            raise RequestError(f"{name} ends in a Softmax layer inside a nested model; end it in logits instead.")
        return keras.Model(model.inputs, last.input, name=model.name)
    if getattr(last, "activation", None) in (keras.activations.softmax, keras.activations.sigmoid):
        last.activation = keras.activations.linear
    return model


def last_layer(model: Any) -> Any:
    """Returns the layer that gives a model's output, also where that is the output of a nested model."""
    last = model
    while isinstance(last, keras.Model):
        last = last.outputs[0]._keras_history.operation
    return last
