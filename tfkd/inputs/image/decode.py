"""Decodes photos to upright RGB pixels.

Pillow decodes, and pillow-heif where it is installed: both are thread-safe and release the GIL, and Pillow shrinks
JPEGs while it decodes them.
"""

import io
import warnings
from collections.abc import Mapping
from dataclasses import dataclass

from PIL import Image, UnidentifiedImageError, features

from tfkd.inputs.image.depth import FULL, Deep, deep
from tfkd.inputs.image.file_formats import described, is_heic, is_raw
from tfkd.inputs.kind import ExampleError, Ranges, one_line
from tfkd.signature import Range

# A list of our own: Pillow would also open formats that start other programs (EPS) or that are no photos.
_FORMATS = [
    "JPEG",
    "PNG",
    "GIF",
    "WEBP",
    "BMP",
    "TIFF",
    "PPM",
    "JPEG2000",
    *(["AVIF"] if features.check("avif") else []),
]
_ORIENTATION = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# TIFF tags (TIFF 6.0; DNG 1.7): cameras' RAW files are TIFF files whose first picture is a thumbnail.
_SUBFILE_TYPE, _MAKE, _DNG_VERSION = 254, 271, 50706
_BITS, _PLANES, _SEPARATE = 258, 284, 2
_NO_RANGES: Mapping[str, Range] = {}

# What Pillow warns of (damaged EXIF, more than 89 megapixels) is dealt with here, and no reason to stop a progress bar.
warnings.filterwarnings("ignore", module=r"PIL\.")


@dataclass(frozen=True, eq=False)
class DecodedPhoto:
    """A decoded photo.

    Attributes:
        image: upright RGB, at most `longest_side`; None where the photo is a deep one.
        deep: the values of a photo of more than 8 bits, as they are stored.
        orientation: EXIF's, of the deep values.
    """

    image: Image.Image | None
    deep: Deep | None = None
    orientation: int = 1


def read(encoded: bytes, longest_side: int) -> DecodedPhoto:
    """Decodes a photo without changing values of more than 8 bits.

    Args:
        encoded: JPEG, PNG, GIF, WebP, BMP, TIFF, PNM, JPEG 2000 or AVIF; HEIC where pillow-heif is installed.
        longest_side: a larger photo is shrunk to this, pixels; deep values are not.

    Raises:
        ExampleError: it is no photo, damaged, cut short, or larger than Pillow's limit of 179 megapixels.
    """
    formats = _heic_formats() if is_heic(encoded) else _FORMATS
    try:
        with Image.open(io.BytesIO(encoded), formats=formats) as image:
            _refuse_raw(image, encoded)
            _refuse_planes(image)
            values = deep(image, encoded)
            if values is not None:
                _refuse_nothing(values)
                return DecodedPhoto(None, values, _orientation(image))
            image.draft("RGB", (longest_side, longest_side))
            image.load()
            return DecodedPhoto(_rgb(_upright(_shrunk(image, longest_side))))
    except UnidentifiedImageError:
        raise ExampleError(described(encoded)) from None
    except ExampleError:
        raise
    except Image.DecompressionBombError:
        raise ExampleError(f"more than {2 * (Image.MAX_IMAGE_PIXELS or 0):,} pixels; shrink it") from None
    except Exception as error:  # Pillow's decoders can raise anything for a damaged file
        raise ExampleError(one_line(error)) from None


def decode(encoded: bytes, longest_side: int, ranges: Ranges = _NO_RANGES) -> Image.Image:
    """Decodes a photo.

    EXIF orientation is applied; transparency is laid over white; of an animation the first frame is taken. Colour
    profiles are not converted.

    Args:
        encoded: JPEG, PNG, GIF, WebP, BMP, TIFF, PNM, JPEG 2000 or AVIF; HEIC where pillow-heif is installed.
        longest_side: a larger photo is shrunk to this, pixels.
        ranges: the values that become 0 and 255, by the kind of photos of more than 8 bits (see inputs.image.depth).
            Those of 16 bits keep their high byte where none is given.

    Returns:
        RGB, upright, its pixels loaded.

    Raises:
        ExampleError: it is no photo, damaged, cut short, larger than Pillow's limit of 179 megapixels, or of a kind
            without a range.
    """
    pixels = read(encoded, longest_side)
    if pixels.image is not None:
        return pixels.image
    assert pixels.deep is not None
    limits = ranges.get(pixels.deep.kind) or FULL.get(pixels.deep.kind)
    if limits is None:
        raise ExampleError(f"{pixels.deep.kind} pixels; declare their range as data.pixel_range")
    image = pixels.deep.eight_bit(limits)
    image.getexif()[_ORIENTATION] = pixels.orientation
    return _rgb(_upright(_shrunk(image, longest_side)))


def _heic_formats() -> list[str]:
    try:
        import pillow_heif
    except ImportError:
        raise ExampleError("HEIC, which needs pillow-heif: pip install pillow-heif, or convert it to JPEG") from None
    pillow_heif.register_heif_opener()
    return ["HEIF"]


def _refuse_raw(image: Image.Image, encoded: bytes) -> None:
    """Refuses a camera's RAW file: Pillow would give its thumbnail, or sensor values."""
    tags = getattr(image, "tag_v2", {}) if image.format == "TIFF" else {}
    if tags and is_raw(encoded):
        raise ExampleError(described(encoded))
    if _DNG_VERSION in tags:
        raise ExampleError("a RAW photo (DNG); convert it to JPEG")
    if _MAKE in tags and int(tags.get(_SUBFILE_TYPE, 0)) & 1:
        raise ExampleError(f"a RAW photo of {str(tags[_MAKE]).strip()}; convert it to JPEG")


def _refuse_planes(image: Image.Image) -> None:
    """Refuses colours of more than 8 bits in separate planes: Pillow takes every byte for a value."""
    tags = getattr(image, "tag_v2", {})
    bits = tags.get(_BITS, (8,))
    if tags.get(_PLANES) == _SEPARATE and len(bits) > 1 and max(bits) > 8:
        raise ExampleError(f"a TIFF of {max(bits)}-bit colours in separate planes; convert it to PNG")


def _refuse_nothing(values: Deep) -> None:
    if not values.finite().size:
        raise ExampleError("none of its values is a number (all are NaN or infinite)")


def upright_rgb(image: Image.Image) -> Image.Image:
    """Returns an image of 8 bits per channel as RGB, upright by its EXIF orientation, on white where transparent."""
    return _rgb(_upright(image))


def _shrunk(image: Image.Image, longest_side: int) -> Image.Image:
    ratio = longest_side / max(image.size)
    if ratio >= 1:
        return image
    width, height = (max(1, round(side * ratio)) for side in image.size)
    # A palette cannot be averaged, and Pillow averages 16-bit and 1-bit pixels by taking the nearest.
    smooth = image if image.mode in ("RGB", "L", "CMYK", "YCbCr", "RGBA", "LA") else _rgb(image)
    orientation = _orientation(image)
    shrunk = smooth.resize((width, height), Image.Resampling.BOX, reducing_gap=2.0)
    shrunk.getexif()[_ORIENTATION] = orientation
    return shrunk


def _upright(image: Image.Image) -> Image.Image:
    transpose = _UPRIGHT.get(_orientation(image))
    return image if transpose is None else image.transpose(transpose)


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # a photo with a damaged EXIF block is still usable
        return 1


def _rgb(image: Image.Image) -> Image.Image:
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")
