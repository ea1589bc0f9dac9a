"""How a file of predictions names images: by their files."""

from collections.abc import Iterable
from pathlib import PurePosixPath

from tfkd.inputs.kind import RowNames
from tfkd.labels import composed


def normal(name: str) -> str:
    """Returns a file name as it is compared: composed, with forward slashes, without a leading "./"."""
    return PurePosixPath(composed(name.strip()).replace("\\", "/")).as_posix()


def advice(names: Iterable[str]) -> str:
    """Returns how to name images, and that names without a suffix need one."""
    suffix = "" if any(PurePosixPath(name).suffix for name in names) else ", with the suffix, e.g. .jpg"
    return f"Name files by their path in the source, or by their base name where it is unique{suffix}"


ROW_NAMES = RowNames(normal, None, advice)
