"""What an ML program computes in float16.

Core ML stores the intermediate values of such a program as float16; with what precision a processor sums inside one
operation is its own affair. Every operation here computes in float32 from float16 values, and its result is rounded to
float16 once. TensorFlow holds the rounded values as float32.
"""

from typing import Any

import numpy as np
import tensorflow as tf

from tfkd.verification.coreml.layout import pointwise


def rounded(value: Any) -> Any:
    """Rounds float32 values to the nearest float16, ties to even; what is too large becomes infinite."""
    if isinstance(value, np.ndarray):
        with np.errstate(over="ignore"):
            return value.astype(np.float16).astype(np.float32)
    return pointwise(lambda x: tf.cast(tf.cast(x, tf.float16), tf.float32), value)
