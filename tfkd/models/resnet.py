"""ResNet teachers of keras.applications (He et al. 2015, arXiv:1512.03385; v2: 2016, arXiv:1603.05027)."""

import keras

from tfkd.models.applications import application_body
from tfkd.models.backbone import Backbone

_CAFFE_MEANS_RGB = (123.68, 116.779, 103.939)


def build(variant: str, image_size: int | None, weights: str, classes: int) -> Backbone:
    """Builds a ResNet body.

    v1 was trained on BGR minus Caffe's means. The means are a layer; the channel order is taken over by the first
    convolution, exactly. v2 takes x/127.5 - 1.

    Args:
        variant: name of the function in keras.applications: "ResNet50", "ResNet50V2" and so on.
        image_size: side of the input in pixels; None takes 224.
        weights: "none", "imagenet" (downloaded by Keras) or a `.h5` file in keras.applications' layout.
        classes: number of classes; a classifier for that many comes along with the weights.

    Raises:
        RequestError: the weights cannot be had or don't fit.
    """
    size = image_size or 224
    body, classifier = application_body(variant, size, weights, classes)
    if variant.endswith("V2"):
        return Backbone(size, [keras.layers.Rescaling(1.0 / 127.5, offset=-1.0, name="rescale")], body, classifier)
    if weights != "none":
        first = body.get_layer("conv1_conv")
        kernel, bias = first.get_weights()
        first.set_weights([kernel[:, :, ::-1, :], bias])
    means = keras.layers.Normalization(mean=_CAFFE_MEANS_RGB, variance=(1.0, 1.0, 1.0), name="subtract_means")
    return Backbone(size, [means], body, classifier)
