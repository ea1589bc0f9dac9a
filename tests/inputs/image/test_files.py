import base64
import io

import numpy as np
import pytest
from PIL import Image

from tfkd.inputs.image.files import decode_golden, encode_golden, encode_shown, shown_type
from tfkd.inputs.image.tensors import signature
from tfkd.inputs.kind import ExampleError


def noise(side: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)


def test_a_golden_image_comes_back_as_it_was() -> None:
    np.testing.assert_array_equal(decode_golden(encode_golden(noise(9), signature(9)), signature(9)), noise(9))


def test_a_golden_image_of_another_size_is_refused() -> None:
    with pytest.raises(ExampleError, match=r"is \(9, 9\) RGB, not \(8, 8\) RGB"):
        decode_golden(encode_golden(noise(9), signature(9)), signature(8))


@pytest.mark.parametrize("encoded", [b"", b"no picture", encode_golden(noise(40), signature(40))[:-200]])
def test_a_damaged_golden_image_is_refused(encoded: bytes) -> None:
    with pytest.raises(ExampleError, match="no PNG image, or a damaged one"):
        decode_golden(encoded, signature(40))


def test_a_shown_image_survives_encoding() -> None:
    decoded = np.asarray(Image.open(io.BytesIO(base64.b64decode(encode_shown(noise(9), signature(9))))))
    np.testing.assert_array_equal(decoded, noise(9))
    assert shown_type(encode_shown(noise(64), signature(64))) == "image/png"


def test_a_large_photo_is_shown_as_a_jpeg_that_looks_the_same() -> None:
    ramp = np.linspace(0, 255, 224).astype(np.uint8)
    image = np.stack(np.broadcast_arrays(ramp[:, None], ramp[None], 128), axis=2).astype(np.uint8)
    text = encode_shown(image, signature(9))
    decoded = np.asarray(Image.open(io.BytesIO(base64.b64decode(text))), int)
    assert shown_type(text) == "image/jpeg" and decoded.shape == (224, 224, 3)
    assert abs(decoded - image).mean() < 2
