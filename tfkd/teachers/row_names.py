"""Which example each name in a file of predictions means."""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence

import numpy as np


def rows_by_image(names: Sequence[str], images: Collection[str]) -> dict[str, int]:
    """Returns the number of the row of each image that has one, by the path of the image.

    A row belongs to the image of exactly its name. Otherwise its name may have more or fewer leading folders than the
    image, if the rest is equal and only one image and one row fit; names that could mean two are left out. A name with
    a folder never fits by the base name alone.

    Args:
        names: those of the rows, each once.
        images: paths of all images of the sources, also of those that are not used.
    """
    known = set(images)
    exact = {name: row for row, name in enumerate(names) if name in known}
    ends = defaultdict(set)
    for image in known:
        for end in _ends(image):
            ends[end].add(image)
    bases = Counter(name.rpartition("/")[2] for name in names)
    fitting = defaultdict(list)
    for row, name in enumerate(names):
        if name in exact or ("/" not in name and bases[name] > 1):
            continue
        meant = ends.get(name, set()) | {end for end in _ends(name) if "/" in end and end in known}
        if len(meant) == 1:
            fitting[meant.pop()].append(row)
    return {image: rows[0] for image, rows in fitting.items() if len(rows) == 1} | exact


def rows_by_content(names: Sequence[str], values: np.ndarray, content: Callable[[str], str]) -> dict[str, int]:
    """Returns a row of each content that the names state; those of rows with different values are left out.

    Args:
        names: those of the rows.
        values: float [names, classes].
        content: maps a name to what equal examples have in common.
    """
    rows = defaultdict(list)
    for row, name in enumerate(names):
        rows[content(name)].append(row)
    return {key: same[0] for key, same in rows.items() if (values[same] == values[same[0]]).all()}


def _ends(path: str) -> Iterator[str]:
    """Yields a path without its first folder, without its first two, and so on."""
    while "/" in path:
        path = path.partition("/")[2]
        yield path
