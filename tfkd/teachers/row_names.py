"""Which image each name in a file of predictions means."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Sequence


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


def _ends(path: str) -> Iterator[str]:
    """Yields a path without its first folder, without its first two, and so on."""
    while "/" in path:
        path = path.partition("/")[2]
        yield path
