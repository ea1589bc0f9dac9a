"""Checks untrusted HDF5 files: all arrays must be in the file itself, and in proportion to its size."""

from typing import Any

import h5py

from tfkd.errors import RequestError, cause

_MOST_EXPANSION = 32  # bytes of all arrays per byte of the file; pruned weights compress this well
_ALWAYS_ALLOWED = 1 << 26  # bytes of all arrays in a file of any size


def check(file: h5py.File, name: str) -> None:
    """Checks that every array of a file is inside of it, numeric, and not far larger than its stored data.

    A link of HDF5 may lead to another file, an array may be assembled from others, or be the bytes of any file that the
    user may read; and a file of a few bytes may declare an array of any size.

    Args:
        file: file open for reading.
        name: name of the file, for messages.

    Raises:
        RequestError: an array violates this.
    """
    allowed = max(_MOST_EXPANSION * file.id.get_filesize(), _ALWAYS_ALLOWED)
    total = 0
    try:
        for path in _datasets(file, name):
            total += _bytes(file[path], path, name)
    except (OSError, KeyError, ValueError, TypeError, RuntimeError) as error:
        raise RequestError(f"{name} is a damaged HDF5 file: {cause(error)}") from None
    if total > allowed:
        raise RequestError(
            f"{name} declares arrays of more than {allowed / 1e6:,.0f} MB in a file of "
            f"{file.id.get_filesize() / 1e6:,.1f} MB. Save the weights again, uncompressed."
        )


def _datasets(file: h5py.File, name: str) -> list[str]:
    """Returns the paths of all arrays; checks every link before it is opened."""
    links: list[tuple[str, Any]] = []
    file.visititems_links(lambda path, link: links.append((path, link)))  # h5py discards exceptions raised inside
    for path, link in links:
        if not isinstance(link, h5py.HardLink):
            raise RequestError(f"{name}: {path!r} is a link to another place, which a weights file does not need.")
    return [path for path, _ in links if file.get(path, getclass=True) is h5py.Dataset]


def _bytes(dataset: h5py.Dataset, path: str, name: str) -> int:
    if dataset.is_virtual or dataset.external:
        raise RequestError(f"{name}: the array {path!r} is in another file. Save the weights into one file.")
    if dataset.dtype.hasobject:
        raise RequestError(f"{name}: the array {path!r} holds no numbers.")
    return int(dataset.nbytes)
