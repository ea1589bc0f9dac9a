"""Photos as phones and the web make them, to upright RGB pixels.

Pillow alone decodes: it is thread-safe, releases the GIL, and shrinks JPEGs while it decodes them.
"""

import io
import textwrap
import warnings

import numpy as np
from PIL import Image, UnidentifiedImageError, features

MAX_BYTES = 1 << 28

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

# What Pillow warns of (damaged EXIF, more than 89 megapixels) is dealt with here, and no reason to stop a progress bar.
warnings.filterwarnings("ignore", module=r"PIL\.")


class PhotoError(Exception):
    """A photo cannot be read; the text is the reason."""


def one_line(error: Exception) -> str:
    """Returns what a library's error says, short enough to stand in a message of one line."""
    return textwrap.shorten(str(error).rstrip(" ."), 300, placeholder=" ...") or type(error).__name__


def decode(encoded: bytes, longest_side: int) -> Image.Image:
    """Decodes a photo.

    EXIF orientation is applied; transparency is laid over white; 16-bit grey keeps its high byte; of an animation the
    first frame is taken. Colour profiles are not converted.

    Args:
        encoded: JPEG, PNG, GIF, WebP, BMP, TIFF, PNM, JPEG 2000 or AVIF.
        longest_side: a larger photo is shrunk to this, pixels.

    Returns:
        RGB, upright, its pixels loaded.

    Raises:
        PhotoError: it is no photo, damaged, cut short, or larger than Pillow's limit of 179 megapixels.
    """
    try:
        with Image.open(io.BytesIO(encoded), formats=_FORMATS) as image:
            image.draft("RGB", (longest_side, longest_side))
            image.load()
            return _rgb(_upright(_shrunk(image, longest_side)))
    except UnidentifiedImageError:
        raise PhotoError("not a photo of a known format") from None
    except Exception as error:  # Pillow's decoders raise whatever a damaged file makes them stumble over
        raise PhotoError(one_line(error)) from None


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
    except Exception:  # a damaged EXIF block is no reason to lose the photo
        return 1


def _rgb(image: Image.Image) -> Image.Image:
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    if image.mode.startswith("I"):
        values = np.asarray(image).astype(np.int64)
        return Image.fromarray(np.clip(values >> 8, 0, 255).astype(np.uint8)).convert("RGB")
    if image.mode == "F":
        return Image.fromarray(np.clip(np.nan_to_num(np.asarray(image)), 0, 255).astype(np.uint8)).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")
