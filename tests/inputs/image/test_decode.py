import io

import numpy as np
import pytest
from PIL import Image

from tests.data.photos import encoded, picture
from tfkd.inputs.image.decode import ExampleError, decode


def corners(image: Image.Image) -> list[int]:
    """Red at top left, top right, bottom left, bottom right."""
    return [image.getpixel((x, y))[0] for y in (2, image.height - 3) for x in (2, image.width - 3)]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_orientation_comes_out_upright(orientation: int) -> None:
    upright = np.zeros((40, 60, 3), np.uint8)
    upright[:20, :30], upright[:20, 30:], upright[20:, :30], upright[20:, 30:] = 240, 160, 80, 0
    turns = {  # how a camera that writes this tag stores the upright picture (TIFF 6.0, tag 274)
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.transpose(1, 0, 2),
        6: lambda a: np.rot90(a, 1),
        7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
        8: lambda a: np.rot90(a, -1),
    }
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(np.ascontiguousarray(turns[orientation](upright)))
    for options in ({"kind": "JPEG", "quality": 95}, {"kind": "PNG"}, {"kind": "TIFF"}):
        image = decode(encoded(stored, exif=exif, **options), 1024)
        assert image.size == (60, 40)
        np.testing.assert_allclose(corners(image), [240, 160, 80, 0], atol=6)
        small = decode(encoded(stored, exif=exif, **options), 30)  # the tag survives the shrinking
        assert small.size == (30, 20)
        np.testing.assert_allclose(corners(small), [240, 160, 80, 0], atol=6)


def test_transparent_images_are_composed_over_white() -> None:
    pixels = np.zeros((8, 8, 4), np.uint8)
    pixels[:4] = (200, 0, 0, 255)
    pixels[4:] = (200, 0, 0, 0)
    expected = np.full((8, 8, 3), 255, np.uint8)
    expected[:4] = (200, 0, 0)
    rgba = Image.fromarray(pixels)
    np.testing.assert_array_equal(decode(encoded(rgba, "PNG"), 1024), expected)
    palette = rgba.convert("RGB").quantize(4)
    palette.putpixel((0, 7), 1)
    transparent = decode(encoded(palette, "PNG", transparency=palette.getpixel((0, 0))), 1024)
    assert transparent.getpixel((0, 0)) == (255, 255, 255)
    grey_alpha = Image.merge("LA", (Image.new("L", (8, 8), 100), Image.fromarray(pixels[..., 3])))
    image = decode(encoded(grey_alpha, "PNG"), 1024)
    assert [image.getpixel((0, y)) for y in (0, 7)] == [(100,) * 3, (255,) * 3]


def test_grey_16_bit_keeps_its_high_byte() -> None:
    levels = np.linspace(0, 65535, 64).astype(np.uint16).reshape(8, 8)
    for kind in ("PNG", "TIFF"):
        image = decode(encoded(Image.fromarray(levels), kind), 1024)
        np.testing.assert_array_equal(image, np.repeat((levels >> 8)[..., None], 3, -1).astype(np.uint8))


@pytest.mark.parametrize("mode", ["L", "P", "CMYK", "1", "YCbCr"])
def test_other_modes_become_rgb(mode: str) -> None:
    photo = picture(3, 32, 32)
    kind = "TIFF" if mode in ("1", "YCbCr") else "JPEG" if mode in ("L", "CMYK") else "PNG"
    image = decode(encoded(photo.convert(mode), kind), 1024)
    assert (image.size, image.mode) == ((32, 32), "RGB")
    reference = np.asarray(photo.convert("L").convert("RGB") if mode in ("L", "1") else photo).astype(float)
    assert np.abs(np.mean(image, (0, 1)) - reference.mean((0, 1))).max() < 12


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_the_first_frame_of_an_animation_is_taken(kind: str) -> None:
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "blue")]
    animation = encoded(frames[0], kind, save_all=True, append_images=frames[1:])
    assert Image.open(io.BytesIO(animation)).n_frames == 2
    np.testing.assert_allclose(decode(animation, 1024).getpixel((8, 8)), [255, 0, 0], atol=8)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_huge_photo_is_bounded_and_still_the_same_picture(kind: str) -> None:
    photo = picture(5, 3000, 2000)
    image = decode(encoded(photo, kind), 500)
    assert image.size == (500, 333)
    reference = np.asarray(photo.resize((500, 333), Image.Resampling.BOX)).astype(float)
    assert np.abs(np.asarray(image) - reference).mean() < 3


def test_a_decompression_bomb_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(ExampleError, match="more than 200 pixels; shrink it"):
        decode(encoded(picture(), "PNG"), 1024)


def test_damaged_files_are_refused_with_a_reason() -> None:
    whole = encoded(picture(1, 200, 200), "JPEG")
    with pytest.raises(ExampleError, match="truncated"):
        decode(whole[: len(whole) // 2], 1024)
    for rubbish in (b"", b"\0" * 100, b"not a photo", whole[:20]):
        with pytest.raises(ExampleError, match=r"\w"):
            decode(rubbish, 1024)


def test_formats_that_start_programs_are_not_opened() -> None:
    with pytest.raises(ExampleError, match="a PostScript document"):
        decode(encoded(picture(), "EPS"), 1024)


def test_damaged_exif_does_not_lose_the_photo() -> None:
    photo = encoded(picture(), "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff garbage")
    assert decode(photo, 1024).size == (24, 16)
