"""Compression of trained students: pruning, clustering, and training with int8 rounding.

Each kind is a module with `prepare(copy, block, steps, before) -> Prepared`; `tfkd.compress.student` runs them in the
recipe's order. They use a tf_keras copy of the student and TensorFlow's model optimization toolkit, and train on
the soft-label store. Adding a kind touches its own file, its test, its block of the recipe and one line below.
"""

QUANTIZED = "quantized"  # folder of the SavedModel that "qat" writes

KINDS = {
    "prune": "tfkd.compress.prune",
    "cluster": "tfkd.compress.cluster",
    "qat": "tfkd.compress.qat",
}
