"""Named teachers: a family's backbone under a head."""

import importlib
from pathlib import Path
from typing import Any

import keras

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
