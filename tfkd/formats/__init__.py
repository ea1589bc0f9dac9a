"""File formats, one file each; `FORMATS` lists those that a recipe can request.

What is known of a format is in its record and nowhere else: how it is written, run and judged, and how an app uses it.
"""

from types import MappingProxyType

from tfkd.formats.base import AppCode, Format, Precision, load
from tfkd.formats.mlmodel import MLMODEL
from tfkd.formats.mlpackage import MLPACKAGE
from tfkd.formats.onnx import ONNX
from tfkd.formats.tflite import TFLITE

__all__ = ["FORMATS", "FORMS", "TIMED", "AppCode", "Format", "Precision", "load"]

FORMATS = MappingProxyType(
    {
        "tflite": TFLITE,
        "mlmodel": MLMODEL,
        "mlpackage": MLPACKAGE,
        "onnx": ONNX,
    }
)

# The names by which a recipe requests files, each with the format and the precision.
FORMS = MappingProxyType(
    {format.form(name): (format, name) for format in FORMATS.values() for name in format.precisions}
)

TIMED = tuple(name for name, format in FORMATS.items() if format.timed)
