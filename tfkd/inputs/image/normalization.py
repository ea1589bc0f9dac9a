"""What a classifier wants done to raw pixels before it sees them: a word such as `torch`, or means and deviations."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfkd.errors import RequestError

BGR = "bgr"
_UNIT = 255.0  # pixels in a unit of 1
_SMALLEST_UNIT_DEVIATION = 0.01  # in units of 1; a number below is 1/255, a factor and no deviation
_FORMS = (
    "Give none, tf (-1 to 1), torch (ImageNet's mean and deviation), caffe (BGR minus ImageNet's means), or numbers: "
    "mean,std or three means and three deviations, in pixels from 0 to 255 (0,255 for 0 to 1); bgr,... for the order "
    "blue, green, red."
)
AS_THEY_ARE = "pixels as they are"
ADVICE = "say what it wants of pixels from 0 to 255: --normalization none, tf, torch, caffe or mean,std."

_TRIED = (
    *("none", "0,255", "tf", "torch", "caffe", "123.68,116.779,103.939,1,1,1"),
    *("bgr", "bgr,0,255", "bgr,tf", "bgr,torch"),
)
BYTES = {"uint8": 0, "int8": 128}  # how much lower a pixel is stored
_PLAIN = ((0.0, 1.0), (-1.0, 1.0), (0.0, 255.0), (-128.0, 127.0))  # what pixels from 0 to 255 are scaled to
_NEAR = 0.02  # of the range: 1/128 for 1/127.5, and limits that a calibration found


@dataclass(frozen=True)
class Normalization:
    """(pixel - mean) / std of pixels from 0 to 255, for all channels or for each of them.

    Attributes:
        mean: one number or three, in pixels, in the order of the channels that the model takes.
        std: as many deviations, in pixels, above 0.
        bgr: the model takes blue, green, red.
        text: the words that this was read from.
        rescaled: the words held numbers in units of 1, which are 255 times as many pixels here.
    """

    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    bgr: bool = False
    text: str = "none"
    rescaled: bool = False

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Returns images, [..., 3] raw RGB 0..255, as the model was trained on them, float32."""
        pixels = np.asarray(images, np.float32)
        pixels = pixels[..., ::-1] if self.bgr else pixels
        return (pixels - np.array(self.mean, np.float32)) / np.array(self.std, np.float32)

    def undone(self, pixels: np.ndarray) -> np.ndarray:
        """Returns float32 images, RGB and not only in 0..255, that this normalization turns into the given pixels."""
        images = pixels * np.array(self.std, np.float32) + np.array(self.mean, np.float32)
        return np.ascontiguousarray(images[..., ::-1] if self.bgr else images, np.float32)

    @property
    def rarity(self) -> int:
        """How seldom models want it, 0 for what is common; of models that take BGR most are Caffe's."""
        if max(self.std) > 1 and not self.bgr:
            return 0
        if self.same_as(WORDS["caffe"]):
            return 1
        return 2 if max(self.std) > 1 else 3

    def __str__(self) -> str:
        order = "BGR" if self.bgr else "RGB"
        if self.is_identity:
            return f"{order} from 0 to 255"
        numbers = f"({order} from 0 to 255 - {_listed(self.mean)}) / {_listed(self.std)}"
        return f"{numbers}, read from numbers in units of 1" if self.rescaled else numbers

    @property
    def is_identity(self) -> bool:
        """Whether the numbers leave every pixel as it is; the order of the channels may still be another."""
        return set(self.mean) == {0.0} and set(self.std) == {1.0}

    @property
    def changes(self) -> bool:
        """Whether it does anything to an RGB image from 0 to 255."""
        return self.bgr or not self.is_identity

    def same_as(self, other: "Normalization") -> bool:
        """Whether both give the same pixels, however they were written."""
        each = [np.broadcast_to(numbers, 3) for numbers in (self.mean, other.mean, self.std, other.std)]
        return self.bgr == other.bgr and np.allclose(each[0], each[1]) and np.allclose(each[2], each[3])

    def apply(self, images: Any) -> Any:
        """Returns a backend tensor of images, float [b, h, w, 3] raw RGB 0..255, as the model was trained on them.

        One number for all channels is a multiplication, which an int8 file absorbs into the quantization of its input.
        Anything else is one 1 x 1 convolution: it stays inside of every accelerator's partition, and is faster than a
        reordering of channels.
        """
        from keras import ops

        if not self.changes:
            return images
        scale = 1 / np.asarray(self.std, np.float32)
        offset = -np.asarray(self.mean, np.float32) * scale
        if not self.bgr and len(self.mean) == 1:
            return images * ops.convert_to_tensor(scale[0]) + ops.convert_to_tensor(offset[0])
        kernel = np.eye(3, dtype=np.float32)[:: -1 if self.bgr else 1] * np.broadcast_to(scale, 3)
        mixed = ops.conv(images, ops.convert_to_tensor(kernel[np.newaxis, np.newaxis]), data_format="channels_last")
        return mixed + ops.convert_to_tensor(np.broadcast_to(offset, 3))


