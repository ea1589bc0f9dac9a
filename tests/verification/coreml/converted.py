"""Core ML files made with coremltools' own options, and changed by hand."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import coremltools as ct

from tfkd.writers import Card
from tfkd.writers.graph import frozen

PROTOBUF = Path("Data", "com.apple.CoreML", "model.mlmodel")
WEIGHTS = Path("Data", "com.apple.CoreML", "weights", "weight.bin")


def convert(model: Any, card: Card, image: Any = None, **options: Any) -> Any:
    """Converts a Keras classifier of raw RGB; returns coremltools' model.

    Args:
        model: float32 [None, S, S, 3] to logits [None, classes].
        card: names the classes.
        image: arguments of ct.ImageType.
        options: more arguments of ct.convert.
    """
    with frozen(model, card) as graph:
        shape = (1, *graph.signature.single.shape)
        return ct.convert(
            [graph.function],
            source="tensorflow",
            inputs=[ct.ImageType(name="image", shape=shape, **(image or {}))],
            classifier_config=ct.ClassifierConfig(list(card.classes)),
            skip_model_load=True,
            **options,
        )


def change(source: Path, target: Path, damage: Callable[[Any], None]) -> Path:
    """Writes a copy of a file or a package whose protobuf is changed."""
    specification = ct.utils.load_spec(str(source))
    damage(specification)
    if source.is_dir():
        for path in source.rglob("*"):
            copy = target / path.relative_to(source)
            copy.parent.mkdir(parents=True, exist_ok=True)
            if path.is_file():
                copy.write_bytes(path.read_bytes())
        (target / PROTOBUF).write_bytes(specification.SerializeToString())
    else:
        target.write_bytes(specification.SerializeToString())
    return target
