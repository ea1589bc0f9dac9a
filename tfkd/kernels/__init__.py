"""Faster TensorFlow operations, and all access to private names of Keras."""
