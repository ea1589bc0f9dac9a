"""Images in memory."""

import numpy as np
import pytest
from PIL import Image

from tfkd.inputs.image.arrays import fitted
from tfkd.inputs.image.tensors import signature

SIGNATURE = signature(8)
RGB = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "RGBA", "CMYK", "1"])
def test_an_image_of_pillow_is_seen_as_rgb(mode: str) -> None:
    image = Image.fromarray(RGB).convert(mode)
    for given in (image, [image], [np.asarray(image.convert("RGB"))]):
        (found,) = fitted(given, SIGNATURE)
        assert np.array_equal(found, np.asarray(image.convert("RGB")))


def test_an_image_of_pillow_is_turned_upright() -> None:
    image = Image.fromarray(RGB)
    image.getexif()[0x0112] = 3
    assert np.array_equal(fitted(image, SIGNATURE)[0], RGB[::-1, ::-1])
