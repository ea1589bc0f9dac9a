"""TensorFlow Lite's converter as its guide on post-training quantization uses it, for comparison with tfkd's."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf


def quantized(converter: Any, images: np.ndarray) -> bytes:
    """Returns the int8 file of a `tf.lite.TFLiteConverter`, calibrated on images uint8 [n, size, size, 3]."""

    def samples() -> Iterator[list[np.ndarray]]:
        for image in images:
            yield [image[np.newaxis].astype(np.float32)]

    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = samples
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.uint8
    return converter.convert()
