"""Every figure by name; a new group of figures adds one line here."""

from collections.abc import Callable

from tools.figures import (
    accuracy,
    claims,
    cluster,
    comparisons,
    files,
    release,
    runs,
    runtimes,
    scale,
    small_data,
    speed,
    texts,
    trees,
)


def figures() -> dict[str, Callable[[], str]]:
    """Returns the functions that write the figures."""
    return {
        **comparisons.figures(),
        **speed.figures(),
        **runtimes.figures(),
        **accuracy.figures(),
        **claims.figures(),
        **cluster.figures(),
        **files.figures(),
        **release.figures(),
        **runs.figures(),
        **scale.figures(),
        **small_data.figures(),
        **texts.figures(),
        **trees.figures(),
    }
