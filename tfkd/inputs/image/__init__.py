"""Images: raw RGB from 0 to 255 in a square, which the model normalises itself."""

from tfkd.inputs.image.arrays import fitted, source_in, write_files
from tfkd.inputs.image.files import decode_golden, encode_golden, encode_shown, shown_type, to_golden
from tfkd.inputs.image.normalization import others, parse
from tfkd.inputs.image.reading import reading
from tfkd.inputs.image.rendering import conversion
from tfkd.inputs.image.row_names import ROW_NAMES
from tfkd.inputs.image.tensors import describe, signature_of
from tfkd.inputs.kind import InputKind

_OF_VIEWS = (
    *("min_area", "max_aspect", "flip", "brightness", "contrast", "saturation"),
    *("operations", "magnitude", "mix", "mix_share"),
)

KIND = InputKind(
    name="image",
    noun="image",
    suffixes=(".jpg", ".jpeg", ".png", ".gif", ".webp", ".bmp", ".tif", ".tiff", ".heic", ".heif", ".avif"),
    companions=(".mov", ".mp4"),  # the moving half of a phone's photo
    feature=("Image", "image"),
    reading=reading,
    signature_of=signature_of,
    describe=describe,
    fields=frozenset({"image_size", "pixel_range", *(f"augment.{name}" for name in _OF_VIEWS)}),
    export_fields=frozenset({"image_size", "normalization"}),
    not_by_default=frozenset(),
    conversion=conversion,
    golden_suffix=".png",
    values="pixels",
    elsewhere="photos of other cameras, light or people",
    normalization=parse,
    other_normalizations=others,
    source_in=source_in,
    write_source=write_files,
    from_memory=fitted,
    to_golden=to_golden,
    encode_golden=encode_golden,
    decode_golden=decode_golden,
    encode_shown=encode_shown,
    shown_type=shown_type,
    row_names=ROW_NAMES,
)
