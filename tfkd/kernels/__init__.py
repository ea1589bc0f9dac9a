"""Faster TensorFlow operations, and every touch of names that Keras keeps private."""
