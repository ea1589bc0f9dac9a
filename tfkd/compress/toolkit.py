"""TensorFlow's model optimization toolkit, imported without changing the environment of this process.

It requires the old Keras through an environment variable as soon as it is imported, which would give `tf.keras` another
meaning in this process and in those that it starts.
"""

import os

_before = os.environ.get("TF_USE_LEGACY_KERAS")

import tensorflow_model_optimization as tfmot  # noqa: E402

if _before is None:
    os.environ.pop("TF_USE_LEGACY_KERAS", None)

__all__ = ["tfmot"]
