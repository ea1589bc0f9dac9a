"""What the evaluator cannot do with a file that may be right, as opposed to a file that is damaged."""


class UnsupportedError(ValueError):
    """An operator needs something that no kernel computes."""


class BatchError(ValueError):
    """An operator mixes the images of a batch; the model can be evaluated for one image at a time."""