NONE = Normalization()
_IMAGENET_MEAN, _IMAGENET_STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
WORDS = {
    "none": NONE,
    "tf": Normalization((127.5,), (127.5,), text="tf"),
    "torch": Normalization(_IMAGENET_MEAN, _IMAGENET_STD, text="torch"),
    "caffe": Normalization((103.939, 116.779, 123.68), (1.0, 1.0, 1.0), bgr=True, text="caffe"),
}


def parse(text: str, where: str = "--normalization") -> Normalization:
    """Reads what a model wants of its pixels.

    Numbers are in pixels from 0 to 255. Where every mean is at most 1 and every deviation too, they are in units of 1,
    as ImageNet's 0.485,0.456,0.406,0.229,0.224,0.225 are in most tutorials, and are multiplied by 255.

    Args:
        text: none, tf, torch, caffe, `mean,std`, three means and three deviations, each of these behind `bgr,`, or
            `bgr` alone. Numbers stand in the order of the channels that the model takes.
        where: the flag or field that it comes from, for messages.

    Raises:
        RequestError: it is none of these, a deviation is not above 0, or pixels and units of 1 are mixed.
    """
    first, _, rest = text.strip().lower().partition(",")
    bgr = first.strip() == BGR
    named = (rest.strip() if bgr else text.strip().lower()) or ("none" if bgr else "")
    if named in WORDS:
        word = WORDS[named]
        return Normalization(word.mean, word.std, word.bgr or bgr, text.strip()) if bgr else word
    try:
        numbers = [float(part) for part in named.split(",")]
    except ValueError:
        numbers = []
    half = len(numbers) // 2
    mean, std = tuple(numbers[:half]), tuple(numbers[half:])
    if len(numbers) not in (2, 6) or not all(map(math.isfinite, numbers)) or min(std) <= 0:
        raise RequestError(f"{where} {text!r} is not a normalization. {_FORMS}")
    rescaled = _in_units_of_one(mean, std, f"{where} {text!r}")
    if rescaled:
        mean, std = tuple(_UNIT * number for number in mean), tuple(_UNIT * number for number in std)
    return Normalization(mean, std, bgr, text.strip(), rescaled)


def others(asked: Normalization) -> list[Normalization]:
    """Returns what else a model may want done to its pixels, without what was asked for."""
    swapped = "" if asked.bgr or asked.is_identity else f"bgr,{asked.text}"
    found = [asked]
    for words in (*_TRIED, *([swapped] if swapped else [])):
        candidate = parse(words)
        if not any(candidate.same_as(each) for each in found):
            found.append(candidate)
    return found[1:]


def of_bytes(dtype: str, scale: float, zero_point: int) -> Normalization | None:
    """Returns what makes pixels as they are into the values that bytes stand for; None where these are no image's.

    Args:
        dtype: uint8 or int8.
        scale: of the quantization.
        zero_point: of the quantization.
    """
    mean = zero_point + BYTES[dtype]
    low, high = -mean * scale, (255 - mean) * scale
    if any(abs(low - a) + abs(high - b) <= 2 * _NEAR * (b - a) for a, b in _PLAIN):
        return Normalization((float(mean),), (1 / scale,))
    return None


def _in_units_of_one(mean: Sequence[float], std: Sequence[float], asked: str) -> bool:
    small = [abs(number) <= 1 for number in mean]
    if set(mean) == {0.0} and set(std) == {1.0}:
        raise RequestError(f"{asked} can mean two things: write none for pixels from 0 to 255, or 0,255 for 0 to 1.")
    if all(small) and max(std) <= 1:
        if min(std) < _SMALLEST_UNIT_DEVIATION:
            raise RequestError(
                f"{asked}: {min(std):g} is no deviation, by which pixels are divided; write 0,255 to scale by 1/255."
            )
        return True
    if min(std) < 1 or any(0 < abs(number) <= 1 for number in mean):
        raise RequestError(
            f"{asked} mixes pixels from 0 to 255 with units of 1; write all numbers in pixels: multiply those in units "
            "of 1 by 255."
        )
    return False


def _listed(numbers: Sequence[float]) -> str:
    shown = numbers[:1] if len(set(numbers)) == 1 else numbers
    return ",".join(f"{number:g}" for number in shown)
