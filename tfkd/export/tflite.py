"""Writes TFLite files: fp32, fp16, dynamic-range and int8, each with metadata and the class labels inside."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from tfkd import files
from tfkd.errors import RequestError, nearest
from tfkd.export import Card, ExportedFile, metadata
from tfkd.export.graph import INPUT, Graph, first_line, frozen
from tfkd.quiet import native_logs_silenced


def write_tflite(model: Any, precision: str, path: Path, card: Card, calibration: np.ndarray) -> None:
    """Writes one TFLite file of a Keras classifier; see `write` for many files of the same one.

    Args:
        model: keras.Model, float32 [None, S, S, 3] raw RGB 0..255 to logits [None, classes].
        precision: fp32, fp16, dynamic or int8.
        path: of the file.
        card: what is written into the file.
        calibration: uint8 [n, S, S, 3]; read for int8 only.

    Raises:
        RequestError: the converter cannot write the model in this precision.
    """
    with frozen(model, card) as graph:
        write(graph, ExportedFile(path.name, "tflite", precision), path, card, calibration)


def write(graph: Graph, file: ExportedFile, path: Path, card: Card, calibration: np.ndarray) -> None:
    """Writes one TFLite file with the signature serving_default(image) -> probabilities, batch 1.

    int8 files take and give uint8: pixels as they are (scale 1, zero point 0), probabilities in 1/256.

    Raises:
        RequestError: the converter cannot write the graph in this precision.
    """
    converter = tf.lite.TFLiteConverter.from_saved_model(str(graph.saved_model))
    _set_precision(converter, file.precision, graph.size, calibration)
    with native_logs_silenced():
        try:
            content = converter.convert()
        except Exception as error:
            raise RequestError(
                f"{path.name}: TensorFlow cannot convert the model to {file.precision}: {first_line(error)}"
            ) from error
    files.write_bytes(path, metadata.pack(content, card, graph.size))


def _set_precision(converter: Any, precision: str, size: int, calibration: np.ndarray) -> None:
    """Follows the TensorFlow guide on post-training quantization."""
    match precision:
        case "fp32":
            return
        case "dynamic":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        case "fp16":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.target_spec.supported_types = [tf.float16]
        case "int8":
            images = _full_range(calibration, size)
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.representative_dataset = lambda: _samples(images)
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
            converter.inference_input_type = tf.uint8
            converter.inference_output_type = tf.uint8
        case _:
            known = ["fp32", "fp16", "dynamic", "int8"]
            raise RequestError(f"There is no TFLite precision {precision!r}.{nearest(precision, known)}")


def _full_range(calibration: np.ndarray, size: int) -> np.ndarray:
    """Returns the images with one black and one white pixel: the input's range is 0..255, its scale exactly 1."""
    if calibration.dtype != np.uint8 or calibration.ndim != 4 or calibration.shape[1:] != (size, size, 3):
        raise RequestError(
            f"int8 needs calibration images uint8 [n, {size}, {size}, 3], not {calibration.dtype} {calibration.shape}."
        )
    if not len(calibration):
        raise RequestError("int8 needs at least one calibration image; set export.calibration_images to 1 or more.")
    images = calibration.copy()
    images[0, 0, 0] = 0
    images[0, 0, 1] = 255
    return images


def _samples(images: np.ndarray) -> Iterator[dict[str, np.ndarray]]:
    for image in images:
        yield {INPUT: image[np.newaxis].astype(np.float32)}
