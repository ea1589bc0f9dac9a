"""Students made smaller after their training: pruned, clustered, and trained with int8 rounding in place.

Each kind is a module with `prepare(twin, block, steps, before) -> Prepared`; `tfkd.compress.student` runs them in the
recipe's order. They work on the student's twin in tf_keras, on TensorFlow's model optimization toolkit, and train on
the soft-label store. Adding a kind touches its own file, its test, its block of the recipe and one line below.
"""

QUANTIZED = "quantized"  # the folder of a SavedModel that "qat" leaves

KINDS = {
    "prune": "tfkd.compress.prune",
    "cluster": "tfkd.compress.cluster",
    "qat": "tfkd.compress.qat",
}
