"""The normalization of raw pixels that a classifier expects: a word such as `torch`, or means and deviations."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfkd.errors import RequestError

BGR = "bgr"
_UNIT = 255.0  # the pixel value that a scale from 0 to 1 maps to 1
_SMALLEST_UNIT_DEVIATION = 0.01  # on a scale from 0 to 1; a smaller number is a factor such as 1/255, not a deviation
_FORMS = (
    "Give none, tf (-1 to 1), torch (ImageNet's mean and deviation), caffe (BGR minus ImageNet's means), or numbers: "
    "mean,std or three means and three deviations, in pixels from 0 to 255 (0,255 for 0 to 1); bgr,... for the order "
    "blue, green, red."
)
AS_THEY_ARE = "pixels as they are"
ADVICE = "set how it normalizes pixels from 0 to 255: --normalization none, tf, torch, caffe or mean,std."

_CANDIDATES = (
    *("none", "0,255", "tf", "torch", "caffe", "123.68,116.779,103.939,1,1,1"),
    *("bgr", "bgr,0,255", "bgr,tf", "bgr,torch"),
)
BYTES = {"uint8": 0, "int8": 128}  # what is subtracted from a pixel before it is stored
_PLAIN = ((0.0, 1.0), (-1.0, 1.0), (0.0, 255.0), (-128.0, 127.0))  # what pixels from 0 to 255 are scaled to
_NEAR = 0.02  # tolerance as a fraction of the range: files use 1/128 for 1/127.5, and limits found by calibration


@dataclass(frozen=True)
class ImageNormalization:
    """The normalization (pixel - mean) / std of pixels from 0 to 255.

    Attributes:
        mean: one number for all channels or three, in pixel values, in the model's channel order.
        std: as many standard deviations, in pixel values, above 0.
        bgr: the model's channel order is blue, green, red.
        text: the text that was parsed.
        rescaled: the numbers in the text were on a scale from 0 to 1; they have been multiplied by 255.
    """

    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    bgr: bool = False
    text: str = "none"
    rescaled: bool = False

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Returns normalized images, float32, of images [..., 3] raw RGB 0..255."""
        pixels = np.asarray(images, np.float32)
        pixels = pixels[..., ::-1] if self.bgr else pixels
        return (pixels - np.array(self.mean, np.float32)) / np.array(self.std, np.float32)

    def undone(self, pixels: np.ndarray) -> np.ndarray:
        """Returns the images, float32 RGB, perhaps outside of 0..255, whose normalization gives these pixels."""
        images = pixels * np.array(self.std, np.float32) + np.array(self.mean, np.float32)
        return np.ascontiguousarray(images[..., ::-1] if self.bgr else images, np.float32)

    @property
    def rarity(self) -> int:
        """How unusual it is, 0 for the common ones; most models with BGR inputs come from Caffe."""
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
        return f"{numbers}, converted from numbers for pixels from 0 to 1" if self.rescaled else numbers

    @property
    def is_identity(self) -> bool:
        """Whether the numbers change no pixel value; the channel order may still differ."""
        return set(self.mean) == {0.0} and set(self.std) == {1.0}

    @property
    def changes(self) -> bool:
        """Whether it changes an RGB image from 0 to 255."""
        return self.bgr or not self.is_identity

    def same_as(self, other: "ImageNormalization") -> bool:
        """Whether both compute the same pixels, even if their texts differ."""
        each = [np.broadcast_to(numbers, 3) for numbers in (self.mean, other.mean, self.std, other.std)]
        return self.bgr == other.bgr and np.allclose(each[0], each[1]) and np.allclose(each[2], each[3])

    def apply(self, images: Any) -> Any:
        """Returns the normalized images as a backend tensor, of images float [b, h, w, 3] raw RGB 0..255.

        One number for all channels is a multiplication, which an int8 file absorbs into the quantization of its input.
        Anything else is one 1 x 1 convolution, which every accelerator runs inside of its partition. It is faster than
        reordering channels.
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


NONE = ImageNormalization()
_IMAGENET_MEAN, _IMAGENET_STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
WORDS = {
    "none": NONE,
    "tf": ImageNormalization((127.5,), (127.5,), text="tf"),
    "torch": ImageNormalization(_IMAGENET_MEAN, _IMAGENET_STD, text="torch"),
    "caffe": ImageNormalization((103.939, 116.779, 123.68), (1.0, 1.0, 1.0), bgr=True, text="caffe"),
}


def parse(text: str, where: str = "--normalization") -> ImageNormalization:
    """Parses a normalization.

    Numbers are for pixels from 0 to 255. If every mean and every deviation is at most 1, as in most tutorials
    (ImageNet's 0.485,0.456,0.406,0.229,0.224,0.225), they are for pixels from 0 to 1 and are multiplied by 255.

    Args:
        text: none, tf, torch, caffe, `mean,std`, or three means and three deviations, optionally after `bgr,`; or `bgr`
            alone. Numbers are in the channel order of the model.
        where: the flag or field that the text comes from, for messages.

    Raises:
        RequestError: it is none of these, a deviation is not above 0, or some numbers are for pixels from 0 to 255 and
            others for pixels from 0 to 1.
    """
    first, _, rest = text.strip().lower().partition(",")
    bgr = first.strip() == BGR
    named = (rest.strip() if bgr else text.strip().lower()) or ("none" if bgr else "")
    if named in WORDS:
        word = WORDS[named]
        return ImageNormalization(word.mean, word.std, word.bgr or bgr, text.strip()) if bgr else word
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
    return ImageNormalization(mean, std, bgr, text.strip(), rescaled)


def others(stated: ImageNormalization) -> list[ImageNormalization]:
    """Returns the normalizations that a model may expect instead of the stated one."""
    swapped = "" if stated.bgr or stated.is_identity else f"bgr,{stated.text}"
    distinct = [stated]
    for words in (*_CANDIDATES, *([swapped] if swapped else [])):
        candidate = parse(words)
        if not any(candidate.same_as(each) for each in distinct):
            distinct.append(candidate)
    return distinct[1:]


def of_bytes(dtype: str, scale: float, zero_point: int) -> ImageNormalization | None:
    """Returns the normalization that a quantized input applies to raw pixels, or None if its range fits no image.

    Args:
        dtype: uint8 or int8.
        scale: of the quantization.
        zero_point: of the quantization.
    """
    mean = zero_point + BYTES[dtype]
    low, high = -mean * scale, (255 - mean) * scale
    if any(abs(low - a) + abs(high - b) <= 2 * _NEAR * (b - a) for a, b in _PLAIN):
        return ImageNormalization((float(mean),), (1 / scale,))
    return None


def _in_units_of_one(mean: Sequence[float], std: Sequence[float], subject: str) -> bool:
    """Returns whether the numbers are for pixels from 0 to 1; raises a RequestError, which begins with `subject`."""
    small = [abs(number) <= 1 for number in mean]
    if set(mean) == {0.0} and set(std) == {1.0}:
        raise RequestError(
            f"{subject} is ambiguous: write none for pixels from 0 to 255, or 0,255 for pixels from 0 to 1."
        )
    if all(small) and max(std) <= 1:
        if min(std) < _SMALLEST_UNIT_DEVIATION:
            raise RequestError(
                f"{subject}: pixels are divided by the deviation, and {min(std):g} is too small for one; "
                "write 0,255 to scale by 1/255."
            )
        return True
    if min(std) < 1 or any(0 < abs(number) <= 1 for number in mean):
        raise RequestError(
            f"{subject} mixes numbers for pixels from 0 to 255 with numbers for pixels from 0 to 1; "
            "multiply the latter by 255."
        )
    return False


def _listed(numbers: Sequence[float]) -> str:
    shown = numbers[:1] if len(set(numbers)) == 1 else numbers
    return ",".join(f"{number:g}" for number in shown)
