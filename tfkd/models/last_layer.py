"""The last layer of a classifier, which gives its logits."""

import keras
import numpy as np

from tfkd.errors import RequestError
from tfkd.kernels.keras_private import maker


def divide_logits(model: keras.Model, divisor: float) -> None:
    """Divides the weights and the bias of the layer that gives a classifier's logits, so that no operator is added.

    Args:
        model: input to logits [None, classes]; changed in place.
        divisor: positive.

    Raises:
        RequestError: the logits are not those of a Dense layer without an activation.
    """
    layer = maker(model.outputs[0])
    if not isinstance(layer, keras.layers.Dense) or layer.activation is not keras.activations.linear:
        raise RequestError(
            f"export.temperature changes the weights of the last layer, and that of {model.name!r} is {layer.name!r}, "
            "not a Dense layer without an activation; end the student in one, or set export.temperature=null."
        )
    layer.set_weights([np.asarray(weight) / divisor for weight in layer.get_weights()])
